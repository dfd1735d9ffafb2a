"""Jobs: journal, store, parts, files, engine and client."""
