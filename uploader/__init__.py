"""The library's front door: what a user imports, and nothing else.

Names are loaded when first asked for, so that importing the package does no work.
"""

from __future__ import annotations

from uploader._version import __version__

TYPE_CHECKING = False  # as type checkers take it; the module that has it takes longer to load than all of this

if TYPE_CHECKING:
    from uploader.errors import FigupError
    from uploader.figshare.retry import RetryPolicy
    from uploader.figshare.settings import Settings
    from uploader.metadata.description import describe
    from uploader.sources.models import Sources
    from uploader.transfer.blocking import upload
    from uploader.transfer.client import Cancellation, Client
    from uploader.transfer.destination.options import ItemOptions
    from uploader.transfer.notices import Notice
    from uploader.transfer.options import Options
    from uploader.transfer.preview import Preview
    from uploader.transfer.report import FileReport, Report, RunFailed
    from uploader.transfer.store.overview import JobSummary
    from uploader.transfer.verify import Comparison

__all__ = [
    "Cancellation",
    "Client",
    "Comparison",
    "FigupError",
    "FileReport",
    "ItemOptions",
    "JobSummary",
    "Notice",
    "Options",
    "Preview",
    "Report",
    "RetryPolicy",
    "RunFailed",
    "Settings",
    "Sources",
    "__version__",
    "describe",
    "upload",
]

_HOMES = {
    "Cancellation": "uploader.transfer.client",
    "Client": "uploader.transfer.client",
    "Comparison": "uploader.transfer.verify",
    "FigupError": "uploader.errors",
    "FileReport": "uploader.transfer.report",
    "JobSummary": "uploader.transfer.store.overview",
    "Notice": "uploader.transfer.notices",
    "Options": "uploader.transfer.options",
    "ItemOptions": "uploader.transfer.destination.options",
    "Preview": "uploader.transfer.preview",
    "Report": "uploader.transfer.report",
    "RetryPolicy": "uploader.figshare.retry",
    "RunFailed": "uploader.transfer.report",
    "Settings": "uploader.figshare.settings",
    "Sources": "uploader.sources.models",
    "describe": "uploader.metadata.description",
    "upload": "uploader.transfer.blocking",
}


def __getattr__(name: str) -> object:
    import importlib

    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
