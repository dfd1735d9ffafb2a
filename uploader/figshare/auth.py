"""Find, store and delete the token (or the OAuth grant in its place), and wrap it so that it is never shown."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import platformdirs

from uploader.disk import Disk, open_lock_file, take_flock
from uploader.errors import Facts, FigupError, NoToken, StateUnusable, TokenFileExposed, UsageError
from uploader.figshare.grants import OAuth1Grant, OAuth2Grant, parse_grant
from uploader.redaction import add_secret
from uploader.system import PATH_FAULTS, path_error, transient_error

SERVICE = "figup"
VARIABLE = "FIGSHARE_TOKEN"
_FILE_NAME, _LOCK_NAME = "tokens.json", "tokens.lock"
_LOCK_TIME_LIMIT, _LOCK_POLL = 30.0, 0.02
"""Seconds to wait for a process that changes the store, and between two attempts."""
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
            raise UsageError(f"{origin} is not a token (one word of printable Latin-1 characters)")
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


class FoundToken(msgspec.Struct, frozen=True):
    """A token, and where it was found, for messages. `grant` is what it belongs to if it was granted by OAuth 2."""

    token: Token
    origin: str
    grant: OAuth2Grant | None = None


def find_token(*, token_file: Path | None, endpoint: str, environ: Mapping[str, str], config_dir: Path) -> FoundToken:
    """Return the token from the first of: the token file, FIGSHARE_TOKEN, the file that `store_token` writes, the
    keyring.

    Raises NoToken, TokenFileExposed, UsageError (malformed). Blocks on disk and keyring.
    """
    if token_file is not None:
        text = _read_private(token_file)
        if text is None:
            raise NoToken(f"the token file {token_file} does not exist", path=str(token_file))
        return _found(text, f"the token file {token_file}")
    if VARIABLE in environ:
        return _found(environ[VARIABLE], f"the environment variable {VARIABLE}")
    stored = read_stored(endpoint=endpoint, config_dir=config_dir)
    if stored is not None:
        return _found_stored(*stored)
    raise NoToken(f"no token for {endpoint}")


def read_stored(*, endpoint: str, config_dir: Path) -> tuple[str, str] | None:
    """Return the stored token or grant for this endpoint, and its place; None without one. Raises TokenFileExposed,
    UsageError.

    The file comes first: it has what the keyring refused to store, and is newer.
    """
    stored = _read_entry(config_dir / _FILE_NAME, endpoint)
    if stored is not None:
        return stored, f"the file {config_dir / _FILE_NAME}"
    ring = _keyring()
    secret = ring.get(endpoint) if ring is not None else None
    return (secret, ring.name) if ring is not None and secret is not None else None


def store_token(token: Token, *, endpoint: str, config_dir: Path, environ: Mapping[str, str]) -> str:
    """Store the token for this endpoint; return the place, and what in `environ` takes precedence, for a message.

    The place is the keyring if usable, else a 0600 file in a 0700 folder. Raises StateUnusable, StateDiskFull.
    """
    return store_text(token.reveal(), endpoint=endpoint, config_dir=config_dir) + precedence_note(environ)


def precedence_note(environ: Mapping[str, str]) -> str:
    """Return a note to add to the place of a stored token if another one takes precedence."""
    return f" (but {VARIABLE} is set and takes precedence)" if VARIABLE in environ else ""


def store_text(text: str, *, endpoint: str, config_dir: Path) -> str:
    """Store a token, or a grant as text, as `store_token` does; return the place."""
    ring = _keyring()
    if ring is not None and ring.set(endpoint, text):
        _remove_from_file(endpoint, config_dir)
        return ring.name
    path = config_dir / _FILE_NAME
    with _locked(config_dir):
        _write_store(path, {**_read_store(path), endpoint: text})
    return f"the file {path}"


def replace_text(text: str, *, endpoint: str, config_dir: Path, is_due: Callable[[str], bool]) -> None:
    """Store a text in place of what is stored now, if there is something and it `is_due`.

    The file takes what the keyring refuses. Raises as `store_text`.
    """
    ring, path = _keyring(), config_dir / _FILE_NAME
    with _locked(config_dir):
        in_file = _read_entry(path, endpoint)
        try:
            current = in_file or (ring.read(endpoint) if ring is not None else None)
        except _KeyringError:  # locked since it was read: a text that is lost would be worse than one too many
            pass
        else:
            if current is None or not is_due(current):
                return
            if in_file is None and ring is not None and ring.set(endpoint, text):
                return
        _write_store(path, {**_read_store(path), endpoint: text})


def check_storable(config_dir: Path) -> None:
    """Raise StateUnusable if no token could be stored, before one is obtained that would be lost."""
    if _keyring() is None:
        os.close(open_token_lock(config_dir / _LOCK_NAME))


def open_token_lock(path: Path) -> int:
    """Open a lock file beside the tokens, and make its folder. Raises StateUnusable."""
    with _writing_tokens():
        Disk().make_folder(path.parent)
        return open_lock_file(path)


@contextlib.contextmanager
def _writing_tokens() -> Iterator[None]:
    """Name the folder of tokens in an error about it, which would otherwise seem to be about the state directory."""
    try:
        yield
    except StateUnusable as error:
        raise error.with_context(prefix="tokens cannot be stored", situation="token-store") from None


def forget_token(*, endpoint: str, config_dir: Path) -> list[str]:
    """Delete the stored token of this endpoint everywhere; return the places it was in, for a message."""
    stores = []
    ring = _keyring()
    if ring is not None and ring.delete(endpoint):
        stores.append(ring.name)
    if _remove_from_file(endpoint, config_dir):
        stores.append(f"the file {config_dir / _FILE_NAME}")
    return stores


def _remove_from_file(endpoint: str, config_dir: Path) -> bool:
    """Return whether the file had something for this endpoint."""
    path = config_dir / _FILE_NAME
    if _read_entry(path, endpoint) is None:
        return False
    with _locked(config_dir):
        _write_store(path, {name: text for name, text in _read_store(path).items() if name != endpoint})
    return True


def _found(text: str, origin: str) -> FoundToken:
    return FoundToken(Token(text, origin=origin), origin)


def _found_stored(text: str, origin: str) -> FoundToken:
    grant = _grant_in(text, origin)
    if isinstance(grant, OAuth1Grant):
        raise _damaged(origin)
    return FoundToken(Token(text if grant is None else grant.access_token, origin=origin), origin, grant)


def find_first_grant(*, endpoint: str, config_dir: Path) -> tuple[OAuth1Grant, str] | None:
    """Return the sign-in at this endpoint of the first API, and where it is stored; None for none.

    Blocks. Raises TokenFileExposed, UsageError.
    """
    stored = read_stored(endpoint=endpoint, config_dir=config_dir)
    if stored is None:
        return None
    grant = _grant_in(*stored)
    if not isinstance(grant, OAuth1Grant):
        raise _damaged(stored[1])
    return grant, stored[1]


def _grant_in(text: str, origin: str) -> OAuth2Grant | OAuth1Grant | None:
    try:
        return parse_grant(text)
    except ValueError:
        raise _damaged(origin) from None


def _damaged(origin: str) -> UsageError:
    return UsageError(f"the sign-in in {origin} is damaged", facts=Facts("token-store-damaged"))


def read_secret_file(path: Path, what: str) -> str:
    """Return the secret in a private file, without its line end; `what` names it, such as "password". Raises
    UsageError, and what `path_error` gives.
    """
    try:
        text = path.read_text("utf-8-sig").rstrip("\r\n")
        exposed = os.name == "posix" and path.is_file() and path.stat().st_mode & 0o077
    except PATH_FAULTS as fault:
        raise path_error(fault, str(path)) from None
    if exposed:
        raise UsageError(f"other users can read the {what} file {path}", facts=Facts("password-file-exposed"))
    if not text:
        raise UsageError(f"the {what} file {path} is empty")
    return text


# --- the file ---------------------------------------------------------------------------------------------------


def _read_private(path: Path, *, exposed: bool = False) -> str | None:
    """Return the text of a private file, None if it does not exist. Pipes are accepted.

    Raises TokenFileExposed unless the file may be `exposed`.
    """
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not exposed and os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
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
        raise transient_error(fault, str(path)) or NoToken(text, path=str(path)) from None
    return raw.decode("utf-8-sig", "replace")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Change the store alone, so that commands for other endpoints do not lose what they store.

    Raises StateUnusable if another process holds the lock for long. Where files cannot be locked the others are not
    kept out; where none can be written, writing the store reports it.
    """
    path = folder / _LOCK_NAME
    try:
        fd = open_token_lock(path)
    except FigupError:
        yield
        return
    try:
        end = time.monotonic() + _LOCK_TIME_LIMIT
        while take_flock(fd) is False:
            if time.monotonic() > end:
                raise StateUnusable(f"another process holds {path}", hint="End it, and run the same command again.")
            time.sleep(_LOCK_POLL)
        yield
    finally:
        os.close(fd)


