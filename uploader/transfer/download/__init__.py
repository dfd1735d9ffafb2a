"""Downloads: an item's files to a local folder, in ranges, resumable, verified. Sends nothing.

`plan` (pure) decides which of the item's files become which local paths; names from the server never point outside the
folder. `target` writes below one folder without following links. `partial` is the data of one file on disk and its
ranges; `receiving` writes, hashes and records them. `engine` does the work with a fixed number of connections, `run`
puts a download together, `report` is its result.
"""
