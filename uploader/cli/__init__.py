"""The shell's front door: one module a command group, progress, exit codes."""
