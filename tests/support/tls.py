"""Certificates for tests, made with openssl: an authority, and valid and invalid certificates that it signed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import require_program

_NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


@dataclass(frozen=True)
class Certificate:
    """PEM files; `chain` and `key` are what a server needs."""

    chain: Path
    key: Path


class Authority:
    """A certificate authority for one test. `file` is for --ca-file."""

    def __init__(self, folder: Path) -> None:
        self._openssl = require_program("openssl", "openssl")
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "ca.pem"
        self._run(f"req -x509 {_NEW_KEY} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem")

    def sign(self, name: str, names: str, *, expired: bool = False) -> Certificate:
        """A certificate for `names` (DNS:localhost,IP:127.0.0.1); an expired one ended in 2001."""
        self._run(f"req -new {_NEW_KEY} -subj /CN={name} -keyout {name}.key -out {name}.csr")
        (self._folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        signing = f"-CA ca.pem -CAkey ca.key -CAcreateserial -extfile {name}.ext -in {name}.csr -out {name}.pem"
        # Only a negative number of days gives an end in the past with every openssl since 1.1.
        self._run(f"x509 -req {signing} -days {-1 if expired else 2}")
        return Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")

    def self_signed(self, name: str, names: str) -> Certificate:
        """A self-signed certificate."""
        extension = f"-addext subjectAltName={names}"
        self._run(f"req -x509 {_NEW_KEY} -days 2 -subj /CN={name} {extension} -keyout {name}.key -out {name}.pem")
        return Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")

    def _run(self, words: str) -> None:
        subprocess.run([self._openssl, *words.split()], cwd=self._folder, check=True, capture_output=True)
