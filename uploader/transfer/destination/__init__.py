"""The job's item: create it once, describe it, find the effects of lost requests, run the final steps."""
