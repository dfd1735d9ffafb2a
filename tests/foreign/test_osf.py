"""The requests of OSF's storage provider: a project's items and their files, and a single item's files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import requests

from tests.support.served import Served, served

DATA = b"sent by a web service"


class Provider:
    """Asks as the provider does: the token in every request, no content type, and the one status that it expects."""

    def __init__(self, sandbox: Served, container: str) -> None:
        self._url = f"{sandbox.url}/account"
        self._headers = {"Authorization": f"token {sandbox.token}"}
        self.container = container

    def ask(self, method: str, path: str, expected: int, **more: Any) -> Any:
        url = path if path.startswith("http") else f"{self._url}/{path}"
        answer = requests.request(method, url, headers=self._headers, **more)
        assert answer.status_code == expected, (method, path, answer.text)
        return answer

    def items(self) -> list[Any]:
        """All items, page after page until one is empty."""
        found: list[Any] = []
        page = 1
        while rows := self.ask(
            "GET", f"{self.container}/articles", 200, params={"page": str(page), "page_size": "200"}
        ).json():
            found += rows
            page += 1
        return found

    def upload(self, item: str, name: str, data: bytes) -> str:
        """Send a file and return its id."""
        body = {"name": name, "size": len(data)}
        made = self.ask("POST", f"articles/{item}/files", 201, json=body).json()
        file: str = made["location"].rsplit("/", 1)[1]
        upload = self.ask("GET", f"articles/{item}/files/{file}", 200).json()["upload_url"]
        for part in self.ask("GET", upload, 200).json()["parts"]:
            piece = data[part["startOffset"] : part["endOffset"] + 1]
            self.ask("PUT", f"{upload}/{part['partNo']}", 200, data=piece)
        self.ask("POST", f"articles/{item}/files/{file}", 202)
        return file


def test_a_project_as_storage(tmp_path: Path) -> None:
    with served(tmp_path / "s") as sandbox:
        number = sandbox.call("POST", "/account/projects", {"title": "A project"})[1]["entity_id"]
        osf = Provider(sandbox, f"projects/{number}")
        osf.ask("GET", osf.container, 200)
        assert osf.items() == []
        made = osf.ask("POST", f"{osf.container}/articles", 201, json={"title": "sent.txt"}).json()
        item = made["location"].rsplit("/", 1)[1]
        file = osf.upload(item, "sent.txt", DATA)
        record = sandbox.settled(f"/account/articles/{item}/files/{file}")
        assert record["computed_md5"] == hashlib.md5(DATA, usedforsecurity=False).hexdigest()

        [row] = osf.items()
        assert f"/articles/{item}" in row["url"]
        assert "/account/" in row["url"], "private, for the provider"
        assert osf.ask("GET", row["url"], 200).json()["title"] == "sent.txt"
        within = f"{osf.container}/articles/{item}"
        assert osf.ask("GET", f"{within}/files/{file}", 200).json()["name"] == "sent.txt"
        shown = osf.ask("GET", within, 200).json()
        assert [one["id"] for one in shown["files"]] == [int(file)]
        for extra, status, data in (({}, 200, DATA), ({"Range": "bytes=5-7"}, 206, b"by ")):
            answer = requests.get(shown["files"][0]["download_url"], params={"token": sandbox.token}, headers=extra)
            assert (answer.status_code, answer.content) == (status, data)
        osf.ask("DELETE", f"articles/{item}/files/{file}", 204)
        osf.ask("GET", f"{within}/files/{file}", 404)
        osf.ask("DELETE", within, 204)
        assert osf.items() == []


def test_an_item_as_storage(tmp_path: Path) -> None:
    with served(tmp_path / "s") as sandbox:
        item = sandbox.call("POST", "/account/articles", {"title": "An item"})[1]["entity_id"]
        osf = Provider(sandbox, f"articles/{item}")
        osf.ask("GET", f"{osf.container}/files/sent.txt", 404)
        file = osf.upload(str(item), "sent.txt", DATA)
        assert [one["name"] for one in osf.ask("GET", osf.container, 200).json()["files"]] == ["sent.txt"]
        assert osf.ask("GET", f"{osf.container}/files/{file}", 200).json()["size"] == len(DATA)
        osf.ask("DELETE", f"{osf.container}/files/{file}", 204)
        assert osf.ask("GET", osf.container, 200).json()["files"] == []
