"""figup on clusters: many processes, one item, and the schedulers that start them: see this folder's README."""
