"""Upload large files to Figshare reliably.

Rerun the same call until it returns: it continues where it was interrupted, and sends every byte exactly once.

    import uploader

    report = uploader.upload("survey.tar", title="Survey 2024")
    print(report.item_url, report.files[0].md5)

`upload`, `resume`, `verify`, `preview`, `download` and `jobs` block. Inside an event loop use `Client`:

    async with uploader.Client() as client:
        report = await client.upload("survey.tar", item=1234567, on_event=print)

`async for record in client.search("beavers", author="Jane Doe")` finds public records, `client.own()` lists the
account's; `client.item`, `collection` and `project` return one, by id, address or DOI.

The token comes from FIGSHARE_TOKEN, the keyring or the file of `figup auth login`. Errors are `FigupError`s with a
stable `code`, a `message`, a `hint` and an `exit_status`; their classes are in `uploader.errors`. Once a job was
started, the error is an `uploader.RunFailed`, with the `error` that ended the run and the `report` of what was done.
The classes of events are in `uploader.events`. A wrong type raises TypeError, an invalid value `errors.UsageError`.
"""

# Names are imported when first used: importing the package does no work.

from __future__ import annotations

from uploader._version import __version__

TYPE_CHECKING = False  # as type checkers read it; importing typing takes longer than everything else here

if TYPE_CHECKING:
    from uploader import errors, events
    from uploader.catalog.report.collect import RunProgress
    from uploader.catalog.report.make import ReportResult
    from uploader.catalog.statistics.counting import Country, Totals
    from uploader.client import Client
    from uploader.errors import FigupError
    from uploader.figshare.models import Account
    from uploader.figshare.records import Record
    from uploader.figshare.settings import RetryPolicy, Settings
    from uploader.metadata.description import describe
    from uploader.sources.models import Packing, Sources
    from uploader.transfer.blocking import download, jobs, preview, resume, upload, verify
    from uploader.transfer.destination.options import ItemOptions
    from uploader.transfer.download.report import DownloadReport
    from uploader.transfer.notices import Notice
    from uploader.transfer.options import Options, Timetable
    from uploader.transfer.preview import Preview
    from uploader.transfer.report import Cancellation, FileReport, Report, RunFailed
    from uploader.transfer.store.overview import JobOverview
    from uploader.transfer.verify import Comparison

__all__ = [
    "Account",
    "Cancellation",
    "Client",
    "Comparison",
    "Country",
    "DownloadReport",
    "FigupError",
    "FileReport",
    "ItemOptions",
    "JobOverview",
    "Notice",
    "Options",
    "Packing",
    "Preview",
    "Record",
    "Report",
    "ReportResult",
    "RetryPolicy",
    "RunFailed",
    "RunProgress",
    "Settings",
    "Sources",
    "Timetable",
    "Totals",
    "__version__",
    "describe",
    "download",
    "errors",
    "events",
    "jobs",
    "preview",
    "resume",
    "upload",
    "verify",
]

_MODULES = {
    "Account": "uploader.figshare.models",
    "Cancellation": "uploader.transfer.report",
    "Client": "uploader.client",
    "Comparison": "uploader.transfer.verify",
    "Country": "uploader.catalog.statistics.counting",
    "DownloadReport": "uploader.transfer.download.report",
    "FigupError": "uploader.errors",
    "FileReport": "uploader.transfer.report",
    "ItemOptions": "uploader.transfer.destination.options",
    "JobOverview": "uploader.transfer.store.overview",
    "Notice": "uploader.transfer.notices",
    "Options": "uploader.transfer.options",
    "Packing": "uploader.sources.models",
    "Preview": "uploader.transfer.preview",
    "Record": "uploader.figshare.records",
    "Report": "uploader.transfer.report",
    "ReportResult": "uploader.catalog.report.make",
    "RetryPolicy": "uploader.figshare.settings",
    "RunFailed": "uploader.transfer.report",
    "RunProgress": "uploader.catalog.report.collect",
    "Settings": "uploader.figshare.settings",
    "Sources": "uploader.sources.models",
    "Timetable": "uploader.transfer.options",
    "Totals": "uploader.catalog.statistics.counting",
    "describe": "uploader.metadata.description",
    "download": "uploader.transfer.blocking",
    "jobs": "uploader.transfer.blocking",
    "preview": "uploader.transfer.blocking",
    "resume": "uploader.transfer.blocking",
    "upload": "uploader.transfer.blocking",
    "verify": "uploader.transfer.blocking",
}
"""Where each public name is defined."""


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    import importlib

    if name in ("errors", "events"):
        return importlib.import_module(f"uploader.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
