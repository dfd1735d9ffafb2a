"""Accounts and authors: who owns what, who is named on it, and on whose behalf an administrator acts."""
