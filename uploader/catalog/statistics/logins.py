"""Names and passwords of institutions for the statistics service: kept like the token, one for each institution."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from uploader.errors import NoToken, UsageError
from uploader.figshare import auth
from uploader.figshare.auth import Token
from uploader.figshare.statistics_api import credential

USER, PASSWORD_FILE = "FIGSHARE_STATS_USER", "FIGSHARE_STATS_PASSWORD_FILE"


def find(endpoint: str, scope: str | None, *, environ: Mapping[str, str], config_dir: Path) -> dict[str, Token]:
    """Return the credentials of a session in this scope: from the environment, the keyring or the private file.

    They are by institution, as `StatisticsApi` has them; empty if none are known, or without a scope. Blocks.
    Raises TokenFileExposed, UsageError for an unusable password file or store.
    """
    if scope is None:
        return {}
    if USER in environ or PASSWORD_FILE in environ:
        if not (environ.get(USER) and environ.get(PASSWORD_FILE)):
            raise UsageError(f"{USER} and {PASSWORD_FILE} must be set together")
        return {scope: credential(environ[USER], auth.read_secret_file(Path(environ[PASSWORD_FILE]), "password"))}
    try:
        found = auth.find_token(token_file=None, endpoint=_key(endpoint, scope), environ={}, config_dir=config_dir)
    except NoToken:
        return {}
    return {scope: found.token}


def store(login: Token, endpoint: str, scope: str, *, config_dir: Path) -> str:
    """Store a login; return the place, for a message. Blocks. Raises StateUnusable, StateDiskFull."""
    return auth.store_token(login, endpoint=_key(endpoint, scope), config_dir=config_dir, environ={})


def forget(endpoint: str, scope: str, *, config_dir: Path) -> list[str]:
    """Delete a stored login; return the places it was in. Blocks."""
    return auth.forget_token(endpoint=_key(endpoint, scope), config_dir=config_dir)


def _key(endpoint: str, scope: str) -> str:
    return f"{endpoint}/{scope}"
