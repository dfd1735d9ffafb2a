"""The plan: which job a command means, and what it is to send. Looks at sources, sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from uploader._version import __version__
from uploader.errors import UsageError
from uploader.transfer import events as ev
from uploader.transfer.folders import Target
from uploader.transfer.source import look, remote_name, shown

SHORTEST_TITLE, LONGEST_TITLE = 3, 1000
"""Characters in an item's title (official API description, ArticleCreate)."""


def resolve(paths: Sequence[str | Path]) -> list[str]:
    """The absolute paths of sources, each once. Raises UsageError for none, or a path not in UTF-8.

    Links in the folders are resolved; a link that is itself the source keeps its own name.
    """
    if not paths:
        raise UsageError("there is nothing to send: no file was named")
    absolute = [Path(path).absolute() for path in paths]
    resolved = list(dict.fromkeys(str(path.parent.resolve() / path.name) for path in absolute))
    for path in resolved:
        remote_name(path)
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            raise UsageError(
                f"{shown(path)}: a folder in this path has a name that is not valid UTF-8", path=path
            ) from None
    return resolved


def default_title(paths: Sequence[str]) -> str:
    """The title of an item that was given none: the first source's name, on one line."""
    return "".join(c if c.isprintable() else " " for c in Path(paths[0]).name).strip()


def checked_title(title: str) -> str:
    """The title, if Figshare will take it. Raises UsageError."""
    if not SHORTEST_TITLE <= len(title) <= LONGEST_TITLE:
        raise UsageError(
            f"a title has {SHORTEST_TITLE} to {LONGEST_TITLE} characters, and {shown(title)[:40]!r} has {len(title)}",
            hint="Give one with --title.",
        )
    return title


def plan_events(target: Target, paths: Sequence[str], job: str) -> list[ev.AnyEvent]:
    """The first events of a job. Looks at all sources: raises SourceMissing, SourceUnreadable, UsageError."""
    names: dict[str, str] = {}
    sources: list[ev.AnyEvent] = []
    for index, path in enumerate(paths):
        name = remote_name(path)
        if name in names:
            raise UsageError(
                f"two sources would have the same name on Figshare: {shown(names[name])} and {shown(path)}", path=path
            )
        names[name] = path
        now = look(path)
        sources.append(ev.SourcePlanned(index, path, name, now.size, now.mtime_ns, now.inode, now.ctime_ns))
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return [
        ev.JobPlanned(job, target.endpoint, target.item, target.title, created, __version__, len(sources)),
        *sources,
    ]
