"""Compare a job's sources with the repeated command's selection: lost, moved, or all sent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from uploader.errors import SourceNotFound
from uploader.sources.filters import IGNORE_FILE
from uploader.sources.models import Selection, Skipped, SourceFile
from uploader.sources.walk import Found
from uploader.text import printable
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.lifecycle import State, Transfer
from uploader.transfer.journal.plan import key_of
from uploader.transfer.journal.state import COMPLETE, FORGOTTEN, VANISHED, JobState


def lost_sources(state: JobState, selection: Selection) -> set[str]:
    """Paths of sources that no longer exist and are not verified: unmounted, emptied or cleaned up. Blocks.

    One that was begun is lost as well if it is no longer a file. `selection` is what the command selects now: those
    files exist.
    """
    wanted = (t for t in state.transfers if not t.link and not t.dropped and t.state is not State.VERIFIED)
    left: dict[str, bool] = {}
    """By path, whether it must be a file; one source may go to several places."""
    for transfer in wanted:
        must_be_file = _is_begun(transfer) and transfer.archive is None
        left[transfer.path] = must_be_file or left.get(transfer.path, False)
    for chosen in selection.files if left else ():
        left.pop(chosen.path, None)
    return {path for path, must_be_file in left.items() if not _exists(path, as_file=must_be_file)}


def _exists(path: str, *, as_file: bool) -> bool:
    return os.path.isfile(path) if as_file else os.path.exists(path)  # noqa: PTH110, PTH113


def _is_begun(transfer: Transfer) -> bool:
    return transfer.state is not State.VERIFIED and (transfer.file_id is not None or transfer.intended_at is not None)


def select_moved(state: JobState, selection: Selection) -> None:
    """Select the sources of a job that a link has replaced, or a folder above them: they were moved. Blocks.

    One that was not sent yet is sent, unless it is left out now; one that was sent stays in the job if the link leads
    to the version sent. Raises what prevents one from being sent.
    """
    links = {skip.path: skip for skip in selection.skipped if skip.follow is not None}
    # The user may have named such a link, and a selection may come here twice.
    chosen = {key_of(file) for file in selection.files} if links else set()
    moved: dict[str, dict[tuple[str, str], Transfer]] = {}
    for transfer in state.active if links else ():
        link = next((path for path in _with_folders(transfer.path) if path in links), None)
        if link is not None and transfer.archive is None and key_of(transfer) not in chosen:
            moved.setdefault(link, {})[key_of(transfer)] = transfer
    for link, transfers in moved.items():
        follow = links[link].follow
        _take_moved(follow() if follow is not None else (), transfers, selection)
    selected = {file.path for file in selection.files} if moved else set()
    selection.skipped = [skip for skip in selection.skipped if skip.path not in moved or skip.path not in selected]


def _take_moved(behind: Iterable[Found], transfers: Mapping[tuple[str, str], Transfer], selection: Selection) -> None:
    """Add what was found behind a link to a selection, as far as it concerns these transfers. Raises the errors."""
    paths = {path for transfer in transfers.values() for path in _with_folders(transfer.path)}
    for found in behind:
        match found:
            case SourceFile():
                transfer = transfers.get(key_of(found))
                if transfer is not None and (transfer.state is not State.VERIFIED or _is_version(transfer, found)):
                    selection.files.append(found)
            case Skipped():
                if found.path in paths:
                    selection.skipped.append(found)
            case SourceNotFound():
                pass  # one of the job is lost: see `lost_sources`
            case _ if not paths.isdisjoint(_subjects(found.path or "")):
                raise found


def _subjects(path: str) -> tuple[str, str, str]:
    """Return what an error with this path concerns: a file, a folder, or one with this ignore file."""
    return path, f"{path}/", path.removesuffix(IGNORE_FILE)


def _with_folders(path: str) -> Iterator[str]:
    """Return a path and the folders above it, each with a slash at the end, the nearest first."""
    yield path
    while above := path.rpartition("/")[0]:
        yield f"{above}/"
        path = above


def absence_events(state: JobState, forget_missing: bool) -> list[ev.AnyEvent]:
    """Make the events that the repeated command would make of sources that no longer exist, for a job that is resumed
    without it. Blocks.

    A file that was sent is dropped, with `forget_missing` any file; not if the user named it, or nothing of its folder
    or of the job is left: then the command would fail, too.
    """
    gone = {t.index for t in state.active if state.may_vanish(t) and _is_gone(t.path)}
    if len(gone) == len(state.active):
        return []
    events: list[ev.AnyEvent] = []
    for transfer in (state.transfers[index] for index in sorted(gone)):
        if (forget_missing or transfer.state is State.VERIFIED) and not _is_gone(_top_of(transfer)):
            reason = VANISHED if transfer.state in COMPLETE else FORGOTTEN
            events += [ev.SourceDropped(transfer.index), ev.SourceSkipped(printable(transfer.path), reason)]
    return events


def _is_gone(path: str) -> bool:
    """Return True if the path certainly does not exist: not if its storage does not answer."""
    try:
        os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _top_of(transfer: Transfer) -> str:
    """Return the folder that the user named to send this file."""
    return transfer.path.removesuffix(transfer.remote_path) + transfer.folder.partition("/")[0]


def has_sent(state: JobState, selection: Selection) -> bool:
    """Return True if a finished job has sent all of a selection, in the versions that were found. Looks at no file."""
    known = {key_of(transfer): transfer for transfer in state.active}
    sent = ((chosen, known.get(key_of(chosen))) for chosen in selection.files)
    return not selection.problems and all(
        transfer is not None and _is_version(transfer, chosen) for chosen, transfer in sent
    )


def _is_version(transfer: Transfer, chosen: SourceFile) -> bool:
    if chosen.archive is not None and transfer.archive is not None:
        return chosen.archive.id == transfer.archive.id
    return chosen.link or (chosen.size, chosen.mtime_ns) == (transfer.size, transfer.mtime_ns)
