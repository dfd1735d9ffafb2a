"""Which requests are retried: transient responses, broken connections, lost responses."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from tests.unit.figshare.conftest import Connect
from tests.unit.figshare.service import HANG, Asked, FakeClock, GatedClock, Service, listening, read_request, reply
from uploader.errors import ProtocolViolation, ServerFailing, StateDiskFull, Unreachable
from uploader.figshare import transport
from uploader.figshare.auth import Token
from uploader.figshare.client import Figshare
from uploader.figshare.outcomes import AmbiguousAnswer
from uploader.figshare.settings import RetryPolicy, Settings

ACCOUNT = reply(200, {"id": 1})
CREATING: list[Any] = [
    pytest.param(lambda f: f.items.create({"title": "T"}), reply(201, {"entity_id": 7}), id="create item"),
    pytest.param(lambda f: f.initiate(5, name="a", size=1), reply(201, {"location": "/files/7"}), id="initiate"),
    pytest.param(lambda f: f.complete(5, 9), reply(202, "<html>"), id="complete"),
]
Call = Callable[[Figshare], Awaitable[Any]]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520])
async def test_transient_responses_are_retried(
    service: Service, connect: Connect, clock: FakeClock, status: int
) -> None:
    waits: list[tuple[str, float]] = []
    service.answers = [reply(status, {"message": "later"}), reply(status, "<html>"), ACCOUNT]
    await connect(on_retry=lambda reason, delay: waits.append((reason, delay))).account()
    assert [delay for _, delay in waits] == [0.5, 1.0]
    assert waits[0][0] == f"127.0.0.1 answered {status}: later"


async def test_a_deletion_is_retried(service: Service, connect: Connect) -> None:
    service.answers = [reply(502), None, reply(204)]
    await connect().delete_file(5, 9)
    assert [asked.method for asked in service.asked] == ["DELETE"] * 3


async def test_every_request_obeys_retry_after(service: Service) -> None:
    service.answers = [reply(429, b"", {"Retry-After": "40"}), ACCOUNT, ACCOUNT]
    clock = GatedClock()
    settings = Settings(service.endpoint, api_rate=None)
    async with Figshare(settings, Token("x"), clock=clock) as figshare, anyio.create_task_group() as group:
        group.start_soon(figshare.account)
        with anyio.fail_after(5):
            while not clock.sleeps:
                await anyio.sleep(0.005)
        group.start_soon(figshare.account)
        await anyio.sleep(0.05)
        assert len(service.asked) == 1
        clock.gate.set()
    assert len(service.asked) == 3
    assert clock.sleeps[0] == 40


async def test_a_retry_after_date_is_relative_to_the_servers_clock(
    service: Service, connect: Connect, clock: FakeClock
) -> None:
    dates = {"Date": "Fri, 02 Jan 2026 00:00:00 GMT", "Retry-After": "Fri, 02 Jan 2026 00:00:30 GMT"}
    service.answers = [reply(503, b"", dates), ACCOUNT]
    await connect().account()
    assert clock.sleeps[0] == pytest.approx(30)


async def test_after_the_retry_time_the_last_server_message_is_raised(
    service: Service, connect: Connect, clock: FakeClock
) -> None:
    service.script = lambda _: reply(503, {"message": "maintenance"})
    with pytest.raises(ServerFailing, match=r"127\.0\.0\.1 answered 503: maintenance") as caught:
        await connect(retry=RetryPolicy(elapsed_cap=100)).account()
    assert caught.value.exit_status == 75
    assert 50 <= sum(clock.sleeps) <= 100


async def test_a_delay_beyond_the_retry_time_fails_at_once(
    service: Service, connect: Connect, clock: FakeClock
) -> None:
    service.answers = [reply(503, b"", {"Retry-After": "86400"})]
    with pytest.raises(ServerFailing):
        await connect().account()
    assert clock.sleeps == []


async def test_a_gateways_page_is_retried(service: Service, connect: Connect) -> None:
    service.answers = [ACCOUNT, reply(200, "<html>maintenance"), reply(200, '{"id": '), ACCOUNT]
    figshare = connect()
    await figshare.account()
    assert (await figshare.account()).id == 1
    assert len(service.asked) == 4


async def test_an_unreachable_server_is_an_error(refusing: str, connect: Connect, clock: FakeClock) -> None:
    figshare = connect(endpoint=refusing, retry=RetryPolicy(elapsed_cap=10))
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1: no connection") as caught:
        await figshare.account()
    assert caught.value.exit_status == 75
    assert len(clock.sleeps) >= 2


@pytest.mark.parametrize(("call", "_"), CREATING)
async def test_a_create_without_connection_is_not_ambiguous(
    refusing: str, connect: Connect, call: Call, _: bytes
) -> None:
    with pytest.raises(Unreachable):
        await call(connect(endpoint=refusing, retry=RetryPolicy(elapsed_cap=1)))


@pytest.mark.parametrize(
    "answer",
    [reply(429, {"message": "slow"}), reply(408), reply(425), reply(503, b"", {"Retry-After": "1"})],
    ids=["429", "408", "425", "503 with a time"],
)
@pytest.mark.parametrize(("call", "good"), CREATING)
async def test_a_create_without_effect_is_retried(
    service: Service, connect: Connect, call: Call, good: bytes, answer: bytes
) -> None:
    service.answers = [answer, good]
    await call(connect())
    assert len(service.asked) == 2


CUT = reply(201, b'{"entity_id', length=40)
LOST: dict[str, object] = {
    "connection closed": None,
    "500": reply(500, {"message": "boom"}),
    "502": reply(502, "<html>"),
    "503": reply(503),
    "504": reply(504),
    "no answer": HANG,
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "too long": reply(201, b"x" * 3000),
}


@pytest.mark.parametrize("answer", LOST.values(), ids=LOST)
@pytest.mark.parametrize(("call", "_"), CREATING)
async def test_an_ambiguous_create_is_not_retried(
    service: Service, connect: Connect, monkeypatch: pytest.MonkeyPatch, call: Call, _: bytes, answer: object
) -> None:
    monkeypatch.setattr(transport, "JSON_LIMIT", 1000)
    service.answers = [answer]
    with pytest.raises(AmbiguousAnswer) as caught:
        await call(connect(answer_timeout=0.1))
    assert len(service.asked) == 1
    assert "127.0.0.1" in caught.value.reason
    assert "boom" in caught.value.reason or answer != LOST["500"]


@pytest.mark.parametrize(("call", "good"), CREATING)
async def test_a_create_is_not_repeated_on_a_connection_that_went_stale(
    service: Service, connect: Connect, call: Call, good: bytes
) -> None:
    service.answers = [ACCOUNT, None, good]
    figshare = connect()
    await figshare.account()
    with pytest.raises(AmbiguousAnswer):
        await call(figshare)
    assert [asked.connection for asked in service.asked] == [1, 1]
    await call(figshare)
    assert [asked.connection for asked in service.asked] == [1, 1, 2]


async def test_aiohttp_does_not_retry(service: Service, connect: Connect, clock: FakeClock) -> None:
    """The HTTP library itself would repeat a GET on a lost connection, uncounted and immediately."""
    service.answers = [None, ACCOUNT]
    figshare = connect()
    await figshare.account()
    assert figshare.requests == 2
    assert clock.sleeps == [0.5]


REPEATABLE: dict[str, Call] = {
    "account": lambda f: f.account(),
    "item": lambda f: f.item(5),
    "delete": lambda f: f.delete_file(5, 9),
    "authors": lambda f: f.items.set_authors(5, []),
    "upload": lambda f: f.upload(f"{f._endpoint.removesuffix('/v2')}/upload/x"),
}


@pytest.mark.parametrize("call", REPEATABLE.values(), ids=REPEATABLE)
async def test_a_connection_closed_at_its_second_request_costs_a_new_one_once(
    service: Service, connect: Connect, clock: FakeClock, call: Call
) -> None:
    """Some proxies close each connection after a response without announcing it."""
    used: set[int] = set()

    def say(asked: Asked) -> object:
        if asked.connection in used:
            return None
        used.add(asked.connection)
        return reply(200, {"id": 5, "size": 0, "status": "COMPLETED"})

    service.script = say
    figshare = connect()
    for _ in range(3):
        await call(figshare)
    assert [asked.connection for asked in service.asked] == [1, 1, 2, 3]
    assert clock.sleeps == []


async def test_a_timeout_is_retried(service: Service, connect: Connect) -> None:
    service.answers = [HANG, ACCOUNT]
    await connect(answer_timeout=0.1).account()
    assert len(service.asked) == 2


async def test_connections_are_reused(service: Service, connect: Connect) -> None:
    service.script = lambda _: ACCOUNT
    figshare = connect()
    for _ in range(5):
        await figshare.account()
    assert service.connections == 1


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, block: bytes) -> int:
    """Send an endless response; return the number of bytes sent until the client disconnected."""
    await read_request(reader)
    writer.write(head)
    sent = 0
    try:
        while True:
            writer.write(block)
            await writer.drain()
            sent += len(block)
            await asyncio.sleep(0.01 if len(block) < 100 else 0)
    except ConnectionError:
        return sent


async def test_an_endless_success_is_an_error(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "JSON_LIMIT", 1 << 20)
    sent: list[int] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n["
        sent.append(await drip(reader, writer, head, b" " * 65536))

    async with listening(handle) as port:
        with pytest.raises(ProtocolViolation, match="longer than"):
            await connect(endpoint=f"http://127.0.0.1:{port}/v2").account()
        with anyio.fail_after(5):
            while not sent:
                await anyio.sleep(0.01)
    assert sent[0] < 30 << 20


async def test_a_dripping_success_is_given_up(connect: Connect) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await drip(reader, writer, b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", b" ")

    async with listening(handle) as port:
        figshare = connect(
            endpoint=f"http://127.0.0.1:{port}/v2",
            answer_timeout=0.1,
            connect_timeout=0.1,
            retry=RetryPolicy(elapsed_cap=0),
        )
        with anyio.fail_after(5), pytest.raises(Unreachable, match="no response in time"):
            await figshare.account()


@pytest.mark.parametrize("block", [b" ", b" " * 65536], ids=["slow", "fast"])
async def test_an_endless_error_response_is_truncated(connect: Connect, block: bytes) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await drip(reader, writer, b"HTTP/1.1 404 No\r\n\r\n", block)

    async with listening(handle) as port:
        figshare = connect(endpoint=f"http://127.0.0.1:{port}/v2", answer_timeout=0.2)
        with anyio.fail_after(5):
            await figshare.delete_item(5)


async def test_a_cancelled_call_leaves_no_connection_behind(service: Service, connect: Connect) -> None:
    service.answers = [HANG, ACCOUNT]
    figshare = connect()
    with anyio.move_on_after(0.1):
        await figshare.account()
    with anyio.fail_after(5):
        await service.lost.wait()
    await figshare.account()
    assert [asked.connection for asked in service.asked] == [1, 2]


async def test_on_turn_is_called_after_the_budget_and_before_each_attempt(
    service: Service, connect: Connect, clock: FakeClock
) -> None:
    figshare = connect(api_rate=0.1, api_burst=1)
    service.answers = [ACCOUNT, reply(429), reply(201, {"location": "/files/7"})]
    await figshare.account()
    turns: list[tuple[float, int]] = []
    before = clock.monotonic()

    async def on_turn() -> None:
        turns.append((clock.monotonic() - before, len(service.asked)))

    assert await figshare.initiate(5, name="a", size=1, on_turn=on_turn) == 7
    assert [asked for _, asked in turns] == [1, 2]
    assert turns[0][0] == pytest.approx(10, abs=0.5)
    assert len(service.asked) == 3


async def test_an_error_in_on_turn_prevents_the_request(service: Service, connect: Connect) -> None:
    async def on_turn() -> None:
        raise StateDiskFull("full")

    figshare = connect()
    for call in (
        figshare.initiate(5, name="a", size=1, on_turn=on_turn),
        figshare.link(5, "https://a.b", on_turn=on_turn),
        figshare.complete(5, 6, on_turn=on_turn),
    ):
        with pytest.raises(StateDiskFull):
            await call
    assert service.asked == []


async def test_no_more_requests_are_on_their_way_than_this_process_has_connections_for(
    service: Service, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.script = lambda _: HANG
    monkeypatch.setattr(resource, "getrlimit", lambda _: (128, 128))
    async with (
        Figshare(Settings(service.endpoint, api_rate=None), Token("x"), clock=clock) as figshare,
        anyio.create_task_group() as group,
    ):
        for _ in range(40):
            group.start_soon(figshare.account)
            group.start_soon(figshare.upload, service.upload_url)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            while len(service.asked) < 21:
                await anyio.sleep(0.005)
        await anyio.sleep(0.05)
        assert (len(service.asked), service.connections) == (21, 21)
        assert figshare.waiting == 28
        assert not figshare.idle
        group.cancel_scope.cancel()
