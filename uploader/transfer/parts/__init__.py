"""Sending parts: order of files and parts, number of connections, retries."""
