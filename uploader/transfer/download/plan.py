"""Choose which of an item's files are downloaded, and their paths below the target folder. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from uploader.errors import Facts, FileNotHeld, UsageError
from uploader.figshare.models import File
from uploader.sources.filters import Filters, Ignores
from uploader.sources.names import alike
from uploader.text import composed, did_you_mean, printable
from uploader.transfer.compare import FAILED_STATUSES

RESERVED = ".figup-"
"""The beginning of the names of partial files."""
MAX_NAME = 255
"""Maximum bytes of a file name on common file systems."""
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WILDCARD = re.compile(r"[*?]")


@dataclass(frozen=True, kw_only=True)
class FileToFetch:
    """A file to download. `remote` is its path in the item, `path` the one below the target folder.

    `size` is bytes. `md5` is Figshare's, lower-case hex, None if Figshare has none. `url` may contain a secret.
    `available`: Figshare has finished processing it; before that it may respond 404.
    """

    file_id: int
    remote: str
    path: str
    size: int
    md5: str | None
    url: str = field(repr=False)
    available: bool = True


@dataclass(frozen=True, kw_only=True)
class Skip:
    """A file of the item that is not downloaded.

    `reason`: `link` (it only refers to an address), `unfinished`, `integrity-failed` (it did not pass Figshare's
    check), `excluded` or `not-included`. `named`: it was asked for by its name.
    """

    file_id: int
    remote: str
    reason: str
    named: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Files to download and skipped files, in the item's order. `renamed` are those with a sanitised name."""

    wanted: Sequence[FileToFetch]
    skipped: Sequence[Skip]

    @property
    def renamed(self) -> list[FileToFetch]:
        """Files that are stored under another name than they have in the item."""
        return [each for each in self.wanted if each.path != each.remote]


def plan_download(
    item_id: int, files: Iterable[File], folders: Mapping[int, str], filters: Filters, names: Sequence[str] = ()
) -> Plan:
    """Choose the files. `names` are remote paths, or names without folder; empty for all files.

    Raises FileNotHeld if one of the names matches no file, UsageError if the include patterns match none.
    """
    placed = _placed(files, folders)
    chosen = _named(item_id, placed, names) if names else placed
    wanted: list[FileToFetch] = []
    skipped: list[Skip] = []
    for file, remote, path in chosen:
        reason = _reason(file) or filters.reason(remote, Ignores())
        if reason is not None:
            skipped.append(Skip(file_id=file.id, remote=remote, reason=reason, named=bool(names)))
            continue
        md5 = file.computed_md5 or file.supplied_md5
        wanted.append(
            FileToFetch(
                file_id=file.id,
                remote=remote,
                path=path,
                size=file.size,
                md5=md5.lower() if md5 else None,
                url=file.download_url,
                available=file.status in ("available", ""),
            )
        )
    if not wanted and (left_out := [skip for skip in skipped if skip.reason == "not-included"]):
        raise UsageError(
            f"no file of item {item_id} matches the patterns to include",
            hint=f"It has {len(left_out)}, for example {printable(left_out[0].remote)}.",
        )
    return Plan(wanted=wanted, skipped=skipped)


_Placed: TypeAlias = "tuple[File, str, str]"
"""A file, its path in the item, and the one below the target folder."""


def _placed(files: Iterable[File], folders: Mapping[int, str]) -> list[_Placed]:
    """Give every file of the item its path, so that a file downloaded alone gets the same path."""
    remotes = [(file, file.path_among(folders).strip("/") or str(file.id)) for file in files]
    paths = stored_paths(remotes)
    return [(file, remote, paths[file.id]) for file, remote in remotes]


def stored_paths(remotes: Sequence[tuple[File, str]]) -> dict[int, str]:
    """Return the path below the target folder of each of an item's files, by id. `remotes` are all, with their paths.

    Of files with one name, the oldest keeps it, whatever the order of the listing; one without content has no claim.
    """
    paths = {file.id: safe_path(remote) for file, remote in remotes}
    taken = {alike(folder) for path in paths.values() for folder in _folders_of(path)}
    for file, _ in sorted(remotes, key=lambda pair: (_reason(pair[0]) is not None, pair[0].id)):
        paths[file.id] = _unique(paths[file.id], file.id, taken)
    return paths


def _folders_of(path: str) -> Iterator[str]:
    """Yield the folders above a path."""
    while path := path.rpartition("/")[0]:
        yield path


def _named(item_id: int, placed: Sequence[_Placed], names: Sequence[str]) -> list[_Placed]:
    for name in names:
        if not any(_fits(remote, name) for _, remote, _ in placed):
            message = f"item {item_id} has no file {printable(name)}"
            hint = None if _WILDCARD.search(name) else did_you_mean(name, [remote for _, remote, _ in placed])
            if hint is None:
                raise FileNotHeld(message, facts=Facts("file-not-in-item"))
            raise FileNotHeld(message, hint=hint)
    return [each for each in placed if any(_fits(each[1], name) for name in names)]


def _fits(remote: str, name: str) -> bool:
    wanted, remote = composed(name.strip("/")), composed(remote)
    return remote == wanted or remote.startswith(f"{wanted}/") or remote.rpartition("/")[2] == wanted


def _reason(file: File) -> str | None:
    if file.is_link_only:
        return "link"
    if file.status == "created":
        return "unfinished"
    return "integrity-failed" if file.status in FAILED_STATUSES else None


def safe_path(remote: str) -> str:
    """Return a relative path that stays below its folder and that a file system can store.

    Empty components and "." are dropped; ".." becomes "__"; control characters and invalid characters become "_";
    too long names are cut before their extension.
    """
    pieces = [_safe_name(piece) for piece in remote.split("/") if piece not in ("", ".")]
    return "/".join(pieces) or "_"


def why_renamed(file: FileToFetch) -> str:
    """Say why the file is stored under another name than it has in the item."""
    if safe_path(file.remote) == file.path:
        return "since some file systems cannot hold its name"
    return "since the item has another of that name, or of one that differs only in case"


def _safe_name(name: str) -> str:
    if name == "..":
        return "__"
    if name.casefold().startswith(RESERVED):
        name = f"_{name}"
    clean = _UNSAFE.sub("_", name).encode("utf-8", "replace").decode()
    if len(clean.encode()) <= MAX_NAME:
        return clean
    stem, dot, extension = clean.rpartition(".")
    tail = f"{dot}{extension}" if stem and len(extension.encode()) <= 16 else ""
    room = MAX_NAME - len(tail.encode())
    return (clean.encode()[:room].decode("utf-8", "ignore")) + tail


def _unique(path: str, file_id: int, taken: set[str]) -> str:
    """Return a path that differs from all other files and folders, ignoring case and Unicode composition."""
    folder, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".") if "." in name[1:] else (name, "", "")
    number = 0
    while (key := alike(path)) in taken:
        mark = f".{file_id}" + (f"-{number}" if number else "")
        room = MAX_NAME - len(f"{mark}{dot}{extension}".encode())
        path = folder + slash + stem.encode()[:room].decode("utf-8", "ignore") + mark + dot + extension
        number += 1
    taken.add(key)
    return path
