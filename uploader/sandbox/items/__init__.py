"""Items: their fields, authors and categories, and operations, one module per group."""
