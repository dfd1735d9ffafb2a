"""The request sequences of Figshare's published samples: in Python, for the shell, and of its GitHub Action."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.served import served
from uploader.sandbox.parts import Uniform

DATA = bytes(range(256)) * 11
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
PART = 1000
SCRIPT = Path(__file__).with_name("upload.sh")


class PythonSample:
    """Requests as the Python sample sends them: the token everywhere, JSON without a content type."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"token {token}"}

    def ask(self, method: str, path: str, data: Any = None) -> Any:
        """The decoded answer, or its bytes where it is not JSON."""
        url = path if path.startswith("http") else f"{self._url}/{path}"
        body = data if data is None or isinstance(data, bytes) else json.dumps(data)
        answer = requests.request(method, url, headers=self._headers, data=body)
        answer.raise_for_status()
        try:
            return json.loads(answer.content)
        except ValueError:
            return answer.content


@pytest.mark.parametrize("given", [{"md5": MD5}, {}], ids=["with MD5", "without"])
def test_the_python_sample(tmp_path: Path, given: dict[str, str]) -> None:
    with served(tmp_path / "s", part_plan=Uniform(PART)) as sandbox:
        sample = PythonSample(sandbox.url, sandbox.token)
        assert sample.ask("GET", "account/articles") == []
        made = sample.ask("POST", "account/articles", {"title": "A sample"})
        item = sample.ask("GET", made["location"])["id"]
        assert [one["title"] for one in sample.ask("GET", "account/articles")] == ["A sample"]
        assert sample.ask("GET", f"account/articles/{item}/files") == []

        body = {"name": "sent.bin", "size": len(DATA), **given}
        location = sample.ask("POST", f"account/articles/{item}/files", body)["location"]
        file = sample.ask("GET", location)
        upload = sample.ask("GET", file["upload_url"])
        for part in upload["parts"]:
            piece = DATA[part["startOffset"] : part["endOffset"] + 1]
            assert sample.ask("PUT", f"{file['upload_url']}/{part['partNo']}", piece) == b"OK"
        assert b"202 Accepted" in sample.ask("POST", f"account/articles/{item}/files/{file['id']}")
        [listed] = sample.ask("GET", f"account/articles/{item}/files")
        assert (listed["name"], listed["size"]) == ("sent.bin", len(DATA))
        assert sandbox.settled(location)["computed_md5"] == MD5
        assert len(upload["parts"]) == 3


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("split") is None, reason="needs curl and coreutils")
def test_the_shell_sample(tmp_path: Path) -> None:
    data = tmp_path / "data.bin"
    data.write_bytes(DATA)
    with served(tmp_path / "s", part_plan=Uniform(PART)) as sandbox:
        done = subprocess.run(
            [SCRIPT, f"{sandbox.url}/account/articles", sandbox.token, data],
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        record = sandbox.settled(done.stdout.strip())
        assert (record["name"], record["computed_md5"]) == ("sent.bin", MD5)
        assert sandbox.kinds().count("put-part") == 3


def test_the_github_action(tmp_path: Path) -> None:
    """It sends parts in parallel, chunked, and without the token."""
    with served(tmp_path / "s", part_plan=Uniform(PART)) as sandbox:
        headers = {"Authorization": f"token {sandbox.token}", "Content-Type": "application/json"}
        item = sandbox.call("POST", "/account/articles", {"title": "An action"})[1]["entity_id"]
        files = f"{sandbox.url}/account/articles/{item}/files"
        body = json.dumps({"name": "sent.bin", "size": len(DATA), "md5": MD5})
        location = requests.post(files, data=body, headers=headers).json()["location"]
        upload = requests.get(location, headers=headers).json()["upload_url"]

        def send(part: dict[str, Any]) -> int:
            piece = DATA[part["startOffset"] : part["endOffset"] + 1]
            return chunked_put(f"{upload}/{part['partNo']}", iter([piece[:7], piece[7:]]))

        with ThreadPoolExecutor() as pool:
            assert list(pool.map(send, requests.get(upload).json()["parts"])) == [200, 200, 200]
        assert requests.post(location, headers=headers).status_code == 202
        assert sandbox.settled(location)["computed_md5"] == MD5


def chunked_put(url: str, pieces: Iterator[bytes]) -> int:
    """Send a body of unknown length, and return the status."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc)
    try:
        connection.request("PUT", address.path, body=pieces, encode_chunked=True)
        return connection.getresponse().status
    finally:
        connection.close()
