"""TLS and proxies: trusted certificates, and the choice of a proxy."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.figshare.conftest import Connect
from tests.unit.figshare.service import SECRET, TOKEN, FakeClock, Service, listening, read_request, reply
from uploader.errors import TlsFailure, Unreachable, UsageError
from uploader.figshare import network
from uploader.figshare.models import Part
from uploader.figshare.outcomes import PartFailed
from uploader.figshare.settings import RetryPolicy

ACCOUNT = reply(200, {"id": 1})


async def one_byte() -> AsyncIterator[bytes]:
    yield b"x"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    command += " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    try:
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    return folder / "cert.pem"


@pytest.fixture
async def secure(certificate: Path) -> AsyncIterator[Service]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    made = Service()
    async with listening(made.handle, ssl=context) as made.port:
        made.script = lambda _: ACCOUNT
        yield made


def https(service: Service) -> str:
    return service.endpoint.replace("http:", "https:")


async def test_an_unknown_certificate_authority_fails_at_once(
    secure: Service, connect: Connect, clock: FakeClock
) -> None:
    with pytest.raises(TlsFailure, match=r"127\.0\.0\.1: its certificate cannot be trusted: self") as caught:
        await connect(endpoint=https(secure)).account()
    assert caught.value.facts.situation == "tls"
    assert caught.value.exit_status == 2
    assert clock.sleeps == []
    assert secure.asked == []


async def test_a_part_is_not_sent_to_an_untrusted_server(secure: Service, connect: Connect) -> None:
    url = https(secure).replace("/v2", f"/upload/{SECRET}")
    with pytest.raises(TlsFailure):
        await connect().send_part(url, Part(no=1, start=0, end=0), one_byte)
    assert secure.asked == []


async def test_a_custom_certificate_authority_is_used(secure: Service, certificate: Path, connect: Connect) -> None:
    figshare = connect(endpoint=https(secure), ca_file=certificate)
    await figshare.account()
    await figshare.send_part(https(secure), Part(no=1, start=0, end=0), one_byte)
    assert [asked.body for asked in secure.asked] == [b"", b"x"]


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
async def test_environment_variables_set_the_certificate_authority(
    secure: Service, certificate: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(certificate))
    await connect(endpoint=https(secure)).account()


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_an_invalid_ca_file_is_an_error(
    secure: Service, connect: Connect, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=r"certificate file: cannot use the certificates of .*ca\.pem"):
        await connect(endpoint=https(secure), ca_file=path).account()


async def test_https_to_an_http_server_is_an_error(service: Service, connect: Connect, clock: FakeClock) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(reply(400))
        await writer.drain()

    async with listening(handle) as port:
        with pytest.raises(TlsFailure, match="no secure connection"):
            await connect(endpoint=f"https://127.0.0.1:{port}/v2").account()
    assert clock.sleeps == []


async def test_an_interrupted_handshake_is_transient(connect: Connect, clock: FakeClock) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with listening(handle) as port:
        with pytest.raises(Unreachable):
            await connect(endpoint=f"https://127.0.0.1:{port}/v2", retry=RetryPolicy(elapsed_cap=1)).account()
    assert clock.sleeps


# --- proxies ----------------------------------------------------------------------------------------------------


async def test_the_proxy_of_the_environment_is_used(
    service: Service, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", service.origin)
    service.script = lambda _: ACCOUNT
    await connect(endpoint="http://figshare.invalid/v2", insecure_http=True).account()
    assert service.asked[0].path == "http://figshare.invalid/v2/account"


async def test_a_proxy_for_https_sees_only_the_host(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await read_request(reader)
        seen.append(f"{asked.method} {asked.path} {asked.headers}".encode())
        writer.write(reply(407))
        await writer.drain()

    async with listening(handle) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        figshare = connect(endpoint="https://figshare.invalid/v2")
        with pytest.raises(UsageError, match="the proxy answered 407"):
            await figshare.account()
        with pytest.raises(PartFailed, match="407"):
            await figshare.send_part(f"https://fup.invalid/upload/{SECRET}", Part(no=1, start=0, end=0), one_byte)
    assert [line.split()[:2] for line in seen] == [
        [b"CONNECT", b"figshare.invalid:443"],
        [b"CONNECT", b"fup.invalid:443"],
    ]
    assert not any(secret.encode() in line for line in seen for secret in (TOKEN, SECRET))


async def test_an_unreachable_proxy_is_named(refusing: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", refusing.removesuffix("/v2").replace("://", "://user:pr0xy-passw0rd@"))
    figshare = connect(endpoint="https://figshare.invalid/v2", retry=RetryPolicy(elapsed_cap=0))
    with pytest.raises(Unreachable, match=r"figshare\.invalid: no connection to the proxy 127\.0\.0\.1") as caught:
        await figshare.account()
    assert "pr0xy-passw0rd" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example.org:3128")
    assert network._proxy_for("http", host) is None


def test_the_proxy_depends_on_scheme_and_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", "figshare.org")
    assert network._proxy_for("https", "figshare.com") == "http://proxy.example.org:3128"
    assert network._proxy_for("https", "api.figshare.org") is None
    assert network._proxy_for("http", "figshare.com") is None


async def test_connections_come_from_the_chosen_address(connect: Connect) -> None:
    peers = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await read_request(reader)
        peers.append((asked.method, writer.get_extra_info("peername")[0]))
        writer.write(ACCOUNT if asked.method == "GET" else reply(200))
        await writer.drain()

    async with listening(handle) as port:
        figshare = connect(endpoint=f"http://127.0.0.1:{port}/v2", bind="127.0.0.7")
        await figshare.account()
        await figshare.send_part(f"http://127.0.0.1:{port}/upload/{SECRET}", Part(no=1, start=0, end=0), one_byte)
    assert peers == [("GET", "127.0.0.7"), ("PUT", "127.0.0.7")]
