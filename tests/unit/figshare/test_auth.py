"""Find, store and delete the token."""

from __future__ import annotations

import copy
import errno
import fcntl
import json
import os
import pickle
import stat
import subprocess
import sys
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from uploader.errors import NoToken, StateDiskFull, StateUnusable, TokenFileExposed, UsageError
from uploader.figshare import auth
from uploader.figshare.auth import Token, find_token, forget_token, store_token

ENDPOINT = "https://api.figshare.com/v2"
OTHER = "http://127.0.0.1:1/v2"


class Ring:
    """A keyring package with one backend in memory."""

    def __init__(self, priority: float = 5) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.broken = False
        self.package = types.ModuleType("keyring")
        self.errors = types.ModuleType("keyring.errors")
        self.errors.KeyringError = type("KeyringError", (Exception,), {})  # type: ignore[attr-defined]
        backend = types.SimpleNamespace(priority=priority, name="memory")
        for name, value in {
            "errors": self.errors,
            "get_keyring": lambda: backend,
            "get_password": lambda service, user: self._do(lambda: self.kept.get((service, user))),
            "set_password": lambda service, user, secret: self._do(
                lambda: self.kept.__setitem__((service, user), secret)
            ),
            "delete_password": lambda service, user: self._do(lambda: self._delete(service, user)),
        }.items():
            setattr(self.package, name, value)

    def _do(self, action: Any) -> Any:
        if self.broken:
            raise self.errors.KeyringError("locked")
        return action()

    def _delete(self, service: str, user: str) -> None:
        if self.kept.pop((service, user), None) is None:
            raise self.errors.KeyringError("not found")

    def use(self, monkeypatch: pytest.MonkeyPatch) -> Ring:
        monkeypatch.setitem(sys.modules, "keyring", self.package)
        monkeypatch.setitem(sys.modules, "keyring.errors", self.errors)
        return self


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's real keyring is not used; importing it fails as if it were not installed."""
    monkeypatch.setitem(sys.modules, "keyring", None)


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def find(config: Path, *, token_file: Path | None = None, environ: dict[str, str] | None = None) -> auth.FoundToken:
    return find_token(token_file=token_file, endpoint=ENDPOINT, environ=environ or {}, config_dir=config)


def secret_file(path: Path, text: str = "s3cret\n", mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_token_sources_have_an_order_of_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring().use(monkeypatch)
    token_file = secret_file(tmp_path / "token", "of-file\n")
    monkeypatch.setitem(sys.modules, "keyring", None)
    store_token(Token("of-store"), endpoint=ENDPOINT, config_dir=tmp_path, environ={})
    ring.use(monkeypatch)
    store_token(Token("of-ring"), endpoint=ENDPOINT, config_dir=tmp_path, environ={})
    environ = {"FIGSHARE_TOKEN": "of-env"}

    def revealed(**kwargs: Any) -> tuple[str, str]:
        found = find(tmp_path, **kwargs)
        return found.token.reveal(), found.origin

    assert revealed(token_file=token_file, environ=environ) == ("of-file", f"the token file {token_file}")
    assert revealed(environ=environ) == ("of-env", "the environment variable FIGSHARE_TOKEN")
    assert revealed() == ("of-ring", "the keyring (memory)")
    ring.broken = True  # it takes nothing, but still gives what it has
    store_token(Token("of-store"), endpoint=ENDPOINT, config_dir=tmp_path, environ={})
    ring.broken = False
    assert revealed() == ("of-store", f"the file {tmp_path / 'tokens.json'}")


def test_a_missing_token_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoToken, match="no token for https"):
        find(tmp_path)


def test_a_missing_token_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NoToken, match="does not exist"):
        find(tmp_path, token_file=tmp_path / "none", environ={"FIGSHARE_TOKEN": "x"})


def test_a_folder_as_token_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoToken, match="cannot read"):
        find(tmp_path, token_file=tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610])
def test_a_token_file_readable_by_others_is_rejected_with_a_hint(tmp_path: Path, mode: int) -> None:
    path = secret_file(tmp_path / "token", mode=mode)
    with pytest.raises(TokenFileExposed) as caught:
        find(tmp_path, token_file=path)
    assert f"chmod 600 {path}" in (caught.value.hint or "")


def test_an_exposed_token_store_is_rejected(tmp_path: Path) -> None:
    store_token(Token("x"), endpoint=ENDPOINT, config_dir=tmp_path, environ={})
    (tmp_path / "tokens.json").chmod(0o644)
    with pytest.raises(TokenFileExposed):
        find(tmp_path)


