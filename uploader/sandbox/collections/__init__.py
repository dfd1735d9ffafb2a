"""Collections: items grouped under one title and published together."""
