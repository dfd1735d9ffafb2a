"""Secrets of this process, and their redaction in text that is shown, reported, logged or stored.

A server may echo a token in its messages: unchanged, in another case, percent-encoded, escaped as in JSON or HTML, or
in base64 (alone, or as credentials with a user name), and any of these inside another. Text is therefore decoded before
it is searched. A text too short to be distinguished from ordinary words is not treated as a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

_MIN_LENGTH = 12
_MIN_PASSWORD = 8
"""Characters; Figshare's tokens have 128."""
_MAX_SECRETS = 100
_MAX_WORDS = 5000
"""Secrets of upload URLs: one per file; only the latest are kept."""
_CUT = "..."
_DEPTH = 4
"""Encodings inside each other."""
_SHORT = 8192
"""Maximum characters of a text searched for nested base64; longer texts only for base64 of a token itself."""
_MAX_TEXT = 1 << 20
"""Characters up to which a text is searched for upload addresses."""

_WORD = re.compile(rf"[\w.~-]{{{_MIN_LENGTH},}}")
_BASE64 = re.compile(rf"[A-Za-z0-9+/_-]{{{-(-_MIN_PASSWORD * 4 // 3)},}}={{0,2}}")
_WORDS = re.compile(rf"[ -~]{{{_MIN_PASSWORD},}}")
_ESCAPE = re.compile(r"\\+(?:u00([0-9a-fA-F]{2})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PUBLIC_KEYS = frozenset({"upload_url", "upload_token"})
"""Fields of API responses that hold an upload's secret. They are needed, and never shown."""


class _Secrets:
    """The secrets to redact. Several threads read them without a lock: collections are replaced, never changed."""

    def __init__(self) -> None:
        self.texts: tuple[str, ...] = ()
        """In lower case."""
        self.base64: tuple[str, ...] = ()
        """The parts that are equal in the base64 of every text containing one of them."""
        self.words: OrderedDict[str, None] = OrderedDict()
        self.lock = threading.Lock()


_SECRETS = _Secrets()


def add_secret(text: str, *, min_length: int = _MIN_LENGTH) -> None:
    """Redact this token from now on."""
    folded = text.casefold()
    with _SECRETS.lock:
        if len(text) >= min_length and folded not in _SECRETS.texts:
            _SECRETS.texts = (*_SECRETS.texts, folded)[-_MAX_SECRETS:]
            forms = [core for form in {text, text.lower(), text.upper(), quote(text, safe="")} for core in _cores(form)]
            _SECRETS.base64 = (*_SECRETS.base64, *forms)[-_MAX_SECRETS * 24 :]


def add_credentials(user: str | None, password: str | None) -> None:
    """Redact these proxy credentials, which are sent as base64 of "user:password"."""
    if password:
        add_secret(password, min_length=_MIN_PASSWORD)
        add_secret(f"{user or ''}:{password}", min_length=_MIN_PASSWORD)


def add_upload_address(url: str) -> None:
    """Redact long words in the path and query of this URL: they authorize sending parts."""
    parts = urlsplit(url)
    with _SECRETS.lock:
        for word in _WORD.findall(unquote(f"{parts.path}?{parts.query}")):
            _SECRETS.words[word.casefold()] = None
            _SECRETS.words.move_to_end(word.casefold())
        while len(_SECRETS.words) > _MAX_WORDS:
            _SECRETS.words.popitem(last=False)


def has_secret(text: str) -> bool:
    """Return whether a secret is in a text, in any encoding."""
    if not _SECRETS.texts and not _SECRETS.words:
        return False
    if any(True for one in _decodings(text, _DEPTH) for _ in _found_in(one)):
        return True
    return len(text) > _SHORT and any(core in text for core in _SECRETS.base64)


def may_have_token(text: str) -> bool:
    """Return whether a token or password is in a long text; quick, and without encodings in base64."""
    if not _SECRETS.texts:
        return False
    if any(core in text for core in _SECRETS.base64):
        return True
    for _ in range(_DEPTH):
        folded = text.casefold()
        if any(secret in folded for secret in _SECRETS.texts):
            return True
        if (decoded := _unescape(text)) == text:
            return False
        text = decoded
    return False


def redact(text: str) -> str:
    """Return the text without secrets: each is replaced by "..."; if one would remain, its whole line is replaced."""
    if not has_secret(text):
        return text
    found = {secret for one in _decodings(text, _DEPTH) for secret in _found_in(one)}
    for secret in sorted(found, key=len, reverse=True):
        text = _pattern(secret).sub(_CUT, text)
    text = _BASE64.sub(lambda run: _CUT if has_secret(run[0]) else run[0], text)
    if not has_secret(text):
        return text
    lines = [_CUT if has_secret(line) else line for line in text.split("\n")]
    return _CUT if has_secret("\n".join(lines)) else "\n".join(lines)


def redact_values(value: Any) -> Any:
    """Return a JSON value with all its texts redacted except upload addresses."""
    seen: dict[str, str] = {}  # a hundred thousand files may be in a few folders

    def redact_once(text: str) -> str:
        if text not in seen:
            seen[text] = redact(text)
        return seen[text]

    def redacted(value: Any, key: object = None) -> Any:
        if isinstance(value, str):
            return value if key in _PUBLIC_KEYS else redact_once(value)
        if isinstance(value, Mapping):
            return {redact(name) if isinstance(name, str) else name: redacted(one, name) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [redacted(one) for one in value]
        return value

    return redacted(value)


def _cores(text: str) -> Iterator[str]:
    """Yield the base64 of a text at each of the three alignments within a longer text, in both alphabets."""
    raw = text.encode("utf-8", "surrogatepass")
    for before in range(3):
        after = -(before + len(raw)) % 3
        coded = base64.b64encode(bytes(before) + raw + bytes(after))
        core = coded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6].decode()
        yield core
        yield core.replace("+", "-").replace("/", "_")


def _found_in(text: str) -> Iterator[str]:
    """Yield the secrets that occur literally in a text, ignoring case."""
    folded = text.casefold()
    yield from (secret for secret in _SECRETS.texts if secret in folded)
    if _SECRETS.words and len(folded) <= _MAX_TEXT:
        for word in _WORD.findall(folded):
            # It may occur in a host name or before a full stop.
            yield from (one for one in (word, *word.split(".")) if one in _SECRETS.words)


def _decodings(text: str, depth: int) -> Iterator[str]:
    """Yield the text and its decodings of escapes and base64, nested up to `depth` times."""
    yield text
    if depth == 0:
        return
    decoded = _unescape(text)
    if decoded != text:
        yield from _decodings(decoded, depth - 1)
    if len(text) <= _SHORT:
        for run in _BASE64.findall(text):
            for inner in _from_base64(run):
                yield from _decodings(inner, depth - 1)


def _unescape(text: str) -> str:
    if "%" in text:
        text = unquote(text)
    if "&" in text:
        import html  # only here: every command imports this module

        text = html.unescape(text)
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2]
    return chr(int(code, 16)) if code else escape[3]