def test_a_token_can_be_read_from_a_pipe(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from uploader.figshare.auth import find_token\n"
        "found = find_token(token_file=Path('/dev/stdin'), endpoint='x', environ={}, config_dir=Path('/nowhere'))\n"
        "print(found.token.reveal())"
    )
    run = subprocess.run([sys.executable, "-c", code], input="piped\n", capture_output=True, text=True, check=True)
    assert run.stdout == "piped\n"


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_token_counts_as_missing(tmp_path: Path, text: str) -> None:
    with pytest.raises(NoToken, match=r"the token file .* is empty"):
        find(tmp_path, token_file=secret_file(tmp_path / "token", text))
    with pytest.raises(NoToken, match="FIGSHARE_TOKEN is empty"):
        find(tmp_path, environ={"FIGSHARE_TOKEN": text})


@pytest.mark.parametrize("text", ["two words", "a\nb", "a\x00b", "snow☃", "a\x7fb", "x" * 5000, "\x85a b"])
def test_malformed_tokens_are_rejected(tmp_path: Path, text: str) -> None:
    path = secret_file(tmp_path / "token", text)
    with pytest.raises(UsageError) as caught:
        find(tmp_path, token_file=path)
    assert str(path) in str(caught.value)
    assert text.strip() not in str(caught.value)
    with pytest.raises(UsageError, match="FIGSHARE_TOKEN"):
        find(tmp_path, environ={"FIGSHARE_TOKEN": text})


def test_the_store_has_a_token_per_endpoint_and_is_private(tmp_path: Path) -> None:
    config = tmp_path / "a" / "figup"
    assert "tokens.json" in store_token(Token("one"), endpoint=ENDPOINT, config_dir=config, environ={})
    store_token(Token("two"), endpoint=OTHER, config_dir=config, environ={})
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    assert stat.S_IMODE((config / "tokens.json").stat().st_mode) == 0o600
    assert {path.name for path in config.iterdir()} == {"tokens.json", "tokens.lock"}
    assert find(config).token.reveal() == "one"
    found = find_token(token_file=None, endpoint=OTHER, environ={}, config_dir=config)
    assert found.token.reveal() == "two"


def test_the_store_is_replaced_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_token(Token("one"), endpoint=ENDPOINT, config_dir=tmp_path, environ={})
    before = (tmp_path / "tokens.json").read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StateDiskFull, match="No space left"):
        store_token(Token("two"), endpoint=ENDPOINT, config_dir=tmp_path, environ={})
    assert (tmp_path / "tokens.json").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"tokens.json", "tokens.lock"}


def test_a_folder_that_cannot_be_written_is_not_the_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "figup"
    monkeypatch.setattr(os, "fsync", refuse)
    for store in (
        lambda: auth.check_storable(folder),
        lambda: store_token(Token("one"), endpoint=ENDPOINT, config_dir=tmp_path, environ={}),
    ):
        with pytest.raises(StateUnusable, match="tokens cannot be stored") as caught:
            store()
        assert caught.value.facts.situation == "token-store"
    Ring().use(monkeypatch)
    auth.check_storable(folder)


def no_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.parametrize("locks", [True, False])
def test_commands_for_other_endpoints_keep_each_others_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    """Without file locks only one after the other: what is stored is read again directly before it is written."""
    if not locks:
        monkeypatch.setattr("fcntl.flock", no_locks)
    endpoints = [f"https://{number}.example.org/v2" for number in range(12)]

    def store(endpoint: str) -> None:
        store_token(Token("secret-" + endpoint[8:10]), endpoint=endpoint, config_dir=tmp_path, environ={})

    with ThreadPoolExecutor(8 if locks else 1) as pool:
        list(pool.map(store, endpoints))
    assert set(json.loads((tmp_path / "tokens.json").read_text())["tokens"]) == set(endpoints)
    with ThreadPoolExecutor(8 if locks else 1) as pool:
        list(pool.map(lambda one: forget_token(endpoint=one, config_dir=tmp_path), endpoints[:11]))
    assert set(json.loads((tmp_path / "tokens.json").read_text())["tokens"]) == {endpoints[11]}


