"""What goes up: from the paths, lists, manifests and rules that a user names to the files meant. Sends nothing."""
