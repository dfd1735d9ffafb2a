"""The signature of an OAuth 1 request, after RFC 5849: HMAC-SHA1, with parameters in the Authorization header. Pure."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, unquote, urlsplit

_PARAMETER = re.compile(r'\s*([^=\s,]+)="([^"]*)"\s*(?:,|$)')


def parse_header(header: str) -> dict[str, str] | None:
    """Return the parameters in an Authorization header, None if it is not a well-formed one of OAuth 1."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() != "oauth":
        return None
    found: dict[str, str] = {}
    end = 0
    for match in _PARAMETER.finditer(rest):
        name = unquote(match[1])
        if match.start() != end or name in found:
            return None
        found[name], end = unquote(match[2]), match.end()
    return found if end == len(rest.rstrip()) or end == len(rest) else None


def signature(method: str, url: str, given: dict[str, str], secrets: tuple[str, str]) -> str:
    """Return the signature of a request without a form in its body (RFC 5849, 3.4).

    `given` are the parameters of the header, `secrets` those of the consumer and of the token.
    """
    own = [(name, value) for name, value in given.items() if name not in ("realm", "oauth_signature")]
    query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    base = "&".join(map(_encoded, (method.upper(), _base_address(url), _normalized([*own, *query]))))
    key = "&".join(map(_encoded, secrets))
    return base64.b64encode(hmac.digest(key.encode(), base.encode(), "sha1")).decode()


def _base_address(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = f":{parts.port}" if parts.port not in (None, usual) else ""
    return f"{parts.scheme.lower()}://{host}{port}{parts.path or '/'}"


def _normalized(parameters: Iterable[tuple[str, str]]) -> str:
    encoded = sorted((_encoded(name), _encoded(value)) for name, value in parameters)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _encoded(text: str) -> str:
    return quote(text, safe="-._~")
