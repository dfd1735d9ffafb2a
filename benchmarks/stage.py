"""The server side of a benchmark: nginx with TLS that stores parts in memory, and the sandbox's API behind it. It must
not be the bottleneck: it only decrypts a part and writes it to memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import Any

from benchmarks.harness import program
from benchmarks.service import TOKEN
from benchmarks.simulated import RunningLink
from tests.support.environment import clean_environment
from tests.support.processes import Process
from tests.support.servers import free_ports, serving
from tests.support.tls import Authority

MEMORY = Path("/dev/shm")  # noqa: S108 - the memory file system itself, not a name in it
PART_SIZE = 10 << 20
"""Figshare's part size (observed)."""

_NGINX = """
{modules}
daemon off;
user root;
worker_processes 2;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_buffer_size 128k;
  client_body_temp_path {folder}/incoming;
  proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  keepalive_requests 100000;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {chain};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    if ($request_method = GET) {{ rewrite ^(/upload/.*)$ /asked$1; }}
    location /upload/ {{
      alias {folder}/parts/;
      dav_methods PUT;
      create_full_put_path on;
    }}
    location /asked/ {{
      internal;
      auth_request /books;
      rewrite ^/asked(/.*)$ $1 break;
      proxy_pass {upload};
      proxy_http_version 1.1;
    }}
    location /v2/ {{
      auth_request /books;
      proxy_pass {api};
      proxy_http_version 1.1;
    }}
    location = /books {{
      internal;
      proxy_pass {books};
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header X-Address $request_uri;
    }}
    {webdav}
  }}
}}
"""
_WEBDAV = """
    location /dav/ {{
      alias {folder}/dav/;
      dav_methods PUT DELETE MKCOL COPY MOVE;
      dav_ext_methods PROPFIND OPTIONS;
      create_full_put_path on;
    }}
"""
_WEBDAV_MODULE = Path("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so")


@dataclass(frozen=True)
class Stage:
    """`url` is nginx: /v2 the API, /upload the parts, /dav WebDAV where nginx has the module for it."""

    url: str
    ca_file: Path
    folder: Path
    has_webdav: bool
    pids: tuple[int, ...]
    """The servers."""
    discards: bool

    @property
    def endpoint(self) -> str:
        return f"{self.url}/v2"

    def expect(self, source: Path, md5: str) -> None:
        """Make the service return this MD5 for complete files of this size."""
        sums = self.folder / "sums.json"
        known = json.loads(sums.read_text(encoding="utf-8"))
        sums.write_text(json.dumps(known | {str(source.stat().st_size): md5}), encoding="utf-8")

    def request(self, method: str, address: str, body: object = None) -> Any:
        """Make one request to the API with the token; return its JSON, None without."""
        request = urllib.request.Request(  # noqa: S310 - this machine's own sandbox
            address if address.startswith("https:") else f"{self.endpoint}/{address}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=self._trust()) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text.startswith((b"{", b"[")) else None

    def initiate(self, source: Path) -> dict[str, Any]:
        """A new item with an upload for this file: its record, with `location` and all `parts`."""
        item = self.request("POST", "account/articles", {"title": source.name})["location"]
        wanted = {"name": source.name, "size": source.stat().st_size}
        location = self.request("POST", f"{item}/files", wanted)["location"]
        file: dict[str, Any] = self.request("GET", location)
        return file | {"location": location, "parts": self.request("GET", file["upload_url"])["parts"]}

    def catch_up(self) -> None:
        """Update the database now, so that the update is not measured."""
        for item in self.request("GET", "account/articles"):
            files = f"account/articles/{item['id']}/files"
            for file in self.request("GET", files):
                self.request("GET", f"{files}/{file['id']}")

    def stored_md5(self) -> str:
        """The MD5 of the only file received since `clear`: of its parts in order, or of the WebDAV file."""
        digest = hashlib.md5(usedforsecurity=False)
        (stored,) = [path for place in ("parts", "dav") for path in (self.folder / place).iterdir()]
        parts = sorted(stored.iterdir(), key=lambda path: int(path.name)) if stored.is_dir() else [stored]
        for part in parts:
            with part.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        return digest.hexdigest()

    def stored_zeros(self) -> int:
        """The number of zero bytes received since `clear` on a stage that discards, once all are checked."""
        deadline = time.monotonic() + 60
        while True:
            parts = [path.stat() for path in (self.folder / "parts").glob("*/*")]
            if not any(part.st_blocks for part in parts):
                return sum(part.st_size for part in parts)
            if time.monotonic() > deadline:
                raise RuntimeError("a part is not zeros, or the service has ended")
            time.sleep(0.05)

    def clear(self) -> None:
        """Delete the parts (and the WebDAV file), so that the next contender has the same memory."""
        with tempfile.TemporaryDirectory(dir=self.folder) as removed:
            for place in ("parts", "dav"):
                for path in (self.folder / place).iterdir():
                    # Moved first: where parts are discarded, the service may be replacing one right now.
                    path.rename(Path(removed, path.name))

    def _trust(self) -> SSLContext:
        return create_default_context(cafile=self.ca_file)


@contextmanager
def stage(*, part_size: int = PART_SIZE, discard: bool = False, link: RunningLink | None = None) -> Iterator[Stage]:
    """Run an nginx and a service during the block. Raises Missing. `discard`: parts are compared with zeros and
    discarded on arrival, for files larger than memory. `link`: all traffic goes through it.
    """
    nginx = program("nginx", "nginx-light")
    program("openssl", "openssl")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="figup-bench-", dir=MEMORY)))
        for name in ("parts", "incoming", "dav", "sandbox"):
            (folder / name).mkdir()
        (folder / "sums.json").write_text("{}", encoding="utf-8")
        authority = Authority(folder / "tls")
        certificate = authority.sign("server", "DNS:localhost,IP:127.0.0.1")
        port = free_ports(1)[0] if link is None else link.upstream
        url = f"https://127.0.0.1:{port if link is None else link.port}"
        service = Process(
            [sys.executable, "-m", "benchmarks.service", "--folder", folder, "--public-url", url,
             "--part-size", str(part_size), *(["--discard"] if discard else [])],
            env=clean_environment(folder) | {"PYTHONPATH": os.fspath(Path(__file__).parent.parent)},
            cwd=folder,
        )  # fmt: skip
        stack.callback(service.stop)
        ready = service.stdout.wait_for(lambda line: line.startswith("{"), 30)
        if ready is None:
            raise RuntimeError(f"the service ended before it was ready: {service.stderr.text}")
        at = {name: address.removesuffix("/v2").removesuffix("/upload") for name, address in json.loads(ready).items()}
        webdav = _WEBDAV_MODULE.exists()
        settings = {
            "folder": folder, "port": port, "chain": certificate.chain, "key": certificate.key, **at,
            "modules": f"load_module {_WEBDAV_MODULE};" if webdav else "",
            "webdav": _WEBDAV.format(folder=folder) if webdav else "",
        }  # fmt: skip
        (folder / "nginx.conf").write_text(_NGINX.format(**settings), encoding="utf-8")
        command: list[str | Path] = [nginx, "-p", folder, "-e", "error.log", "-c", "nginx.conf"]
        front = stack.enter_context(serving(command, folder, [("127.0.0.1", port)]))
        yield Stage(url, authority.file, folder, webdav, (service.pid, front), discard)
