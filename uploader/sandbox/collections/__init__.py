"""Collections: items gathered under one title, published as one."""
