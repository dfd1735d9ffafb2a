"""Accounts, authors and impersonation."""
