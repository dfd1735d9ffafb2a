"""Projects: groups of items with collaborators."""