def test_a_store_that_another_process_holds_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_LOCK_TIME_LIMIT", 0.0)
    with (tmp_path / "tokens.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StateUnusable, match=r"another process holds .*tokens\.lock"):
            store_token(Token("one"), endpoint=ENDPOINT, config_dir=tmp_path, environ={})
    assert not (tmp_path / "tokens.json").exists()


def test_storing_reports_what_takes_precedence(tmp_path: Path) -> None:
    said = store_token(Token("x"), endpoint=ENDPOINT, config_dir=tmp_path, environ={"FIGSHARE_TOKEN": "y"})
    assert "FIGSHARE_TOKEN is set and takes precedence" in said


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tokens": []}', '{"tokens": {"a": 1}}', "{"])
def test_a_damaged_store_is_reported(tmp_path: Path, text: str) -> None:
    secret_file(tmp_path / "tokens.json", text)
    with pytest.raises(UsageError, match="damaged"):
        find(tmp_path)


def test_with_a_keyring_no_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring().use(monkeypatch)
    assert store_token(Token("x"), endpoint=ENDPOINT, config_dir=tmp_path, environ={}) == "the keyring (memory)"
    assert ring.kept == {("figup", ENDPOINT): "x"}
    assert list(tmp_path.iterdir()) == []


def test_a_keyring_is_used_beside_an_exposed_file_that_has_nothing_for_the_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokens.json"
    store_token(Token("in-file"), endpoint=OTHER, config_dir=tmp_path, environ={})
    path.chmod(0o644)
    before = path.read_bytes()
    Ring().use(monkeypatch)
    place: dict[str, Any] = {"endpoint": ENDPOINT, "config_dir": tmp_path}
    store_token(Token("in-ring"), environ={}, **place)
    auth.replace_text("refreshed", is_due=lambda text: text == "in-ring", **place)
    assert find_token(token_file=None, environ={}, **place).token.reveal() == "refreshed"
    assert forget_token(**place) == ["the keyring (memory)"]
    assert path.read_bytes() == before
    with pytest.raises(TokenFileExposed):
        find_token(token_file=None, endpoint=OTHER, environ={}, config_dir=tmp_path)


@pytest.mark.parametrize("trouble", ["broken", "keeps nothing"])
def test_an_unusable_keyring_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    ring = Ring(priority=0 if trouble == "keeps nothing" else 5).use(monkeypatch)
    ring.broken = trouble == "broken"
    assert "tokens.json" in store_token(Token("x"), endpoint=ENDPOINT, config_dir=tmp_path, environ={})
    assert find(tmp_path).token.reveal() == "x"
    assert len(forget_token(endpoint=ENDPOINT, config_dir=tmp_path)) == 1


@pytest.mark.parametrize("fault", [ModuleNotFoundError("no module"), TypeError("a backend's own mistake")])
def test_a_configured_keyring_that_cannot_be_loaded_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def load() -> None:
        raise fault

    monkeypatch.setattr(Ring().use(monkeypatch).package, "get_keyring", load)
    assert "tokens.json" in store_token(Token("x"), endpoint=ENDPOINT, config_dir=tmp_path, environ={})
    assert find(tmp_path).token.reveal() == "x"


@pytest.mark.parametrize("fault", ["set", "get"])
def test_what_the_keyring_refuses_replaces_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """It may be locked at any moment: a refreshed sign-in must not be lost."""
    ring = Ring().use(monkeypatch)
    place: dict[str, Any] = {"endpoint": ENDPOINT, "config_dir": tmp_path}
    auth.store_text("old", **place)

    def is_due(held: str) -> bool:
        ring.broken = fault == "set"
        return held == "old"

    ring.broken = fault == "get"
    auth.replace_text("new", is_due=is_due, **place)
    ring.broken = False
    assert auth.read_stored(**place) == ("new", f"the file {tmp_path / 'tokens.json'}")
    auth.replace_text("newer", is_due=lambda held: held == "new", **place)
    assert (auth.read_stored(**place) or ("", ""))[0] == "newer"
    auth.store_text("newest", **place)
    assert auth.read_stored(**place) == ("newest", "the keyring (memory)")


def test_logout_names_every_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring().use(monkeypatch)
    store_token(Token("x"), endpoint=ENDPOINT, config_dir=tmp_path, environ={})
    ring.broken = True
    for endpoint in (ENDPOINT, OTHER):
        store_token(Token("other"), endpoint=endpoint, config_dir=tmp_path, environ={})
    ring.broken = False
    places = forget_token(endpoint=ENDPOINT, config_dir=tmp_path)
    assert places == ["the keyring (memory)", f"the file {tmp_path / 'tokens.json'}"]
    assert forget_token(endpoint=ENDPOINT, config_dir=tmp_path) == []
    assert json.loads((tmp_path / "tokens.json").read_text())["tokens"] == {OTHER: "other"}


def test_a_token_is_not_shown_pickled_or_copied() -> None:
    token = Token(" s3cret\n")
    assert token.reveal() == "s3cret"
    assert "s3cret" not in f"{token} {token!r} {token:>40} {[token]} {auth.FoundToken(token, 'x')}"
    for travel in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            travel(token)
    assert not hasattr(token, "__dict__")
