"""Values of a selection: what the user named, which files were selected, what was skipped and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from uploader.errors import FigupError

if TYPE_CHECKING:
    from uploader.sources.archive.layout import Format
    from uploader.sources.archive.plan import Plan

STDIN = "-"
"""As the name of a list: it is read from stdin."""
Reason: TypeAlias = Literal[
    "hidden", "link", "link-loop", "excluded", "not-included", "empty-folder", "folder", "own-output", "vanished",
    "forgotten",
]  # fmt: skip
"""Why a path is skipped: hidden; a symbolic link; a link to a folder that contains it; excluded by a pattern; not
matched by an include pattern; an empty folder; a folder in a list of files; written by this process; planned but gone,
also if the user does without it.
"""


@dataclass(frozen=True)
class Sources:
    """The sources as given by the user. Fields are named like the command's options.

    `paths` are files, folders and globs. `from_file` is a file with one path a line ("-": they are in `stdin`),
    separated by NUL with `nul`; a listed path keeps the folders that it has below `base` (None: the current folder).
    `manifest` is a CSV, JSON or YAML file. `links` are addresses of files that stay where they are. `outputs` are files
    and folders that this process writes while it sends, which are skipped like the files of its stdout and stderr.
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
    outputs: tuple[str, ...] = ()

    @property
    def named(self) -> bool:
        """False if no source was given."""
        return bool(self.paths or self.from_file is not None or self.manifest is not None or self.links)


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How to pack. `name` is the archive's, None for the title's with the format as its ending.

    Only files smaller than `below` bytes are packed, None for all. No archive is larger than `limit` bytes: there are
    as many as are needed, numbered from 001; None for one. `manifest`: each carries the MD5s of its members.
    """

    format: Format
    name: str | None = None
    below: int | None = None
    limit: int | None = None
    manifest: bool = True

    @property
    def key(self) -> str:
        """The part of it that identifies a job."""
        return f"pack {self.format} {self.name} {self.below} {self.limit} {self.manifest}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """A file to send, with `link` an address to refer to, or with `archive` an archive to make of its members.

    `source` is its path, or the link; for an archive, the folder that has all its sources. It is None if the path is
    the remote one below the folder `root`, which many files share. `folder` is the remote one, "a/b", "" for none.
    `md5` (hex) is given by the user.
    Sizes are bytes; the other fields are the file's state when it was found.
    """

    source: str | None = None
    root: str = ""
    folder: str
    name: str
    size: int = 0
    mtime_ns: int = 0
    inode: int = 0
    ctime_ns: int | None = None
    md5: str | None = None
    link: bool = False
    executable: bool = False
    named: bool = field(default=False, compare=False)
    """True if the user named this file, not a folder that has it."""
    archive: Plan | None = field(default=None, compare=False, repr=False)
    where: str = field(default="", compare=False)
    """Its location in a list or manifest ("list: line 3"); "" for others."""

    @property
    def path(self) -> str:
        """The absolute path, or the link; for an archive, the folder that has all its sources."""
        return self.source if self.source is not None else f"{self.root}/{remote_path(self.folder, self.name)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A skipped path; it ends with a slash for a folder with all its contents.

    `remote_path` is its path in the item, "" if unknown.
    """

    path: str
    reason: Reason
    remote_path: str = field(default="", compare=False)
    follow: Callable[[], Iterator[SourceFile | Skipped | FigupError]] | None = field(
        default=None, compare=False, repr=False
    )
    """Find what the same walk would find if it followed this link; None if it is none. Blocks."""


@dataclass(kw_only=True)
class Selection:
    """The result of a selection.

    `job_key` identifies the job; it depends on the given sources, not on the files found. `title` is the default title,
    or None.
    """

    job_key: list[str] = field(default_factory=list)
    title: str | None = None
    files: list[SourceFile] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    problems: list[FigupError] = field(default_factory=list)
    roots: list[str] = field(default_factory=list)
    """Remote folders that were selected as a whole; "" for the whole item."""
    warnings: list[str] = field(default_factory=list)
    """Warnings about selections that the user may not have intended."""


def remote_path(folder: str, name: str) -> str:
    """Return folder and name as one path, which identifies a file within the item."""
    return f"{folder}/{name}" if folder else name
