"""Neither the token nor an upload address is shown anywhere, whatever happens."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.unit.figshare.conftest import Connect
from tests.unit.figshare.service import HANG, SECRET, TOKEN, Service, reply
from uploader.figshare.client import Figshare
from uploader.figshare.models import Part
from uploader.figshare.settings import RetryPolicy

ROW = {"partNo": 1, "startOffset": 0, "endOffset": 9, "status": "PENDING", "locked": False}


async def ten_bytes() -> AsyncIterator[bytes]:
    yield b"x" * 10


async def too_few() -> AsyncIterator[bytes]:
    yield b"x"


CALLS: dict[str, Any] = {
    "account": lambda f, u: f.account(),
    "create": lambda f, u: f.items.create({"title": "T"}),
    "complete": lambda f, u: f.complete(5, 9),
    "delete": lambda f, u: f.delete_file(5, 9),
    "upload": lambda f, u: f.upload(u),
    "part": lambda f, u: f.part(u, 1),
    "send": lambda f, u: f.send_part(u, Part(no=1, start=0, end=9), ten_bytes),
    "send too little": lambda f, u: f.send_part(u, Part(no=1, start=0, end=9), too_few),
}
ANSWERS: dict[str, object] = {
    "good": reply(200, {"id": 1, "entity_id": 1, "token": SECRET, "size": 10, "parts": [ROW], **ROW}),
    "refused": reply(422, {"message": "no"}),
    "forbidden": reply(403, {"message": "no"}),
    "missing": reply(404),
    "locked": reply(409),
    "failing": reply(500),
    "closed": None,
    "hanging": HANG,
    "no HTTP": b"SSH-2.0\r\n\r\n",
    "cut": reply(200, b"{", length=5),
    "moved": reply(302, b"", {"Location": f"https://elsewhere.org/upload/{SECRET}?token={TOKEN}"}),
    "page": reply(200, "<html>"),
    "wrong": reply(200, {"token": SECRET, "parts": [{"partNo": SECRET}], "id": SECRET, "upload_url": SECRET}),
}


def everything_about(fault: BaseException | None) -> Iterator[str]:
    """Texts, arguments and tracebacks of an exception and of all its causes and contexts."""
    while fault is not None:
        yield from (str(fault), repr(fault), repr(fault.args), repr(vars(fault)))
        yield "".join(traceback.format_exception(fault))
        fault = fault.__cause__ or fault.__context__


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_secrets_are_never_shown(
    service: Service, connect: Connect, caplog: pytest.LogCaptureFixture, call: Any, answer: object
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    service.script = lambda _: answer
    figshare: Figshare = connect(
        on_retry=lambda reason, _: said.append(reason),
        retry=RetryPolicy(elapsed_cap=1),
        stall_timeout=0.05,
        answer_timeout=0.05,
    )
    try:
        said.append(repr(await call(figshare, service.upload_url)))
    except Exception as fault:  # noqa: BLE001 - whatever it is, it must keep the secrets
        said.extend(everything_about(fault))
    said.extend(f"{record.getMessage()} {vars(record)!r}" for record in caplog.records)
    said.append(repr(vars(figshare)))
    shown = "\n".join(said)
    assert TOKEN not in shown
    assert SECRET not in shown
    assert len(caplog.records) > 0
