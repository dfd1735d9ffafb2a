"""Only the version, so that `figup --version` imports nothing else."""

__version__ = "0.1.0"
