"""Signing in with OAuth 2, as the sandbox provides it: a plain client, no code of figup's own client."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.support.consent import ticket_of
from tests.support.sandbox_api import TOKEN, Api, sandbox_api
from uploader.sandbox.grants import CODE_LIFETIME

BACK = "http://127.0.0.1:1/back?x=1"
CLIENT = {"client_id": "sandbox", "client_secret": TOKEN}


def authorize_address(api: Api, **changes: str) -> str:
    query = {"client_id": "sandbox", "response_type": "code", "scope": "all", "state": "s1", "redirect_uri": BACK}
    return f"{api.at.url.removesuffix('/v2')}/account/applications/authorize?{urlencode({**query, **changes})}"


async def ask(api: Api, **changes: str) -> tuple[int, str, str]:
    """Open the page: its status, text, and the redirect."""
    async with api.http.get(authorize_address(api, **changes), allow_redirects=False) as answer:
        return answer.status, await answer.text(), answer.headers.get("Location", "")


async def press(api: Api, ticket: str, decision: str) -> tuple[int, dict[str, list[str]]]:
    form = {"ticket": ticket, "decision": decision}
    async with api.http.post(authorize_address(api), data=form, allow_redirects=False) as answer:
        return answer.status, parse_qs(urlsplit(answer.headers.get("Location", "")).query)


async def consented(api: Api, **changes: str) -> dict[str, list[str]]:
    """What the redirect carries once the owner has allowed it."""
    status, answer = await press(api, ticket_of((await ask(api, **changes))[1]), "allow")
    assert status == 302
    return answer


async def token(api: Api, **given: str) -> tuple[int, dict[str, Any]]:
    async with api.http.post(f"{api.at.url}/token", data={**CLIENT, **given}) as answer:
        return answer.status, await answer.json()


async def redeem(api: Api, **given: str) -> tuple[int, dict[str, Any]]:
    return await token(api, grant_type="authorization_code", **given)


async def refresh(api: Api, refresh_token: str) -> tuple[int, dict[str, Any]]:
    return await token(api, grant_type="refresh_token", refresh_token=refresh_token)


async def works(api: Api, access_token: str, word: str = "token") -> bool:
    status, _ = await api.call("GET", "/account", headers={"Authorization": f"{word} {access_token}"})
    return status == 200


async def test_a_code_is_good_for_one_token(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        back = await consented(api)
        assert (back["state"], back["x"]) == (["s1"], ["1"])
        code = back["code"][0]
        assert (await redeem(api, code=code, redirect_uri="http://127.0.0.1:1/other"))[1]["error"] == "invalid_grant"
        assert (await redeem(api, code=code))[0] == 400, "a failed attempt uses it up, too"
        status, made = await redeem(api, code=(await consented(api))["code"][0], redirect_uri=BACK)
        assert status == 200
        assert made["access_token"] == made["token"] != TOKEN
        assert await works(api, made["access_token"])
        assert await works(api, made["access_token"], "Bearer")
        assert (await api.call("GET", f"/account?access_token={made['token']}", headers={}))[0] == 200
        assert not await works(api, made["refresh_token"])
        assert not await works(api, made["access_token"][:-1] + "0" * (made["access_token"][-1] != "0") + "1")


async def test_a_code_and_a_page_expire(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        code, ticket = (await consented(api))["code"][0], ticket_of((await ask(api))[1])
        api.clock.ahead += CODE_LIFETIME + 1
        assert (await redeem(api, code=code))[1]["error"] == "invalid_grant"
        assert (await press(api, ticket, "allow"))[0] == 400


async def test_consent_needs_the_page_and_can_be_refused(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        assert (await press(api, "", "allow"))[0] == 400, "another page cannot consent in the owner's name"
        ticket = ticket_of((await ask(api))[1])
        _, answer = await press(api, ticket, "refuse")
        assert (answer["error"], answer["state"], "code" in answer) == (["access_denied"], ["s1"], False)
        assert (await press(api, ticket, "allow"))[0] == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"response_type": "token"}, "unsupported_response_type"), ({"scope": "read"}, "invalid_scope")],
)
async def test_a_wrong_request_is_answered_by_redirect(tmp_path: Path, changes: dict[str, str], error: str) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        status, _, target = await ask(api, **changes)
        assert status == 302
        assert parse_qs(urlsplit(target).query)["error"] == [error]


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"redirect_uri": ""},
        *({"redirect_uri": away} for away in ("https://example.org/", "javascript:1", "http://[", f"{BACK}\n")),
    ],
)
async def test_no_redirect_to_an_unknown_address(tmp_path: Path, changes: dict[str, str]) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        status, _, target = await ask(api, **changes)
        assert (status, target) == (400, "")


async def test_redirects_may_have_to_be_https(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s", https_redirects=True) as api:
        status, text, _ = await ask(api)
        assert (status, "HTTPS" in text) == (400, True)
        assert (await ask(api, redirect_uri="https://localhost:8765/"))[0] == 200


@pytest.mark.parametrize("rotates", [False, True])
async def test_a_token_expires_and_is_refreshed(tmp_path: Path, rotates: bool) -> None:
    async with sandbox_api(tmp_path / "s", oauth_lifetime=60.0, rotate_refresh=rotates) as api:
        _, first = await redeem(api, code=(await consented(api))["code"][0])
        assert first["expires_in"] == 60
        api.clock.ahead += 61
        assert not await works(api, first["access_token"])
        status, second = await refresh(api, first["refresh_token"])
        assert (status, await works(api, second["access_token"])) == (200, True)
        assert (second["refresh_token"] != first["refresh_token"]) == rotates
        status, answer = await refresh(api, first["refresh_token"])
        assert (status, answer.get("error")) == ((400, "invalid_grant") if rotates else (200, None))


async def test_tokens_outlive_a_restart(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        _, made = await redeem(api, code=(await consented(api))["code"][0])
    async with sandbox_api(tmp_path / "s") as api:
        assert await works(api, made["access_token"])
        assert (await refresh(api, made["refresh_token"]))[0] == 200
