"""Secrets that must never be shown: a canary token, and the secret parts of a sandbox's upload URLs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from tests.support.sandbox import Sandbox

TOKEN = "c4nary-t0ken-4d5e6f"


class UploadSecrets:
    """The secrets of a sandbox's uploads, recorded from now on, including those of files that are removed later."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._path = sandbox.dir / "sandbox.db"
        with self._open() as db:
            db.executescript(
                "CREATE TABLE IF NOT EXISTS seen_by_a_test(number INTEGER PRIMARY KEY, token TEXT);"
                "CREATE TRIGGER IF NOT EXISTS see AFTER INSERT ON files"
                " BEGIN INSERT INTO seen_by_a_test(token) VALUES (NEW.token); END;"
            )

    def after(self, number: int = 0) -> list[str]:
        """Those created after this number of earlier ones."""
        with self._open() as db:
            rows = db.execute("SELECT token FROM seen_by_a_test WHERE number > ? ORDER BY number", (number,)).fetchall()
        return [token for (token,) in rows]

    def _open(self) -> contextlib.closing[sqlite3.Connection]:
        return contextlib.closing(sqlite3.connect(self._path, timeout=30))


def check_silent(folder: Path, texts: Iterable[str], secrets: Iterable[str], *, but: Iterable[Path] = ()) -> None:
    """None of the secrets is in a text, nor in any file or file name below the folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and path not in set(but)]
    said = [("output", text.encode().lower()) for text in texts]
    for path in files:
        with contextlib.suppress(FileNotFoundError):  # a running process removed its own file
            said.append((str(path), (str(path).encode() + path.read_bytes()).lower()))
    wanted = [needle for secret in secrets for needle in _forms(secret)]
    for name, text in said:
        assert not any(needle in text for needle in wanted), f"a secret in {name}"


def _forms(secret: str) -> list[bytes]:
    return [
        form.encode().lower() for form in (*encodings(secret).values(), hashlib.sha256(secret.encode()).hexdigest())
    ]


def encodings(secret: str) -> dict[str, str]:
    """Encodings in which a server may echo a secret."""
    code = secret.encode()
    return {
        "plain": secret,
        "upper case": secret.upper(),
        "swapped case": secret.swapcase(),
        "JSON, slashes": secret.replace("/", "\\/"),
        "JSON, one letter": f"{secret[:4]}\\u{ord(secret[4]):04x}{secret[5:]}",
        "JSON, all": "".join(f"\\u{ord(c):04X}" for c in secret),
        "percent": quote(secret, safe=""),
        "percent, all": "".join(f"%{byte:02x}" for byte in code),
        "percent, twice": quote(quote(secret, safe="")),
        "percent in JSON": "".join(f"\\u0025{byte:02X}" for byte in code),
        "HTML": "".join(f"&#{ord(c)};" for c in secret),
        "HTML, hexadecimal": "".join(f"&#x{ord(c):X};" for c in secret),
        "base64": base64.b64encode(code).decode(),
        "base64 for addresses": base64.urlsafe_b64encode(code).decode().rstrip("="),
        "credentials": base64.b64encode(b"me:" + code).decode(),
        "credentials of a user": base64.b64encode(b"user:" + code).decode(),
        "base64 of percent": base64.b64encode(quote(secret, safe="").encode()).decode(),
        "base64 in an address": quote(base64.b64encode(b"x:" + code).decode(), safe=""),
    }
