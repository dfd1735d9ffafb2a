"""Local files: from the paths, lists, manifests and rules given by a user to the selected files. Sends nothing."""
