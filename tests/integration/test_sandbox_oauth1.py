"""OAuth 1 and the first API, as the sandbox provides them: oauthlib signs, the sandbox's own reading verifies."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import pytest
from oauthlib.oauth1 import Client

from tests.support.consent import ticket_of
from tests.support.sandbox_api import TOKEN, Api, sandbox_api
from uploader.sandbox.oauth.signature import parse_header, signature

BACK = "http://127.0.0.1:1/back"


def address(api: Api, path: str) -> str:
    return api.at.url.removesuffix("/v2") + "/v1" + path


async def call(api: Api, path: str, method: Literal["GET", "POST"] = "GET", **values: Any) -> tuple[int, str]:
    """Make a signed request; `values` are oauthlib's; `ahead`: by how much the signer's clock is wrong."""
    ahead = values.pop("ahead", 0)
    client = Client(
        values.pop("key", "sandbox"), values.pop("secret", TOKEN), realm="", timestamp=str(int(time.time()) + ahead),
        **values,
    )  # fmt: skip
    url, headers, _ = client.sign(address(api, path), http_method=method)
    async with api.http.request(method, url, headers=headers) as answer:
        return answer.status, await answer.text()


async def request_token(api: Api, callback: str = BACK) -> tuple[str, str]:
    status, text = await call(api, "/pbl/oauth/request_token", callback_uri=callback)
    assert status == 200, text
    fields = {name: one[0] for name, one in parse_qs(text).items()}
    assert (fields["oauth_callback_confirmed"], fields["oauth_expires_in"]) == ("True", "3600")
    assert unquote(fields["oauth_request_auth_url"]).endswith(fields["oauth_token"])
    return fields["oauth_token"], fields["oauth_token_secret"]


async def consented(api: Api, token: str, decision: str = "allow") -> tuple[str, dict[str, list[str]]]:
    """The page that answers the owner's decision, and the parameters of the redirect."""
    page = address(api, f"/pbl/oauth/authorize?oauth_token={token}")
    async with api.http.get(page) as answer:
        form = {"ticket": ticket_of(await answer.text()), "decision": decision}
    async with api.http.post(page, data=form, allow_redirects=False) as answer:
        target = answer.headers.get("Location", "")
        return await answer.text(), parse_qs(urlsplit(target).query)


async def access(api: Api, token: str, secret: str, verifier: str) -> tuple[int, str]:
    return await call(
        api, "/pbl/oauth/access_token", "POST",
        resource_owner_key=token, resource_owner_secret=secret, verifier=verifier,
    )  # fmt: skip


async def signed_in(api: Api) -> dict[str, Any]:
    token, secret = await request_token(api)
    _, back = await consented(api, token)
    assert back["oauth_token"] == [token]
    status, text = await access(api, token, secret, back["oauth_verifier"][0])
    assert status == 200, text
    fields = {name: one[0] for name, one in parse_qs(text).items()}
    assert fields["xoauth_figshare_id"].isdigit()
    return {"resource_owner_key": fields["oauth_token"], "resource_owner_secret": fields["oauth_token_secret"]}


def test_the_example_of_the_standard() -> None:
    """RFC 5849, section 1.2."""
    given = parse_header(
        'OAuth realm="Photos", oauth_consumer_key="dpf43f3p2l4k3l03", oauth_token="nnch734d00sl2jdk",'
        ' oauth_signature_method="HMAC-SHA1", oauth_timestamp="137131202", oauth_nonce="chapoH",'
        ' oauth_signature="MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D"'
    )
    assert given is not None
    url = "http://photos.example.net/photos?file=vacation.jpg&size=original"
    assert signature("GET", url, given, ("kd94hf93k423kf44", "pfkkdhi9sl3r4s00")) == given["oauth_signature"]


@pytest.mark.parametrize("header", ["", "token x", "OAuth x", 'OAuth a="1" b="2"', 'OAuth a="1", a="2"', "OAuth a=1"])
def test_a_malformed_header_is_not_read(header: str) -> None:
    assert not parse_header(header)


async def test_three_legs_then_signed_calls(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        for number in range(12):
            await api.item(f"Own {number}")
        keys = await signed_in(api)
        status, text = await call(api, "/my_data/articles?page=2", **keys)
        assert (status, text.count('"article_id"'), '"count": 12' in text) == (200, 10, True)
        own = re.findall(r'"article_id": (\d+)', text)[0]
        status, text = await call(api, f"/articles/{own}", **keys)
        assert (status, f'"items": [{{"article_id": {own}, "title": "Own ' in text) == (200, True)
        assert await call(api, "/articles/1", **keys) == (404, '{"error": {"error": "Article not found"}}')
        query = urlencode({"search_for": "nothing such", "has_title": "a b&c", "from_date": "2020-01-01"})
        status, text = await call(api, f"/articles/search?{query}", **keys)
        assert (status, text) == (200, '{"items_found": 0, "items": []}')


async def test_a_pin_is_good_once(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        token, secret = await request_token(api, "oob")
        html, _ = await consented(api, token)
        found = re.search(r'id="pin">(\d{7})<', html)
        assert found is not None
        assert (await access(api, token, secret, "0000000"))[0] == 401
        assert (await access(api, token, secret, found[1]))[0] == 401, "a wrong one uses it up"
        token, secret = await request_token(api, "oob")
        found = re.search(r'id="pin">(\d{7})<', (await consented(api, token))[0])
        assert found is not None
        assert (await access(api, token, secret, found[1]))[0] == 200
        assert (await access(api, token, secret, found[1]))[0] == 401


async def test_consent_can_be_refused(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        token, secret = await request_token(api)
        _, back = await consented(api, token, "refuse")
        assert back["denied"] == [token]
        assert (await access(api, token, secret, ""))[0] == 401


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"key": "another"}, "Unknown consumer"),
        ({"secret": "wrong"}, "Invalid signature"),
        ({"resource_owner_secret": "wrong"}, "Invalid signature"),
        ({"resource_owner_key": "another"}, "Unknown consumer or token"),
        ({"ahead": 3600}, "Invalid timestamp"),
        ({"ahead": -3600}, "Invalid timestamp"),
        ({"signature_method": "PLAINTEXT"}, "Unknown signature method"),
        ({"signature_type": "QUERY"}, "Missing OAuth parameters"),
    ],
)
async def test_a_wrong_signature_is_refused(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        keys = await signed_in(api)
        status, text = await call(api, "/my_data/articles", **{**keys, **values})
        assert (status, words in text) == (401, True), text


async def test_a_request_is_taken_once_and_as_it_was_signed(tmp_path: Path) -> None:
    async with sandbox_api(tmp_path / "s") as api:
        keys = await signed_in(api)
        url, headers, _ = Client("sandbox", TOKEN, **keys).sign(address(api, "/articles/search?search_for=abc"))
        for path, status in ((url.replace("abc", "abd"), 401), (url, 200), (url, 401)):
            async with api.http.get(path, headers=headers) as answer:
                assert answer.status == status, await answer.text()
