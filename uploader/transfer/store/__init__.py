"""A job's files on disk: folders, lock and lease, overview, progress."""
