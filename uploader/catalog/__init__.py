"""What is known about items: how they are described, found, listed and counted. See the modules."""
