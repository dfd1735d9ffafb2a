"""An item as a whole: payload, checks, metadata, release, lists. Every operation is safe to repeat; knows no job."""
