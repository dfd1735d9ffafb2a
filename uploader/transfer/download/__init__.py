"""Downloads: an item's files to a local folder, in ranges, resumable, verified. Sends nothing.

`plan` (pure) decides which of the item's files become which local paths; names from the server never lead out of the
folder. `target` writes below one folder without following links. `partial` is the data of one file on disk and which
ranges of it are there; `receiving` writes, hashes and records them as they arrive. `engine` does the work with a fixed
number of connections, `run` puts a download together, `report` is its result.
"""
