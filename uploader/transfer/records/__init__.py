"""What is told of jobs to people, now and later. Nothing is decided by any of it."""
