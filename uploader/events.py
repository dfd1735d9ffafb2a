"""The events that `on_event` is called with: public names of the classes in `uploader.transfer.notices`.

Each is an immutable value; `msgspec.to_builtins(event)` is the object that `figup --json` writes, without the time.

    def on_event(event: uploader.events.AnyNotice) -> None:
        if isinstance(event, uploader.events.Progress):
            print(event.bytes_done, event.bytes_total)
"""

from uploader.transfer.notices import (
    ActiveFile,
    AnyNotice,
    Described,
    FileFailed,
    FileRestarted,
    FileSent,
    FileStarted,
    FileVerified,
    FinalStepCompleted,
    ItemKnown,
    JobStarted,
    JobUpdated,
    Joined,
    LimitChanged,
    LinkConfirmed,
    Listener,
    Member,
    Notice,
    Progress,
    ReadProgress,
    Retrying,
    Skipped,
    Warned,
)

__all__ = [
    "ActiveFile",
    "AnyNotice",
    "Described",
    "FileFailed",
    "FileRestarted",
    "FileSent",
    "FileStarted",
    "FileVerified",
    "FinalStepCompleted",
    "ItemKnown",
    "JobStarted",
    "JobUpdated",
    "Joined",
    "LimitChanged",
    "LinkConfirmed",
    "Listener",
    "Member",
    "Notice",
    "Progress",
    "ReadProgress",
    "Retrying",
    "Skipped",
    "Warned",
]
