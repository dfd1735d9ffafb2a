"""Which Host headers are answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from uploader.sandbox.hosts import host_name, is_served
from uploader.sandbox.settings import Settings


def settings(**more: str) -> Settings:
    return Settings(directory=Path("x"), token="t", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost:80", "localhost"),
        ("LocalHost.", "localhost"),
        ("[::1]:80", "::1"),
        ("[", None),
        ("", None),
        ("a b", "a b"),
        ("localhost:x", None),
        ("localhost/x", None),
        ("evil.example@localhost", None),
        ("localhost#@evil.example", None),
    ],
)
def test_the_name_in_a_header(header: str, name: str | None) -> None:
    assert host_name(header) == name


SERVED = ["localhost", "localhost:8080", "127.0.0.1:1", "127.1.2.3", "[::1]:80", "figup.localhost"]
FOREIGN = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "10.0.0.1",
    "0.0.0.0",  # noqa: S104
    "[::2]",
    "x",
    "[",
    "",
]


@pytest.mark.parametrize(("header", "served"), [*((one, True) for one in SERVED), *((one, False) for one in FOREIGN)])
def test_loopback_names_only(header: str, served: bool) -> None:
    assert is_served([header], settings()) is served
    assert is_served(["localhost", header], settings()) is served


def test_a_request_without_origin_is_allowed() -> None:
    assert is_served([], settings())


@pytest.mark.search
@pytest.mark.parametrize(
    ("given", "served", "foreign"),
    [
        ({"public_url": "https://fig.example/v2"}, ["fig.example", "FIG.example:443"], ["up.example", "a.fig.example"]),
        ({"public_upload_url": "https://up.example:8443/upload"}, ["up.example"], ["fig.example"]),
        ({"host": "192.168.1.5"}, ["192.168.1.5:80", "localhost"], ["192.168.1.6", "evil.example"]),
        ({"host": "0.0.0.0"}, ["192.168.1.5:80", "[fe80::1]"], ["evil.example", "myhost"]),  # noqa: S104
        ({"host": "::"}, ["192.168.1.5:80"], ["evil.example"]),
        ({"host": "Node7"}, ["node7:80"], ["node8", "10.0.0.1"]),
    ],
)
def test_other_names_of_this_host(given: dict[str, str], served: list[str], foreign: list[str]) -> None:
    assert [one for one in served if not is_served([one], settings(**given))] == []
    assert [one for one in foreign if is_served([one], settings(**given))] == []
