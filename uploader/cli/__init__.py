"""The command line: one module per command group, output and exit statuses."""
