"""A local Figshare: HTTP server, disk store and web pages, written from the API's documentation only."""
