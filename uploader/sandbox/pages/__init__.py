"""Web pages: templates, their data and routes."""
