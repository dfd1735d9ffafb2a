"""In-memory stand-ins for what a job works with: time, Figshare, the state disk."""
