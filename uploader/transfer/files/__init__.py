"""One file of a job from the first look to the last, step by step."""
