"""Access tokens, refresh tokens and one-time values that the OAuth provider issued.

Tokens are signed with the sandbox's own token instead of stored, so that they outlive a restart; which refresh tokens
and codes were used is known until then (*choice*).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

CODE_LIFETIME = 600.0
"""Seconds in which a code must be redeemed: the most that RFC 6749 recommends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """An application's request for the owner's consent. `state` is None if it sent none."""

    client_id: str
    redirect: str
    state: str | None = None
    request_token: str = ""
    """The temporary token of OAuth 1; "" for OAuth 2."""


class Grants:
    """`now` gives seconds since the epoch; `lifetime` is the seconds for which an access token is valid."""

    def __init__(self, secret: str, lifetime: float, *, rotates: bool, now: Callable[[], float]) -> None:
        self._secret = secret.encode()
        self._lifetime = lifetime
        self._rotates = rotates
        self._now = now
        self._once: dict[str, tuple[float, Consent]] = {}
        self._spent: set[str] = set()
        self._nonces: dict[str, float] = {}
        self.callbacks: dict[str, str] = {}
        """Redirect address after consent, by request token; "" for none: a PIN is shown instead."""
        self.verifiers: dict[str, str] = {}
        """Request tokens to which the owner consented."""

    def access_token(self) -> str:
        """Issue an access token."""
        return self._signed("access", f"{int((self._now() + self._lifetime) * 1000):x}")

    def is_access_token(self, token: str) -> bool:
        """Return whether this is an access token that has not expired."""
        moment = self._content("access", token)
        return moment is not None and int(moment, 16) > self._now() * 1000

    def refresh_token(self) -> str:
        """Issue a refresh token."""
        return self._signed("refresh", "0")

    def refresh(self, token: str) -> str | None:
        """Return the refresh token to use from now on: a new one if they rotate; None if this one is invalid."""
        if self._content("refresh", token) is None or token in self._spent:
            return None
        if not self._rotates:
            return token
        self._spent.add(token)
        return self.refresh_token()

    def once(self, consent: Consent) -> str:
        """Return a value that leads to this consent once, for a while: a code, or the ticket of a form."""
        now = self._now()
        self._once = {name: one for name, one in self._once.items() if one[0] > now}
        name = secrets.token_hex(20)
        self._once[name] = (now + CODE_LIFETIME, consent)
        return name

    def redeem(self, name: str) -> Consent | None:
        """Return the consent for this value, once; None if it is unknown, used or expired."""
        expires, consent = self._once.pop(name, (0.0, None))
        return consent if expires > self._now() else None

    def request_token(self, lifetime: float) -> str:
        """Issue a temporary token of OAuth 1, valid for this many seconds."""
        return self._signed("request", f"{int((self._now() + lifetime) * 1000):x}")

    def is_request_token(self, token: str) -> bool:
        """Return whether this is a temporary token that has not expired."""
        moment = self._content("request", token)
        return moment is not None and int(moment, 16) > self._now() * 1000

    def first_api_token(self) -> str:
        """Issue an access token of OAuth 1, which does not expire."""
        return self._signed("first", "0")

    def is_first_api_token(self, token: str) -> bool:
        """Return whether this is an access token of OAuth 1."""
        return self._content("first", token) is not None

    def secret_of(self, token: str) -> str:
        """Return the secret with which requests that carry this token of OAuth 1 are signed."""
        return self._signature(f"secret of {token}")

    def first_use(self, nonce: str, lifetime: float) -> bool:
        """Return whether a nonce was not used before; it is remembered for twice as many seconds."""
        now = self._now()
        self._nonces = {one: until for one, until in self._nonces.items() if until > now}
        if nonce in self._nonces:
            return False
        self._nonces[nonce] = now + 2 * lifetime
        return True

    def _signed(self, kind: str, content: str) -> str:
        unsigned = f"{kind}-{content}-{secrets.token_hex(12)}"
        return f"{unsigned}-{self._signature(unsigned)}"

    def _content(self, kind: str, token: str) -> str | None:
        unsigned, _, signature = token.rpartition("-")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(unsigned).encode()):
            return None
        found, content, _ = unsigned.split("-")
        return content if found == kind else None

    def _signature(self, unsigned: str) -> str:
        return hmac.digest(self._secret, unsigned.encode("utf-8", "replace"), "sha256").hex()[:40]
