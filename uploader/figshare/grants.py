"""An OAuth grant, stored in place of a token: secrets, owner, expiry."""

from __future__ import annotations

from datetime import datetime

import msgspec

from uploader.redaction import add_secret

_MIN_LENGTH = 8
"""Minimum characters of a secret to redact; an application's may be short."""


class OAuth2Grant(msgspec.Struct, kw_only=True, frozen=True, tag="oauth2"):
    """`until` is None if the server named no end; `refresh_token` is "" without one. Its repr shows no secret."""

    client_id: str
    client_secret: str
    access_token: str
    refresh_token: str = ""
    until: datetime | None = None
    account: str = ""
    """Its owner, for display."""
    refreshing: bool = False
    """A refresh was sent, and its answer is not stored: the refresh token may be used up."""

    def __post_init__(self) -> None:
        for secret in (self.client_secret, self.access_token, self.refresh_token):
            add_secret(secret, min_length=_MIN_LENGTH)

    def __repr__(self) -> str:
        return f"OAuth2Grant({self.client_id!r}, …)"

    def dump(self) -> str:
        """Return the text that `parse_grant` reads."""
        return msgspec.json.encode(self).decode()

    def expired(self, now: datetime) -> bool:
        """Return whether its end has passed."""
        return self.until is not None and self.until <= now


class OAuth1Grant(msgspec.Struct, kw_only=True, frozen=True, tag="oauth1"):
    """A sign-in at the first API, which has no end. Its repr shows no secret."""

    consumer: str
    consumer_secret: str
    token: str = ""
    token_secret: str = ""
    account: str = ""
    """Its owner, for display."""

    def __post_init__(self) -> None:
        for secret in (self.consumer_secret, self.token, self.token_secret):
            add_secret(secret, min_length=_MIN_LENGTH)

    def __repr__(self) -> str:
        return f"OAuth1Grant({self.consumer!r}, …)"

    def dump(self) -> str:
        """Return the text that `parse_grant` reads."""
        return msgspec.json.encode(self).decode()


def parse_grant(text: str) -> OAuth2Grant | OAuth1Grant | None:
    """Return the grant in a stored text, None if the text is a token. Raises ValueError for a damaged one."""
    if not text.lstrip().startswith("{"):
        return None
    grant: OAuth2Grant | OAuth1Grant = msgspec.json.decode(text, type=OAuth2Grant | OAuth1Grant)
    return grant
