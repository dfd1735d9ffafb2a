"""Descriptions in other people's formats: CITATION.cff, DataCite JSON, codemeta.json. What is taken from each, and what
cannot be; nothing in them keeps an upload from going on."""
