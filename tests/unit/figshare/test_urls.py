"""Which addresses are allowed, and how they are shown."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.errors import FigupError, InsecureEndpoint, ProtocolViolation, UsageError
from uploader.figshare import urls
from uploader.figshare.urls import check_endpoint

PUBLIC = "https://api.figshare.com/v2"


@pytest.mark.parametrize(
    ("given_url", "endpoint"),
    [
        ("https://api.figshare.com/v2", "https://api.figshare.com/v2"),
        (" https://API.figshare.com/v2/ ", "https://api.figshare.com/v2"),
        ("https://api.figshare.com", "https://api.figshare.com"),
        ("https://example.org:8443/a/v2//", "https://example.org:8443/a/v2"),
        ("http://127.0.0.1:8000/v2", "http://127.0.0.1:8000/v2"),
        ("http://127.9.9.9/v2", "http://127.9.9.9/v2"),
        ("http://[::1]:80/v2", "http://[::1]:80/v2"),
        ("http://localhost:1/v2", "http://localhost:1/v2"),
    ],
)
def test_endpoints_are_normalized(given_url: str, endpoint: str) -> None:
    assert check_endpoint(given_url) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "",
        "figshare.com",
        "ftp://figshare.com/",
        "https://",
        "https:///v2",
        "https://host:port/",
        "https://host:99999/",
        "https://host:0/",
        "https://[::1/",
        "https://user:s3cret@host/v2",
        "https://host/v2?x=s3cret",
        "https://host/v2#x",
        "https://ho st/v2",
        "https://host\\@evil/v2",
        "https://host/\nv2",
    ],
)
def test_invalid_endpoints_are_rejected(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_endpoint(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("host", ["api.figshare.com", "127.0.0.1.evil.org", "10.0.0.1", "127.1", "localhost.evil.org"])
def test_plain_http_is_only_allowed_to_loopback(host: str) -> None:
    with pytest.raises(InsecureEndpoint):
        check_endpoint(f"http://{host}/v2")
    assert check_endpoint(f"http://{host}/v2", insecure_http=True) == f"http://{host}/v2"


@given(st.text())
def test_any_endpoint_text_is_valid_or_an_error(text: str) -> None:
    with contextlib.suppress(FigupError):
        assert check_endpoint(text).startswith(("http://", "https://"))


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://fup-eu-west-1.figshare.com/upload/x", PUBLIC),
        ("https://fup.other.org:8443/upload/x?y=z", PUBLIC),
        ("https://8.8.8.8/upload/x", PUBLIC),
        ("http://127.0.0.1:99/upload/x", "http://localhost:1/v2"),
        ("https://10.0.0.1/upload/x", "http://127.0.0.1:1/v2"),
        ("https://10.0.0.1/upload/x", "https://10.0.0.1/v2"),
    ],
)
def test_valid_upload_urls_are_unchanged(url: str, endpoint: str) -> None:
    assert urls.check_upload_url(url, endpoint=endpoint) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://fup.figshare.com/upload/x",
        "file:///etc/passwd",
        "ftp://fup.figshare.com/x",
        "/upload/x",
        "",
        "https://u:p@fup.figshare.com/upload/x",
        "https://fup.figshare.com/up load",
        "https://localhost/upload/x",
        "https://localhost./upload/x",
        "https://127.0.0.1/upload/x",
        "http://127.0.0.1/upload/x",
        "https://10.1.2.3/upload/x",
        "https://192.168.0.1/upload/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://[fe80::1]/x",
        "https://[fd00::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://0.0.0.0/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://0x7f.1/x",
        "https://a..b/x",
        "https://" + "a" * 300 + ".org/x",
        "https://\xe4..\xf6/x",
    ],
)
def test_invalid_upload_urls_are_rejected(url: str) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        urls.check_upload_url(url, endpoint=PUBLIC)
    assert "upload/x" not in str(caught.value)


def test_plain_http_uploads_can_be_allowed() -> None:
    url = "http://fup.example.org/upload/x"
    assert urls.check_upload_url(url, endpoint=PUBLIC, insecure_http=True) == url


def test_the_url_of_a_part() -> None:
    assert urls.part_url("https://h/upload/x/", 3) == "https://h/upload/x/3"
    assert urls.part_url("https://h:1/upload/x?a=b%2Fc", 3) == "https://h:1/upload/x/3?a=b%2Fc"


def test_an_upload_url_is_redacted() -> None:
    assert urls.redacted("https://h.org:1/upload/secret?a=b", 3) == "h.org/upload/… part 3"


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("https://api.figshare.com/v2/account/articles/5/files/60137825", 60137825),
        ("/v2/account/articles/5/files/7", 7),
        ("files/7", 7),
        ("https://elsewhere.org/x/files/7/", 7),
        ("/files/7?x=y", 7),
        ("/files/0", None),
        ("/files/-1", None),
        ("/files/" + str(2**63), None),
        ("/files/" + "9" * 40, None),
        ("/files/x", None),
        ("/articles/5", None),
        ("", None),
        ("http://[", None),
    ],
)
def test_only_the_id_of_a_location_counts(location: str, found: int | None) -> None:
    assert urls.id_in_location(location, base=PUBLIC, kind="files") == found


@given(st.text())
def test_any_location_yields_an_id_or_none(location: str) -> None:
    found = urls.id_in_location(location, base=PUBLIC, kind="articles")
    assert found is None or 0 < found < 2**63
