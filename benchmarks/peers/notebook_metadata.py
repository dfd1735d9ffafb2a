"""An institution's public metadata as the official notebook reads it: nine pages of 1,000, then each record in turn.

`notebook_metadata.py ENDPOINT INSTITUTION` prints the number of rows. Nothing is kept until everything is there.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any


def ask(method: str, address: str) -> Any:
    request = urllib.request.Request(address, method=method)  # noqa: S310 - this machine's own sandbox
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.load(answer)


def main(endpoint: str, institution: str) -> None:
    listed: list[Any] = []
    for page in range(1, 10):
        listed += ask("POST", f"{endpoint}/articles/search?institution={institution}&page_size=1000&page={page}")
    records = [ask("GET", f"{endpoint}/articles/{row['id']}") for row in listed]
    print(json.dumps({"rows": len(records)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
