"""Projects: items that belong together and are worked on together."""
