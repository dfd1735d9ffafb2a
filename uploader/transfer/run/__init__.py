"""Shared by all parts of one run: context, stop, progress, throttle, remote listing, account limits."""
