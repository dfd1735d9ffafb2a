"""Downloads: an item's files to a local folder, in ranges, resumable, verified. Sends nothing.

`plan` (pure) decides which of the item's files become which local paths; names from the server never lead out of the
folder. `target` writes below one folder without following links. `partial` is one file on its way: its data, which
ranges of it are there, its MD5. `engine` does the work with a fixed number of connections, `run` puts a
download together. Imports go from `run` to `engine`, `partial`, `target` and `plan`, never back.
"""
