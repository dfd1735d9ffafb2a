"""Metadata of items: read from files, validated, resolved into the API's form.

Sends only the requests of `resolve`.
"""
