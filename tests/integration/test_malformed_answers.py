"""Every request of an upload with every malformed response: the upload ends as documented, with a helpful error."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

import uploader
from tests.support.hostile import Answer, Asked, Hostile, hostile
from tests.support.malformed import ALL, FINE, PASSING, Change
from uploader.cli.errors import failure_of
from uploader.errors import FigupError
from uploader.figshare.settings import RetryPolicy, Settings
from uploader.transfer.options import Options

KINDS = (
    "account",
    "create",
    "item",
    "initiate",
    "file",
    "upload",
    "put",
    "part",
    "complete",
    "files",
    "items",
    "delete",
)
STATUSES = {1, 2, 3, 4, 5, 6, 7, 75}
TOKEN = "c4nary-t0ken-4d5e6f"
TIME_LIMIT = 15.0
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("malformed")
    (made / "data.bin").write_bytes(b"x" * 1000)
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[Hostile]:
    with hostile() as made:
        yield made


async def _upload(server: Hostile, folder: Path) -> uploader.Report:
    options = Options(settle_timeout=0.05, verify_timeout=0.05)
    retry = RetryPolicy(first_delay=0.01, max_delay=0.02, elapsed_cap=0.1)
    settings = Settings(
        server.url, api_rate=None, retry=retry, answer_timeout=0.5, stall_timeout=0.5, visibility_timeout=0.05
    )
    state_dir = folder / f"state-{next(_NUMBERS)}"
    client = uploader.Client(TOKEN, state_dir=state_dir, options=options, settings=settings)
    async with asyncio.timeout(TIME_LIMIT), client:
        return await client.upload([folder / "data.bin"], title="Malformed", new_job=True)


def meet(server: Hostile, folder: Path, kind: str, change: Change, *, once: bool = False) -> FigupError | None:
    """Run one upload with all responses of a kind, or the first one, replaced. None: it must be verified."""
    met = 0

    def say(asked: Asked) -> Answer:
        nonlocal met
        met += 1
        honest = server.honest(asked)
        return honest if once and met > 1 else change(honest)

    server.complete = False
    server.asked.clear()
    server.answers = {kind: say}
    try:
        report = asyncio.run(_upload(server, folder))
    except uploader.RunFailed as failed:
        return failed.error
    except FigupError as error:
        return error
    assert [file.status for file in report.files] == ["verified"]
    return None


def check_helpful(error: FigupError) -> None:
    failure = failure_of(error)
    assert failure.exit_status in STATUSES
    assert failure.code not in ("error", "internal")
    assert failure.message.isprintable()
    assert failure.hint
    # The user needs a message to find the fault.
    if "what Figshare reports" in failure.hint:
        assert "answered 4" in failure.message
        assert failure.message.count(": ") > 1


def check(server: Hostile, folder: Path, kind: str, name: str) -> None:
    error = meet(server, folder, kind, ALL[name])
    if error is not None:
        try:
            check_helpful(error)
        except AssertionError as fault:
            raise AssertionError(f"{name}: {error!r} {error.hint!r}: {fault}") from None
    assert name not in FINE or error is None, f"{name}: {error!r}"
    if name in PASSING:
        error = meet(server, folder, kind, PASSING[name], once=True)
        assert error is None, f"{name}, once: {error!r}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_of_what_requests_may_meet(server: Hostile, folder: Path, kind: str) -> None:
    """Each request gets some of the responses, and each response is used by a few requests."""
    first = KINDS.index(kind)
    for name in [*[*FINE, *PASSING][first :: len(KINDS)], *list(ALL)[first :: 5 * len(KINDS)]]:
        check(server, folder, kind, name)


@pytest.mark.exhaustive
@pytest.mark.parametrize("share", range(8))
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_requests_meet(server: Hostile, folder: Path, kind: str, share: int) -> None:
    for name in list(ALL)[share::8]:
        check(server, folder, kind, name)
