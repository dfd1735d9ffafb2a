"""The owner's browser: opens the page of consent and presses one of its buttons."""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping


class _Staying(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Staying())


def ticket_of(page: str) -> str:
    """The ticket in the page's form."""
    found = re.search(r'name="ticket" value="(\w+)"', page)
    assert found is not None, page
    return found[1]


def fetch(address: str, form: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Status, body, and where it leads to ("" for nowhere)."""
    body = None if form is None else urllib.parse.urlencode(form).encode()
    try:
        with _OPENER.open(address, body, timeout=20) as answer:
            return answer.status, answer.read().decode(), ""
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode(), answer.headers.get("Location", "")


def decide(address: str, decision: str = "allow") -> tuple[str, str]:
    """Press the button; return the page that answers, and the address that the browser is sent to."""
    status, page, _ = fetch(address)
    assert status == 200, page
    _, page, target = fetch(address, {"ticket": ticket_of(page), "decision": decision})
    return page, target


def main() -> None:
    """Be the BROWSER of a command: `consent.py allow|refuse ADDRESS`; press the button, and go where it leads."""
    _, target = decide(sys.argv[2], sys.argv[1])
    fetch(target)


if __name__ == "__main__":
    main()
