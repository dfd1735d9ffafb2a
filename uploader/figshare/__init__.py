"""Figshare's HTTP API: authentication, requests, retries, paging, models. Knows no jobs."""
