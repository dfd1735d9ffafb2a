"""What an item says of itself: read from files, checked, and turned into what Figshare's API takes. Sends nothing but
the questions of `names`."""