def _read_entry(path: Path, endpoint: str) -> str | None:
    """Return the file's entry for this endpoint. Without one, as with a keyring, the file may be exposed."""
    if endpoint not in _read_store(path, exposed=True):
        return None
    return _read_store(path).get(endpoint)


def _read_store(path: Path, *, exposed: bool = False) -> dict[str, str]:
    text = _read_private(path, exposed=exposed)
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
    with _writing_tokens():
        disk.make_folder(path.parent)
        disk.replace(path, json.dumps({"version": 1, "tokens": dict(tokens)}, indent=1).encode())


# --- the keyring ------------------------------------------------------------------------------------------------


class _KeyringError(Exception):
    """The keyring cannot be read now."""


class _Keyring:
    """Wrap the optional keyring package; a failing backend counts as none."""

    def __init__(self, package: Any) -> None:
        self._package = package
        self.name = f"the keyring ({package.get_keyring().name})"

    def get(self, endpoint: str) -> str | None:
        try:
            return self.read(endpoint)
        except _KeyringError:
            return None

    def read(self, endpoint: str) -> str | None:
        """Return the secret, None if there is none. Raises _KeyringError."""
        try:
            secret: str | None = self._package.get_password(SERVICE, endpoint)
        except Exception:  # noqa: BLE001 - backends raise what their libraries raise
            raise _KeyringError from None
        return secret

    def set(self, endpoint: str, secret: str) -> bool:
        try:
            self._package.set_password(SERVICE, endpoint, secret)
        except Exception:  # noqa: BLE001
            return False
        return True

    def delete(self, endpoint: str) -> bool:
        try:
            self._package.delete_password(SERVICE, endpoint)
        except Exception:  # noqa: BLE001
            return False
        return True


def _keyring() -> _Keyring | None:
    """Return None without the package, or if its backend stores nothing (priority 0 or less)."""
    try:
        import keyring
    except ImportError:
        return None
    try:
        return _Keyring(keyring) if keyring.get_keyring().priority > 0 else None
    except Exception:  # noqa: BLE001 - a backend that is configured, and missing or broken
        return None
