"""Items: their fields, authors and categories, and what can be done with them. One group of operations a module."""
