"""Addresses in responses use the host by which the client addressed the sandbox."""

from __future__ import annotations

import pytest

from uploader.sandbox.addresses import addresses


@pytest.mark.parametrize(
    ("host", "api", "upload"),
    [
        ("127.0.0.1:80", "http://127.0.0.1:80/v2", "http://127.0.0.1:99/upload"),
        ("localhost", "http://localhost/v2", "http://localhost:99/upload"),
        ("[::1]:80", "http://[::1]:80/v2", "http://[::1]:99/upload"),
        ("[", "http://[/v2", "http://[:99/upload"),
    ],
)
def test_the_host_of_the_request(host: str, api: str, upload: str) -> None:
    at = addresses(host, 99, None, None)
    assert (at.api, at.upload) == (api, upload)
    assert at.origin == api.removesuffix("/v2")


def test_public_addresses() -> None:
    at = addresses("x", 99, "https://a/p/v2/", "https://b/upload/")
    assert (at.origin, at.api, at.upload) == ("https://a/p", "https://a/p/v2", "https://b/upload")
    assert at.file(1, 2) == "https://a/p/v2/account/articles/1/files/2"
    assert at.page(1) == "https://a/p/account/articles/1"
    assert at.download(2) == "https://a/p/files/2"
    assert at.upload_of("t") == "https://b/upload/t"
