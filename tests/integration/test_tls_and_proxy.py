"""Connections to Figshare: trusted certificates, proxies, and errors without a connection."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command import Figup, Result
from tests.support.invariants import check_nothing_sent_twice, files, items, md5_of
from tests.support.nets import ELSEWHERE, NOWHERE, own_network
from tests.support.sandbox import Sandbox
from tests.support.servers import Site, free_ports, nginx, tinyproxy
from tests.support.tls import Authority, Certificate

TOKEN = "c4nary-t0ken"
QUICK = ("--retry-timeout", "1s", "--settle-timeout", "1s")
SITES = ("api", "upload", "other", "expired", "self-signed")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@dataclass
class Secure:
    """A sandbox behind an nginx that speaks TLS: a good site for the API and for uploads, and three bad ones."""

    sandbox: Sandbox
    ports: dict[str, int]

    def url(self, site: str) -> str:
        return f"https://localhost:{self.ports[site]}/v2"


@pytest.fixture(scope="module")
def secure(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder = tmp_path_factory.mktemp("secure")
    ports = dict(zip(SITES, free_ports(len(SITES)), strict=True))
    public = ["--public-url", f"https://localhost:{ports['api']}/v2"]
    public += ["--public-upload-url", f"https://localhost:{ports['upload']}/upload"]
    sandbox = Sandbox(folder / "sandbox", token=TOKEN, args=[*public, "--part-size", "300KiB"])
    good = authority.sign("good", "DNS:localhost")
    certificates = {
        "api": good,
        "upload": good,
        "other": authority.sign("other", "DNS:figshare.example"),
        "expired": authority.sign("expired", "DNS:localhost", expired=True),
        "self-signed": authority.self_signed("self", "DNS:localhost"),
    }
    try:
        sandbox.start()
        sites = [_site(sandbox, ports[name], certificates[name], name) for name in SITES]
        with nginx(folder / "nginx", sites):
            yield Secure(sandbox, ports)
    finally:
        sandbox.stop()


def _site(sandbox: Sandbox, port: int, certificate: Certificate, name: str) -> Site:
    plain = sandbox.upload_url if name == "upload" else sandbox.url
    return Site(port, certificate, "/".join(plain.split("/")[:3]))


def source(figup: Figup, size: int = 1_000_000) -> Path:
    path = figup.cwd / "data.bin"
    path.write_bytes(os.urandom(size))
    return path


def point(figup: Figup, url: str) -> None:
    figup.env |= {"FIGSHARE_ENDPOINT": url, "FIGSHARE_TOKEN": TOKEN}


def refused(result: Result, status: int, *words: str) -> None:
    """Assert the status and one error line with all these words; the token is in no line."""
    result.expect(status)
    assert TOKEN not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if all(word in line for word in words)]
    assert line.startswith("figup: ")


def arrived(sandbox: Sandbox, path: Path) -> None:
    """One item has the file once, with its bytes, and the upload service never got a token."""
    (item,) = items(sandbox)
    (file,) = files(sandbox, item["id"])
    assert (file["name"], file["computed_md5"]) == (path.name, md5_of(path))
    assert sandbox.requests(service="upload", authorization=True) == []
    assert {request["authorization"] for request in sandbox.requests(service="api")} == {True}
    check_nothing_sent_twice(sandbox)


# --- TLS ------------------------------------------------------------------------------------------------------------


def test_an_upload_over_tls_with_a_custom_authority(bare_figup: Figup, secure: Secure, authority: Authority) -> None:
    point(bare_figup, secure.url("api"))
    path = source(bare_figup)
    done = bare_figup.run("upload", "data.bin", "--ca-file", authority.file, "--json").expect(0)
    assert done.summary["item_url"].startswith("https://localhost:")
    arrived(secure.sandbox, path)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_environment_variables_set_the_certificate_authority(
    bare_figup: Figup, secure: Secure, authority: Authority, name: str
) -> None:
    point(bare_figup, secure.url("api"))
    bare_figup.env[name] = str(authority.file)
    bare_figup.run("auth", "status").expect(0)


def test_the_option_takes_precedence_over_variables(bare_figup: Figup, secure: Secure, authority: Authority) -> None:
    point(bare_figup, secure.url("api"))
    bare_figup.env["SSL_CERT_FILE"] = str(bare_figup.cwd / "nothing.pem")
    refused(bare_figup.run("auth", "status"), 2, "SSL_CERT_FILE", "nothing.pem", "No such file")
    bare_figup.run("auth", "status", "--ca-file", authority.file).expect(0)


@pytest.mark.parametrize(
    ("site", "words"),
    [
        ("api", "unable to get local issuer certificate"),  # without --ca-file
        ("other", "not valid for 'localhost'"),
        ("expired", "certificate has expired"),
        ("self-signed", "self-signed certificate"),
    ],
)
def test_an_invalid_certificate_is_rejected_before_anything_is_sent(
    bare_figup: Figup, secure: Secure, authority: Authority, site: str, words: str
) -> None:
    point(bare_figup, secure.url(site))
    source(bare_figup)
    seen = len(secure.sandbox.requests())
    trust = ("--ca-file", authority.file) if site != "api" else ()
    refused(bare_figup.run("upload", "data.bin", *trust, *QUICK), 2, "localhost: its certificate", words, "--ca-file")
    assert len(secure.sandbox.requests()) == seen
    done = bare_figup.run("auth", "login", "--json", *trust, input=f"{TOKEN}\n").expect(2)
    assert [event.get("code") for event in done.events] == ["tls", None]
    assert len(secure.sandbox.requests()) == seen
    assert not (bare_figup.cwd / ".config").exists()


def test_an_upload_service_with_a_bad_certificate_gets_no_byte(
    bare_figup: Figup, start_sandbox: Callable[..., Sandbox], secure: Secure, authority: Authority
) -> None:
    upload_url = f"https://localhost:{secure.ports['expired']}/upload"
    sandbox = start_sandbox("--public-upload-url", upload_url, token=TOKEN)
    point(bare_figup, sandbox.url)
    source(bare_figup)
    done = bare_figup.run("upload", "data.bin", "--ca-file", authority.file, *QUICK)
    refused(done, 2, "localhost: its certificate", "certificate has expired")
    assert sandbox.requests(service="upload") == []
    assert secure.sandbox.requests(service="upload", outcome="aborted") == []


def test_plain_http_to_another_machine_needs_an_option(bare_figup: Figup) -> None:
    point(bare_figup, f"http://{NOWHERE}/v2")
    source(bare_figup)
    refused(bare_figup.run("upload", "data.bin"), 2, NOWHERE, "would send the token in the clear", "https://")
    help_text = " ".join(bare_figup.run("upload", "--help").expect(0).stdout.split())
    assert (
        "--insecure-http Allow plain http to other machines: anyone on the network path can read the token."
        in help_text
    )


# --- proxies --------------------------------------------------------------------------------------------------------
#
# Loopback never goes through a proxy, so "another machine" is needed: an address in a network namespace of the test's
# own, in which sandbox, nginx, proxy and figup all run. Nothing of the machine's network is changed.


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox on another (simulated) machine."""
    with own_network():
        sandbox = Sandbox(tmp_path / "sandbox", token=TOKEN, args=["--host", ELSEWHERE])
        try:
            sandbox.start()
            yield sandbox
        finally:
            sandbox.stop()


