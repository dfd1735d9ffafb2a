"""The words of a selection: what the user named, what was chosen of it, what was skipped and why. Values only."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, TypeAlias

from uploader.errors import FigupError

STDIN = "-"
"""As the name of a list: it is read from stdin."""
Reason: TypeAlias = Literal[
    "hidden", "link", "link-loop", "excluded", "not-included", "empty-folder", "folder", "vanished"
]
"""Why something is not sent: its name begins with a dot; it is a symbolic link, or one that leads back to a folder that
it is in; a pattern says so; no --include names it; Figshare has no empty folders; it is a folder in a list of files;
it was planned, and is gone."""


@dataclass(frozen=True)
class Sources:
    """What is to be sent, as it was named. The names of options are those of the command.

    `paths` are files, folders and globs. `from_file` is a file with one path a line ("-": they are in `stdin`),
    separated by NUL with `nul`; a listed path keeps the folders that it has below `base` (None: the current folder).
    `manifest` is a CSV, JSON or YAML file. `links` are addresses of files that stay where they are.
    """

    paths: tuple[str, ...] = ()
    _: KW_ONLY
    from_file: str | None = None
    nul: bool = False
    stdin: bytes = b""
    base: str | None = None
    manifest: str | None = None
    links: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    follow_symlinks: bool = False

    @property
    def named(self) -> bool:
        """False when nothing at all was named."""
        return bool(self.paths or self.from_file is not None or self.manifest is not None or self.links)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """A file that is to be sent, or with `link` an address that is to be referenced.

    `path` is absolute, or the link. `folder` is the remote one, "a/b", "" for none. `md5` (hex) is what the user says
    the file has. Sizes are bytes; the rest is the state in which the file was found.
    """

    path: str
    folder: str
    name: str
    size: int = 0
    mtime_ns: int = 0
    inode: int = 0
    ctime_ns: int | None = None
    md5: str | None = None
    link: bool = False
    where: str = field(default="", compare=False)
    """Where a list or manifest names it ("list: line 3"); "" for one that was found otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """Something that is not sent; `path` ends with a slash where it is a folder with all that is in it.

    `there` is what it would be called in the item, "" where that is not known.
    """

    path: str
    reason: Reason
    remote_path: str = field(default="", compare=False)


@dataclass(kw_only=True)
class Selection:
    """What was found. `identity` names the job: the same words, wherever files were added or rules were changed.

    `title` is for an item that was given none; None where nothing suggests one.
    """

    job_key: list[str] = field(default_factory=list)
    title: str | None = None
    files: list[SourceFile] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    problems: list[FigupError] = field(default_factory=list)
    roots: list[str] = field(default_factory=list)
    """Remote folders of which all is meant, "" for the whole item."""
    warnings: list[str] = field(default_factory=list)
    """What may not be what the user meant, but is done."""


def remote_path(folder: str, name: str) -> str:
    """Folder and name as one path: what tells one remote file of an item from another."""
    return f"{folder}/{name}" if folder else name
