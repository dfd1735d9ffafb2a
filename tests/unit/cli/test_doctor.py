"""The check of the host that receives parts."""

from __future__ import annotations

import socket

import pytest

from uploader.cli import doctor


def test_the_upload_host_or_the_proxy_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        tried.append(address)
        if len(tried) > 1:
            raise ConnectionRefusedError(111, "Connection refused")
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    assert doctor.upload_host_finding().status == "ok"
    monkeypatch.setenv("https_proxy", "http://me:s3cret@proxy.example.org:8080")
    finding = doctor.upload_host_finding()
    assert finding.status == "problem"
    assert finding.text == "proxy.example.org, port 8080: Connection refused"
    assert [host for host, _ in tried] == ["fup-eu-west-1.figshare.com", "proxy.example.org"]
