"""A local Figshare: HTTP app, disk store, item page. Written from the API's documentation alone."""
