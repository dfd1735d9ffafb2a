"""The steps of one file of a job."""
