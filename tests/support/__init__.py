"""Shared test helpers: real processes, a local Figshare, the command, external programs."""
