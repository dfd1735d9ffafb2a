"""Speaks Figshare's HTTP: auth, session, retries, paging, wire models. Knows no journal and no progress."""
