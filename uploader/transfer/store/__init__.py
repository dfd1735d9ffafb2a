"""What a job keeps on disk so that nothing is lost: its journal, its lock, the folders they live in."""
