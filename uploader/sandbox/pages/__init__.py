"""Pages for people: the templates, what they are filled with, and their routes."""
