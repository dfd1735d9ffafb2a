"""Many processes, one item: see this folder's README."""
