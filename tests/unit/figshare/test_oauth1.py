"""The first API: three legs, signed calls, and what a wrong clock or an odd answer becomes."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from urllib.parse import quote

import pytest

from tests.unit.figshare.service import Asked, FakeClock, Service, reply
from uploader.errors import FigupError, NotFigshare, ProtocolViolation, SignInFailed, TokenRejected, UsageError
from uploader.figshare.grants import OAuth1Grant, parse_grant
from uploader.figshare.oauth1 import FirstApi, first_endpoint
from uploader.figshare.settings import RetryPolicy, Settings

EMPTY = OAuth1Grant(consumer="app", consumer_secret="app-s3cret")
GRANT = OAuth1Grant(consumer="app", consumer_secret="app-s3cret", token="first-t0ken", token_secret="first-s3cret")
TOKENS = "oauth_token=tok&oauth_token_secret=temporary-s3cret&xoauth_figshare_id=13483"


def session(service: Service, clock: FakeClock, grant: OAuth1Grant = EMPTY) -> FirstApi:
    settings = Settings(service.endpoint, api_rate=None, retry=RetryPolicy(elapsed_cap=5.0))
    return FirstApi(grant, settings, clock=clock)


def signed(asked: Asked) -> dict[str, str]:
    header = asked.headers["Authorization"].removeprefix("OAuth ")
    return dict(part.strip().replace('"', "").split("=", 1) for part in header.split(","))


def test_the_first_api_is_beside_todays() -> None:
    assert first_endpoint("https://api.figshare.com/v2") == "https://api.figshare.com/v1"
    with pytest.raises(UsageError):
        first_endpoint("https://api.figshare.com/v3")


async def test_three_legs(service: Service, clock: FakeClock) -> None:
    service.answers = [reply(200, TOKENS), reply(200, TOKENS.replace("=tok", "=new"))]
    api = session(service, clock)
    temporary = await api.request_token("http://127.0.0.1:1/")
    assert temporary.page == f"{service.origin}/v1/pbl/oauth/authorize?oauth_token=tok"
    grant = await api.access(temporary, "1234567")
    await api.close()
    assert (grant.token, grant.account, parse_grant(grant.dump())) == ("new", "13483", grant)
    first, second = service.asked
    assert (first.method, first.path) == ("GET", "/v1/pbl/oauth/request_token")
    assert (second.method, second.path) == ("POST", "/v1/pbl/oauth/access_token")
    assert signed(first)["oauth_callback"] == quote("http://127.0.0.1:1/", safe="")
    assert signed(first)["oauth_timestamp"] == str(int(clock.now().timestamp()))
    assert {"oauth_token": "tok", "oauth_verifier": "1234567"}.items() <= signed(second).items()
    assert "s3cret" not in f"{temporary!r} {grant!r}"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (reply(401, {"error": {"error": "Unknown consumer"}}), SignInFailed, "signature: Unknown consumer"),
        (reply(401, b"<html>"), SignInFailed, "status 401"),
        (reply(200, b"<html>"), NotFigshare, "with a web page instead of a token"),
        (reply(200, "x=1"), NotFigshare, "with no token"),
        (reply(404, b"<html>"), NotFigshare, "404"),
        (None, SignInFailed, "the response was lost"),
        (reply(500), SignInFailed, "the response was lost"),
    ],
)
async def test_a_failed_leg_is_one_clear_error(
    service: Service, clock: FakeClock, answer: object, kind: type[FigupError], words: str
) -> None:
    service.answers = [answer]
    api = session(service, clock)
    with pytest.raises(kind, match=words):
        await api.request_token("oob")
    await api.close()
    assert len(service.asked) == 1


@pytest.mark.parametrize(("hours", "way"), [(1, "slow"), (-1, "fast")])
@pytest.mark.parametrize("signing_in", [True, False])
async def test_a_wrong_clock_is_named(
    service: Service, clock: FakeClock, hours: int, way: str, signing_in: bool
) -> None:
    date = format_datetime(clock.now() + timedelta(hours=hours), usegmt=True)
    service.answers = [reply(401, {"error": {"error": "Invalid timestamp"}}, {"Date": date})]
    api = session(service, clock, GRANT)
    with pytest.raises(TokenRejected, match=rf"the clock of this computer is 1 h 00 min {way}") as caught:
        await (api.request_token("oob") if signing_in else api.own())
    await api.close()
    assert (caught.value.exit_status, caught.value.facts.situation) == (3, "clock-wrong")


async def test_lists_are_records(service: Service, clock: FakeClock) -> None:
    row = {"article_id": 5, "title": "One", "defined_type": "dataset", "doi": "10.1/x"}
    service.answers = [reply(200, {"count": 12, "items": [row]}), reply(200, {"items_found": 1, "items": [row]})]
    api = session(service, clock, GRANT)
    [record], count = await api.own()
    assert (record.id, record.title, record.type, record.raw, count) == (5, "One", "dataset", row, 12)
    _, count = await api.search({"has_title": "a b&c"}, 2)
    await api.close()
    assert count == 1
    assert service.asked[1].path == "/v1/articles/search?has_title=a+b%26c&page=2"
    assert signed(service.asked[1])["oauth_token"] == "first-t0ken"


async def test_each_attempt_has_its_own_nonce(service: Service, clock: FakeClock) -> None:
    service.answers = [reply(503), reply(200, {"count": 0, "items": []})]
    api = session(service, clock, GRANT)
    assert await api.own() == ([], 0)
    await api.close()
    first, second = map(signed, service.asked)
    assert first["oauth_nonce"] != second["oauth_nonce"]


@pytest.mark.parametrize("body", [[], {"items": [1]}, {"items": [{"title": "x"}]}, {"message": "x"}])
async def test_an_odd_list_is_an_error(service: Service, clock: FakeClock, body: object) -> None:
    service.answers = [reply(200, body)]
    api = session(service, clock, GRANT)
    with pytest.raises((ProtocolViolation, NotFigshare)):
        await api.own()
    await api.close()