def _from_base64(run: str) -> Iterator[str]:
    """Yield the possible decodings of a base64 run, which preceding text may have shifted."""
    plain = run.rstrip("=").replace("-", "+").replace("_", "/")
    for start in range(4):
        block = plain[start:]
        block = block[: len(block) - 1] if len(block) % 4 == 1 else block
        try:
            found = base64.b64decode(block + "=" * (-len(block) % 4)).decode("latin-1")
        except binascii.Error:
            continue
        # A digest decodes to arbitrary bytes, not to words.
        if _WORDS.search(found):
            yield found


def _pattern(secret: str) -> re.Pattern[str]:
    """Return a pattern for a secret, each character as it is or in one of its escapes."""

    def character(c: str) -> str:
        code = f"{ord(c):02x}"
        other = f"{ord(c.upper()):02x}" if len(c.upper()) == 1 else code
        hexes = code if code == other else f"(?:{code}|{other})"
        numbers = f"(?:{ord(c)}|{int(other, 16)})"
        return rf"\\*(?:{re.escape(c)}|(?:%|\\+u0025)(?:25)*{hexes}|\\+(?:u00|x){hexes}|&#0*{numbers};|&#x0*{hexes};)"

    return re.compile("".join(map(character, secret)), re.IGNORECASE)
