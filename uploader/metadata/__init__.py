"""Metadata of items: read from files, validated, resolved into what the API takes.

Sends only the requests of `resolve`.
"""
