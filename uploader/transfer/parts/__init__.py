"""How bytes go out: which file next, which part next, over how many connections, how fast."""
