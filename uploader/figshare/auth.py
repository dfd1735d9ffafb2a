"""Find, store and delete the token, and wrap it so that it is never shown."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import platformdirs

from uploader.disk import Disk
from uploader.errors import Facts, NoToken, TokenFileExposed, UsageError
from uploader.redaction import add_secret
from uploader.system import PATH_FAULTS, passing_error

SERVICE = "figup"
VARIABLE = "FIGSHARE_TOKEN"
_FILE_NAME = "tokens.json"
_MAX_SIZE = 4096


def default_config_dir() -> Path:
    """Return the folder where `store_token` stores tokens without a keyring."""
    return Path(platformdirs.user_config_dir("figup"))


class Token:
    """A secret: its repr is Token(…), it cannot be pickled or copied, and only `reveal` returns it.

    `origin` names its source, for error messages. Raises NoToken if empty, UsageError if malformed.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str, *, origin: str = "the token") -> None:
        text = value.strip()
        if not text:
            raise NoToken(f"{origin} is empty")
        if len(text) > _MAX_SIZE or any(not c.isprintable() or c.isspace() or ord(c) > 255 for c in text):
            raise UsageError(f"{origin} is not a token (one word of plain characters)")
        self._value = text
        add_secret(text)

    def reveal(self) -> str:
        """Return the secret, for the Authorization header."""
        return self._value

    def __repr__(self) -> str:
        return "Token(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a token is not pickled or copied")


@dataclass(frozen=True)
class FoundToken:
    """A token, and where it was found, for messages."""

    token: Token
    origin: str


def find_token(*, token_file: Path | None, endpoint: str, environ: Mapping[str, str], config_dir: Path) -> FoundToken:
    """Return the first of: the token file, FIGSHARE_TOKEN, the keyring, the file that `store_token` writes.

    Raises NoToken, TokenFileExposed, UsageError (malformed). Blocks on disk and keyring.
    """
    if token_file is not None:
        text = _read_private(token_file)
        if text is None:
            raise NoToken(f"the token file {token_file} does not exist", path=str(token_file))
        return _found(text, f"the token file {token_file}")
    if VARIABLE in environ:
        return _found(environ[VARIABLE], f"the environment variable {VARIABLE}")
    ring = _keyring()
    if ring is not None:
        secret = ring.get(endpoint)
        if secret is not None:
            return _found(secret, ring.name)
    stored = _read_store(config_dir / _FILE_NAME).get(endpoint)
    if stored is not None:
        return _found(stored, f"the file {config_dir / _FILE_NAME}")
    raise NoToken(f"no token for {endpoint}")


def store_token(token: Token, *, endpoint: str, config_dir: Path, environ: Mapping[str, str]) -> str:
    """Store the token for this endpoint; return the place, and what in `environ` takes precedence, for a message.

    The place is the keyring if usable, else a 0600 file in a 0700 folder. Raises StateUnusable, StateDiskFull.
    """
    note = f" (but {VARIABLE} is set and takes precedence)" if VARIABLE in environ else ""
    ring = _keyring()
    if ring is not None and ring.set(endpoint, token.reveal()):
        return ring.name + note
    path = config_dir / _FILE_NAME
    _write_store(path, {**_read_store(path), endpoint: token.reveal()})
    return f"the file {path}{note}"


def forget_token(*, endpoint: str, config_dir: Path) -> list[str]:
    """Delete the stored token of this endpoint everywhere; return the places it was in, for a message."""
    stores = []
    ring = _keyring()
    if ring is not None and ring.delete(endpoint):
        stores.append(ring.name)
    path = config_dir / _FILE_NAME
    tokens = _read_store(path)
    if tokens.pop(endpoint, None) is not None:
        _write_store(path, tokens)
        stores.append(f"the file {path}")
    return stores


def _found(text: str, origin: str) -> FoundToken:
    return FoundToken(Token(text, origin=origin), origin)


# --- the file ---------------------------------------------------------------------------------------------------


def _read_private(path: Path) -> str | None:
    """Return the text of a private file, None if it does not exist. Pipes are accepted. Raises TokenFileExposed."""
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
                raise TokenFileExposed(
                    f"other users can read the token file {path}",
                    hint=f"Run `chmod 600 {shlex.quote(str(path))}`; if others use this machine, create a new token.",
                    path=str(path),
                )
            raw = stream.read(1 << 20)
    except FileNotFoundError:
        return None
    except PATH_FAULTS as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        text = f"cannot read the token file {path}: {reason}"
        raise passing_error(fault, str(path)) or NoToken(text, path=str(path)) from None
    return raw.decode("utf-8-sig", "replace")


def _read_store(path: Path) -> dict[str, str]:
    text = _read_private(path)
    if text is None:
        return {}
    tokens: Any = None
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        tokens = json.loads(text)["tokens"]
    if not isinstance(tokens, dict) or not all(isinstance(value, str) for value in tokens.values()):
        raise UsageError(
            f"the token file {path} is damaged",
            hint="Remove it, and store the token again.",
            path=str(path),
            facts=Facts("token-store-damaged"),
        )
    return tokens


def _write_store(path: Path, tokens: Mapping[str, str]) -> None:
    """Raise StateUnusable or StateDiskFull if the file cannot be written; it is then unchanged."""
    disk = Disk()
    disk.make_folder(path.parent)
    disk.replace(path, json.dumps({"version": 1, "tokens": dict(tokens)}, indent=1).encode())


# --- the keyring ------------------------------------------------------------------------------------------------


class _Keyring:
    """Wrap the optional keyring package; a failing backend counts as none."""

    def __init__(self, package: Any) -> None:
        self._package = package
        self.name = f"the keyring ({package.get_keyring().name})"
        self._faults = (package.errors.KeyringError, RuntimeError, OSError, ValueError)

    def get(self, endpoint: str) -> str | None:
        try:
            secret: str | None = self._package.get_password(SERVICE, endpoint)
        except self._faults:
            return None
        return secret

    def set(self, endpoint: str, secret: str) -> bool:
        try:
            self._package.set_password(SERVICE, endpoint, secret)
        except self._faults:
            return False
        return True

    def delete(self, endpoint: str) -> bool:
        try:
            self._package.delete_password(SERVICE, endpoint)
        except self._faults:
            return False
        return True


def _keyring() -> _Keyring | None:
    """Return None without the package, or if its backend stores nothing (priority 0 or less)."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    try:
        usable = keyring.get_keyring().priority > 0
    except (keyring.errors.KeyringError, RuntimeError, OSError):
        return None
    return _Keyring(keyring) if usable else None
