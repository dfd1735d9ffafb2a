"""The check of the host that receives parts."""

from __future__ import annotations

import base64
import socket
import threading

import pytest

from uploader.cli import doctor

HOST = "fup-eu-west-1.figshare.com"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_upload_host_is_tried_from_the_bound_address(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []

    def connect(address: tuple[str, int], timeout: float, source: tuple[str, int] | None) -> socket.socket:
        tried.append((address, source))
        if len(tried) > 1:
            raise ConnectionRefusedError(111, "Connection refused")
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr("http.client.socket.create_connection", connect)
    assert doctor.upload_host_finding().status == "ok"
    finding = doctor.upload_host_finding("10.0.0.7")
    assert finding.status == "problem"
    assert finding.text == f"{HOST}, port 443: Connection refused"
    assert tried == [((HOST, 443), None), ((HOST, 443), ("10.0.0.7", 0))]


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "ok", f"{HOST} accepts connections by the proxy 127.0.0.1"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "problem", "Tunnel connection failed: 403 Forbidden"),
        (b"", "problem", "Remote end closed connection without response"),
    ],
)
def test_the_proxy_is_asked_for_the_upload_host(
    answer: bytes, status: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        monkeypatch.setenv("https_proxy", f"http://me:s3cret@127.0.0.1:{server.getsockname()[1]}")
        finding = doctor.upload_host_finding()
        thread.join(30)
    assert (finding.status, text in finding.text, "s3cret" in str(finding)) == (status, True, False)
    assert asked[0].startswith(f"CONNECT {HOST}:443 ".encode())
    assert base64.b64encode(b"me:s3cret") in asked[0]
    assert (finding.hint is None) == (status == "ok")


def test_a_proxy_that_is_not_for_the_upload_host_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "figshare.com")
    monkeypatch.setattr("http.client.socket.create_connection", lambda *_: socket.socket())
    assert doctor.upload_host_finding().text == f"{HOST} accepts connections"
