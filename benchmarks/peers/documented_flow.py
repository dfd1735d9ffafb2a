"""The upload as Figshare's documentation shows it: hash, initiate, then one part after the other, then complete.

`documented_flow.py ENDPOINT PATH`, with FIGSHARE_TOKEN; runs where `requests` is. Prints the file's address.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import requests

CHUNK = 1048576


def call(method: str, url: str, data: Any = None, *, binary: bool = False) -> Any:
    """One request on a new connection, as with `requests.request`."""
    headers = {"Authorization": f"token {os.environ['FIGSHARE_TOKEN']}"}
    body = data if binary or data is None else json.dumps(data)
    answer = requests.request(method, url, headers=headers, data=body)  # noqa: S113
    answer.raise_for_status()
    try:
        return json.loads(answer.content)
    except ValueError:
        return answer.content


def size_and_md5(path: Path) -> tuple[int, str]:
    digest, size = hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            size += len(data)
            digest.update(data)
    return size, digest.hexdigest()


def main(endpoint: str, path: Path) -> None:
    item = call("POST", f"{endpoint}/account/articles", {"title": path.name})["location"]
    size, md5 = size_and_md5(path)
    location = call("POST", f"{item}/files", {"name": path.name, "md5": md5, "size": size})["location"]
    file = call("GET", location)
    parts = call("GET", file["upload_url"])["parts"]
    with path.open("rb") as stream:
        for part in parts:
            stream.seek(part["startOffset"])
            data = stream.read(part["endOffset"] - part["startOffset"] + 1)
            call("PUT", f"{file['upload_url']}/{part['partNo']}", data, binary=True)
    call("POST", location)
    print(location)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
