"""The library's front door: what a user imports, and nothing else.

Names are loaded when first asked for, so that importing the package does no work.
"""

from uploader._version import __version__

__all__ = ["__version__"]
