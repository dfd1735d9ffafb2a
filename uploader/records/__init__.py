"""Harvested records: many items with linked files, created from one file."""
