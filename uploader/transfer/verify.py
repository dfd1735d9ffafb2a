"""Compare local files, or their checksums, with the files of an item. Sends nothing and needs no job."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from uploader.concurrency import in_thread
from uploader.errors import Conflict, ExitStatus, UsageError
from uploader.figshare.models import File
from uploader.sources.archive.reader import open_source
from uploader.sources.checksums import ChecksumEntry
from uploader.sources.models import Packing, Reason, Selection, SourceFile, Sources, remote_path
from uploader.sources.packing import pack
from uploader.sources.select import raise_problems, select
from uploader.text import composed, printable
from uploader.transfer.compare import Expected, Match, classify, other_spelling, paths_in_item, rank_matches
from uploader.transfer.download.plan import stored_paths
from uploader.transfer.notices import ItemKnown, Listener, Skipped
from uploader.transfer.run.listing import may_be_called
from uploader.transfer.run.placement import Placement, files_by_path, report_reading_again
from uploader.transfer.run.service import Service
from uploader.transfer.source_check import source_md5

_PURPOSE = "compare"
_LISTING_AGE = 60.0
"""Seconds for which the listing of the item counts; longer comparisons list it once more at their end."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One local file against the item's files of its folder and name.

    `status`: `same`; `different`; `failed` (Figshare's integrity check failed); `missing` (the item has no such file);
    `missing-here` (the item has one that is not among the local ones; `path` is None); `extra-copy` (another file of
    the item in the same place as the one that was compared); `unfinished` (its upload was never completed); `unknown`
    (same size, but Figshare has not computed its MD5); `left-out` (the item has it, but the local one is excluded for
    `reason`, as in a `SkipReport`). Sizes are bytes; None where not known. `md5` is None where it did not matter.
    """

    path: str | None
    name: str
    size: int | None
    md5: str | None
    status: str
    file_id: int | None = None
    remote_size: int | None = None
    remote_md5: str | None = None
    folder: str = ""
    elsewhere: str | None = None
    """For a missing file: another path in the item with the same name."""
    spelling: str | None = None
    """The path that the item gives the file if its letters are composed otherwise, or if `download` had to rename it;
    None if it is the same.
    """
    reason: str | None = None


EXIT_STATUS = {
    "same": ExitStatus.OK,
    "left-out": ExitStatus.OK,
    "unknown": ExitStatus.PENDING,
    "missing": ExitStatus.SOME_FAILED,
    "missing-here": ExitStatus.SOME_FAILED,
    "extra-copy": ExitStatus.SOME_FAILED,
    "unfinished": ExitStatus.SOME_FAILED,
    "failed": ExitStatus.INTEGRITY,
    "different": ExitStatus.INTEGRITY,
}
"""The exit status of each status, the worst last."""


def exit_status(comparisons: Sequence[Comparison]) -> ExitStatus:
    """Return the exit status of the whole verification: that of the worst status."""
    order = list(EXIT_STATUS)
    worst = max((c.status for c in comparisons), key=order.index, default="same")
    return EXIT_STATUS[worst]


class Total(msgspec.Struct, frozen=True):
    """Number of files, and their bytes (local size, else remote); None unless every size is known."""

    files: int
    bytes: int | None


def totals(comparisons: Sequence[Comparison]) -> dict[str, Total]:
    """Sum up the files by status; statuses without files are included."""
    sizes: dict[str, list[int | None]] = {status: [] for status in EXIT_STATUS}
    for one in comparisons:
        sizes[one.status].append(one.size if one.size is not None else one.remote_size)
    return {
        status: Total(len(known_sizes), None if None in known_sizes else sum(size or 0 for size in known_sizes))
        for status, known_sizes in sizes.items()
    }


def likely_folder(comparisons: Sequence[Comparison]) -> str | None:
    """Find the item's folder that has most of the missing files at the same paths below it; None if none has."""
    missing = {remote_path(one.folder, one.name) for one in comparisons if one.status == "missing"}
    extra = {remote_path(one.folder, one.name) for one in comparisons if one.status == "missing-here"}
    split = (path.partition("/") for path in extra)
    counts = Counter(folder for folder, _, inner in split if inner in missing)
    folder, count = max(counts.items(), key=lambda pair: pair[1], default=(None, 0))
    return folder if 2 * count > len(missing) else None


def surplus_folder(comparisons: Sequence[Comparison]) -> str | None:
    """Find the folder here without which most of the missing files have the item's paths; None if there is none."""
    missing = [one for one in comparisons if one.status == "missing"]
    split = ((one, remote_path(one.folder, one.name).partition("/")) for one in missing)
    counts = Counter(folder for one, (folder, _, inner) in split if inner and inner == one.elsewhere)
    folder, count = max(counts.items(), key=lambda pair: pair[1], default=(None, 0))
    return folder if 2 * count > len(missing) else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ItemFiles:
    """The item's files by path: their own, or that at which a download stores them, if only that is a local one.

    `places` has those of these paths that match a local one, `named` one of them for each name (composed). `moved` has
    the own path of each file that is at another one, by id.
    """

    by_path: Mapping[str, Sequence[File]]
    places: Mapping[str, Sequence[str]]
    named: Mapping[str, str]
    moved: Mapping[int, str]

    @classmethod
    def of(cls, remote: dict[str, list[File]], wanted: Collection[str]) -> _ItemFiles:
        """Return the files for these local paths. Changes `remote`."""
        moved = _move_downloaded(remote, wanted)
        named = {composed(path.rpartition("/")[2]): path for path in remote}
        return cls(by_path=remote, places=paths_in_item(wanted, remote), named=named, moved=moved)

    def at(self, local: str) -> list[File]:
        """Return the files for a local path."""
        return [file for place in self.places.get(local, ()) for file in self.by_path[place]]

    def compare(self, local: Comparison) -> list[Comparison]:
        """Compare a local file with the files for its path."""
        found = _compare(local, self.at(remote_path(local.folder, local.name)), self.named.get(composed(local.name)))
        return [self._with_spelling(one) for one in found]

    def _with_spelling(self, result: Comparison) -> Comparison:
        """Add how the item spells the path, if otherwise."""
        path = remote_path(result.folder, result.name)
        spelling = other_spelling(path, self.places.get(path, ()))
        if result.file_id is not None and spelling is None:
            spelling = self.moved.get(result.file_id)
        return result if spelling is None else msgspec.structs.replace(result, spelling=spelling)


async def verify(
    api: Service,
    item_id: int,
    sources: Sources,
    listed: Sequence[ChecksumEntry],
    on_result: Callable[[Comparison], None],
    notify: Listener,
    packing: Packing | None = None,
    *,
    settle: float,
) -> list[Comparison]:
    """Compare each file, and each of the `listed` checksums, with the item's file of that folder and name.

    With `packing`, the files that it packs are compared with the item's archive of them, of either format. For whole
    folders and for checksums, also reports the item's files beyond them. `notify` is called with the item and with what
    is skipped. `settle`: seconds until every copy of the server's data has what was sent. Raises ItemNotFound,
    UsageError (nothing to compare), Conflict (the item no longer holds what was compared), and what `select` raises.
    """
    _check_given(sources, listed)
    selection = Selection()
    if sources.named and packing is None:
        selection = await in_thread(select, sources, _PURPOSE)
    listed_at = api.clock.monotonic()
    names = {composed(chosen.name) for chosen in selection.files} | {composed(line.name) for line in listed}
    report_unplaced = functools.partial(report_reading_again, notify, item_id)
    placement = Placement(functools.partial(api.item, item_id), api.clock, settle, report_unplaced)
    item, remote = await files_by_path(api, item_id, placement, lambda file: may_be_called(file, names))
    paths_before = {file.id: path for path, files in remote.items() for file in files}
    notify(ItemKnown(item_id=item.id, item_url=item.url, created=False))
    if sources.named and packing is not None:
        selection = await in_thread(_packed, sources, packing, remote)
    for skip in selection.skipped:
        notify(Skipped(skip.path, skip.reason))
    wanted = {remote_path(one.folder, one.name) for one in selection.files}
    wanted |= {remote_path(line.folder, line.name) for line in listed}
    there = _ItemFiles.of(remote, wanted)
    results: list[Comparison] = []

    def report(found: Iterable[Comparison]) -> None:
        for result in found:
            results.append(result)
            on_result(result)

    for chosen in selection.files:
        report(await _compare_source(chosen, there, notify))
    for line in listed:
        report(_compare_listed(line, there))
    report(_missing_here(there, selection, everywhere=bool(listed)))
    if api.clock.monotonic() - listed_at > _LISTING_AGE:
        await _check_again(api, item_id, placement, results, paths_before)
    return results


async def _check_again(
    api: Service, item_id: int, placement: Placement, results: Sequence[Comparison], paths: Mapping[int, str]
) -> None:
    """Raise Conflict if the item no longer holds a file that is the same as a local one: reading may take hours.

    `paths` are those that the item's files had, by id.
    """
    compared = {one.file_id for one in results if one.status == "same"}
    _, remote = await files_by_path(api, item_id, placement, lambda file: file.id in compared)
    there = {file.id: (path, file) for path, files in remote.items() for file in files}
    for one in results:
        if one.status != "same" or one.file_id is None:
            continue
        path, file = there.get(one.file_id, ("", None))
        now = classify(file, Expected(size=one.size, md5=one.md5, file_id=one.file_id))
        if now is not Match.SAME or path != paths[one.file_id]:
            raise Conflict(
                f"item {item_id} was changed while it was compared: it no longer holds "
                f"{printable(paths[one.file_id])} (file {one.file_id}) as it was",
                hint="Compare it again.",
            )


def _check_given(sources: Sources, listed: Sequence[ChecksumEntry]) -> None:
    """Raise UsageError if nothing was given to compare: an empty result would look like success."""
    if not (sources.named or listed):
        raise UsageError("nothing to compare: no paths and no checksums were given")


def _packed(sources: Sources, packing: Packing, remote: Mapping[str, Sequence[File]]) -> Selection:
    """Pack the sources as the item's archives of these names seem to be: sizes tell formats apart. Blocks."""
    best: Selection | None = None
    for form in ("zip", "tar"):
        selection = pack(sources, dataclasses.replace(packing, format=form, manifest=False))
        raise_problems(selection, purpose=_PURPOSE)
        sizes = [[file.size for file in remote.get(chosen.name, ())] for chosen in selection.files]
        pairs = zip(selection.files, sizes, strict=True)
        selection.files = [_with_list(chosen, existing) for chosen, existing in pairs]
        if any(
            chosen.archive and chosen.size in existing for chosen, existing in zip(selection.files, sizes, strict=True)
        ):
            return selection
        if best is None or (any(sizes) and not _has_names(best, remote)):
            best = selection
    return best or selection


def _has_names(selection: Selection, remote: Mapping[str, Sequence[File]]) -> bool:
    return any(chosen.archive is not None and chosen.name in remote for chosen in selection.files)


def _with_list(chosen: SourceFile, sizes: Sequence[int]) -> SourceFile:
    """Return an archive with its list of MD5s if it can have one and has none of these sizes without it."""
    plan = chosen.archive
    if plan is None or chosen.size in sizes or plan.has_manifest_name:
        return chosen
    plan = plan.with_manifest()
    return dataclasses.replace(chosen, size=plan.layout.size, archive=plan)


def _move_downloaded(remote: dict[str, list[File]], wanted: Collection[str]) -> dict[int, str]:
    """Map an item's files to the names under which a download stores them, if those are among the local files.

    These are names that file systems cannot hold, and those that differ only in case. Returns the paths in the item.
    """
    stored = stored_paths([(file, path) for path, files in remote.items() for file in files])
    moved = [
        (path, file)
        for path, files in remote.items()
        if path not in wanted or len(files) > 1
        for file in files
        if stored[file.id] in wanted and stored[file.id] not in remote
    ]
    for path, file in moved:
        remote[path].remove(file)
        remote[stored[file.id]] = [file]
    return {file.id: path for path, file in moved}


async def _compare_source(chosen: SourceFile, there: _ItemFiles, notify: Listener) -> list[Comparison]:
    """Compare a source, which is read if a remote file has its size."""
    md5 = None
    if any(file.size == chosen.size for file in there.at(remote_path(chosen.folder, chosen.name))):
        md5 = await source_md5(functools.partial(open_source, chosen.path, chosen.archive), notify=notify)
    return there.compare(
        Comparison(
            path=chosen.path, name=chosen.name, size=chosen.size, md5=md5, status="missing", folder=chosen.folder
        )
    )


def _compare_listed(line: ChecksumEntry, there: _ItemFiles) -> list[Comparison]:
    """Compare a listed checksum."""
    return there.compare(
        Comparison(path=line.path, name=line.name, size=None, md5=line.md5, status="missing", folder=line.folder)
    )


def _compare(local: Comparison, remote: list[File], elsewhere: str | None) -> list[Comparison]:
    """Compare with the most similar remote file, and list the others. Without one, `local` is missing."""
    by_match = rank_matches(remote, Expected(size=local.size, md5=local.md5))
    if not by_match:
        return [msgspec.structs.replace(local, elsewhere=elsewhere)]
    match, best = by_match[0]
    status = _STATUS[match]
    other = msgspec.structs.replace(local, size=None, md5=None)
    return [
        _with_remote(local, status, best),
        *(
            _with_remote(other, "unfinished" if status == "unfinished" else "extra-copy", file)
            for _, file in by_match[1:]
        ),
    ]


def _with_remote(local: Comparison, status: str, file: File) -> Comparison:
    return msgspec.structs.replace(
        local, status=status, file_id=file.id, remote_size=file.size, remote_md5=file.computed_md5
    )


_STATUS = {
    Match.SAME: "same",
    Match.UNKNOWN: "unknown",
    Match.DIFFERENT: "different",
    Match.LINK: "different",
    Match.FAILED: "failed",
    Match.UNFINISHED: "unfinished",
}


_EXCLUSIONS = ("hidden", "link", "link-loop", "excluded", "not-included", "own-output")
"""Reasons for which an existing local file is not compared."""


def _missing_here(there: _ItemFiles, selection: Selection, *, everywhere: bool) -> Iterator[Comparison]:
    """List the item's files in the selected folders, or `everywhere`, that were compared with no local one; no links.

    Those whose local one is excluded are left out.
    """
    scopes = tuple(f"{composed(root)}/" if root else "" for root in (*selection.roots, *([""] if everywhere else [])))
    seen = {place for places in there.places.values() for place in places}
    left_out = {
        composed(skip.remote_path): skip.reason
        for skip in selection.skipped
        if skip.remote_path and skip.reason in _EXCLUSIONS
    }
    for path, files in there.by_path.items():
        if path in seen or not composed(path).startswith(scopes):
            continue
        folder, _, name = path.rpartition("/")
        reason = _reason(left_out, path)
        status = "missing-here" if reason is None else "left-out"
        for file in files:
            if not file.is_link_only:
                gone = Comparison(
                    path=None, name=name, size=None, md5=None, status=status, folder=folder, reason=reason
                )
                yield _with_remote(gone, status, file)


def _reason(left_out: Mapping[str, Reason], path: str) -> Reason | None:
    """Why the local file, or a folder that contains it, is left out; None if it is not. Keys are composed."""
    path = composed(path)
    ends = (at + 1 for at, letter in enumerate(path) if letter == "/")
    return left_out.get(path) or next((left_out[path[:end]] for end in ends if path[:end] in left_out), None)