def test_http_through_a_proxy(bare_figup: Figup, elsewhere: Sandbox, tmp_path: Path) -> None:
    point(bare_figup, elsewhere.url)
    path = source(bare_figup)
    with tinyproxy(tmp_path / "proxy") as (proxy, log):
        bare_figup.env["HTTP_PROXY"] = f"http://{proxy}"
        bare_figup.run("upload", "data.bin", "--insecure-http").expect(0)
        assert f"http://{ELSEWHERE}" in log.read_text()
        arrived(elsewhere, path)
        through = log.read_text()
        bare_figup.env["NO_PROXY"] = f"example.org, {ELSEWHERE}"
        bare_figup.run("auth", "status", "--insecure-http").expect(0)
        assert log.read_text() == through
        del bare_figup.env["NO_PROXY"]
        bare_figup.env["http_proxy"] = bare_figup.env.pop("HTTP_PROXY")
        bare_figup.run("auth", "status", "--insecure-http").expect(0)
        assert log.read_text() != through
    done = bare_figup.run("upload", "data.bin", "--insecure-http", "--new-job", *QUICK)
    refused(done, 75, "no connection to the proxy 127.0.0.1", "Run the same command again")


def test_https_through_an_authenticating_proxy(
    bare_figup: Figup, elsewhere: Sandbox, authority: Authority, tmp_path: Path
) -> None:
    certificate = authority.sign("elsewhere", f"IP:{ELSEWHERE}")
    api, upload = free_ports(2, ELSEWHERE)
    public = ("--public-url", f"https://{ELSEWHERE}:{api}/v2")
    elsewhere.restart("--host", ELSEWHERE, *public, "--public-upload-url", f"https://{ELSEWHERE}:{upload}/upload")
    sites = [_site(elsewhere, api, certificate, "api"), _site(elsewhere, upload, certificate, "upload")]
    point(bare_figup, f"https://{ELSEWHERE}:{api}/v2")
    bare_figup.env["SSL_CERT_FILE"] = str(authority.file)
    path = source(bare_figup)
    with (
        nginx(tmp_path / "nginx", sites, ELSEWHERE),
        tinyproxy(
            tmp_path / "proxy", "BasicAuth me c4nary-passw0rd", f"ConnectPort {api}", f"ConnectPort {upload}"
        ) as (
            proxy,
            log,
        ),
    ):
        bare_figup.env["HTTPS_PROXY"] = f"http://me:wr0ng-passw0rd@{proxy}"
        done = bare_figup.run("upload", "data.bin", *QUICK, "-vv")
        refused(done, 2, "the proxy answered 401", "HTTPS_PROXY")
        assert "wr0ng-passw0rd" not in done.stderr
        assert elsewhere.requests() == []
        bare_figup.env["HTTPS_PROXY"] = f"http://me:c4nary-passw0rd@{proxy}"
        done = bare_figup.run("upload", "data.bin", "-vv", "--log-file", "log").expect(0)
        assert f"CONNECT {ELSEWHERE}:{api} " in log.read_text()
        assert f"CONNECT {ELSEWHERE}:{upload} " in log.read_text()
        shown = done.stdout + done.stderr + (bare_figup.cwd / "log").read_text()
        assert "c4nary" not in shown + log.read_text()
    arrived(elsewhere, path)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://[::1", "http://127.0.0.1:port", "ftp://x"])
def test_an_invalid_proxy_is_reported(bare_figup: Figup, proxy: str) -> None:
    """Nothing is resolved or connected: the setting itself is invalid."""
    point(bare_figup, "https://figshare.invalid/v2")
    source(bare_figup)
    bare_figup.env["HTTPS_PROXY"] = proxy
    refused(bare_figup.run("upload", "data.bin", *QUICK), 2, "HTTPS_PROXY", "http")


# --- no way at all --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://figshare.invalid/v2", "its name cannot be resolved"),
        (f"https://{NOWHERE}/v2", "Network is unreachable"),
        (f"https://{ELSEWHERE}:9/v2", "refused"),
    ],
)
def test_an_unreachable_network_is_one_line_and_status_75(bare_figup: Figup, url: str, words: str) -> None:
    point(bare_figup, url)
    source(bare_figup)
    with own_network():
        done = bare_figup.run("upload", "data.bin", *QUICK, timeout=20)
    refused(done, 75, words, "given up after", "Run the same command again")
    assert bare_figup.run("jobs").expect(0).stdout.startswith("No jobs")
