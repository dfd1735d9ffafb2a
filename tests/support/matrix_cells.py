"""The rows, columns and cells of the fault matrix: requests, faults, and the time limits of a cell. Nothing here runs
them or defines outcomes.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.support.crashing import Order

SHORT = 1.5
"""Seconds for the time limit that a cell exhausts: the retry time under a permanent fault, the timeout of a hanging
response, the wait for a checksum or file that never appears. All other limits are generous, so that a busy machine
changes no outcome.
"""
_TIME_LIMIT = 120.0
_MANY = 5
"""Faults of a kind that has more of them, once and permanently, than half the rows that have them all."""
_HANGING = ("hang", "stall", "late")
_LATE = 3.0
"""Seconds until a late request has its effect: more than the response timeout, less than the time to look for it."""


@dataclass(frozen=True)
class Request:
    """A row: which request of the protocol (the sandbox's name), from which occurrence on, and what leads to it.

    `before` are faults in the same run, `earlier` those that ended an earlier run, which is resumed or, with `cancel`,
    cancelled. The item is new, `given` by the user with other files in it, or in a `project`; it gets a file, or a
    `link`; `ordered`: it is also described, and published in the end. `all_faults` or one of a kind.
    """

    title: str
    kind: str
    first: int = 1
    before: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    given: bool = False
    project: bool = False
    link: bool = False
    ordered: bool = False
    cancel: bool = False
    all_faults: bool = True

    @property
    def faults(self) -> dict[str, str]:
        """The columns that apply, and their rules for the sandbox."""
        anywhere = {name: line for name, line in ANYWHERE.items() if self.all_faults or name in OF_A_KIND}
        late = LATE if self.kind in CREATING else {}
        found = anywhere | late | ({} if self.link else ONLY.get(self.kind, {}))
        return {name: line for name, line in found.items() if (self.kind, name) not in NEVER}

    @property
    def is_in_memory(self) -> bool:
        """Whether it varies another row, and `tests/unit/transfer/test_promise.py` has its job with every fault."""
        return not (self.all_faults or self.project or self.cancel or self.earlier)

    @property
    def step(self) -> int:
        """The sample has every n-th kind of fault, fewer in a row that varies another."""
        return 2 if self.all_faults else 4 if self.is_in_memory else 3


_NEW_ITEM = (
    Request("read the account", "get-account"),
    Request("create the item", "create-item"),
    Request("search for a lost item", "list-items", before=("create-item:1=lost-answer",)),
    Request("read the item", "get-item"),
)
_FILE = (
    Request("initiate the file", "initiate"),
    Request("search for a lost file", "list-files", before=("initiate:1=lost-answer",)),
    Request("read the new file", "get-file"),
    Request("list the parts", "get-upload"),
    Request("send a part", "put-part"),
    Request("read the state of a part", "get-part", before=("put-part:1=503",)),
    Request("complete", "complete"),
    Request("wait for the MD5", "get-file", first=2),
    Request("remove a bad copy", "delete-file", before=("complete:1=wrong-md5",)),
    Request("remove a lost upload", "delete-file", before=("put-part:1=lose-upload",)),
)
_GIVEN_ITEM = (
    Request("list the item's files", "list-files", given=True),
    *(replace(row, title=f"{row.title}, in a given item", given=True, all_faults=False) for row in _FILE),
    Request("check whether a found upload is untouched, in a given item", "get-upload",
            before=("initiate:1=lost-answer",), given=True, all_faults=False),
)  # fmt: skip
_OTHER_WAYS = (
    Request("create the item in a project", "create-project-item", project=True),
    Request("search for a lost item of a project", "list-items", project=True,
            before=("create-project-item:1=lost-answer",)),
    Request("add a link", "initiate", link=True),
    Request("search for a lost link", "list-files", link=True, before=("initiate:1=lost-answer",)),
    Request("read the link", "get-file", link=True),
    Request("list the item's files, to resume", "list-files", earlier=("initiate:..2=422",)),
    Request("list the parts, to resume", "get-upload", earlier=("put-part:2..=403",)),
)  # fmt: skip
_DESCRIBED = tuple(
    replace(row, ordered=True)
    for row in (
        Request("describe an item that was searched for", "update-item", before=("create-item:1=lost-answer",)),
        Request("read the authors", "list-item-authors"),
        Request("set the authors", "replace-item-authors"),
        Request("read the item again at the end", "get-item", first=2),
        Request("reserve a DOI", "reserve-item-doi"),
        Request("list the private links", "list-item-links"),
        Request("create a private link", "create-item-link"),
        Request(
            "search for a lost private link", "list-item-links", first=2, before=("create-item-link:1=lost-answer",)
        ),
        Request("publish", "publish-item"),
        Request("check whether it is published", "get-item", first=3, before=("publish-item:1=lost-answer",)),
    )
)
_CANCELLED = tuple(
    replace(row, cancel=True, given=True, earlier=row.earlier or ("put-part:2..=403",))
    for row in (
        Request("cancel: read the account", "get-account"),
        Request("cancel: read the file", "get-file"),
        Request("cancel: list the parts", "get-upload"),
        Request("cancel: remove the file", "delete-file"),
        Request("cancel: search for a lost file", "list-files", earlier=("initiate=lost-answer", "list-files:2..=403")),
    )
)
REQUESTS = (
    *_NEW_ITEM,
    *_FILE,
    *_GIVEN_ITEM,
    *(replace(row, all_faults=False) for row in (*_OTHER_WAYS, *_DESCRIBED, *_CANCELLED)),
)

ANYWHERE = {
    "408": "408",
    "425": "425",
    "429": "429",
    "429, Retry-After 1": "429,retry-after=1",
    "429, Retry-After a date": "429,retry-after=date:1",
    "429, Retry-After a day": "429,retry-after=86400",
    "500": "500",
    "500, HTML": "500,body=html",
    "502": "502,body=html",
    "503": "503",
    "503, Retry-After 1": "503,retry-after=1",
    "504": "504,body=html",
    "400": "400",
    "403": "403",
    "404": "404",
    "409": "409,body=empty",
    "413": "413",
    "422": "422",
    "200 with HTML": "html",
    "firewall 202, empty": "waf-202",
    "firewall 403, empty": "waf-403,body=empty",
    "firewall 403, HTML": "waf-403,body=html",
    "truncated JSON": "truncated-json",
    "invalid JSON": "invalid-json",
    "redirect": "redirect,to=https://example.org/v2",
    "reset before reading": "reset",
    "reset in mid-body": "reset-mid-body",
    "done, answer lost": "lost-answer",
    "done, answer cut": "cut-answer",
    "hang before the answer": "hang,seconds=60",
    "hang in the answer": "hang-mid-answer,seconds=60",
    "nothing is read": "stall,seconds=60",
    "trickle": "trickle,seconds=0.0002",
    "token revoked": "revoke-token",
}
OF_A_KIND = frozenset(
    {
        "429, Retry-After 1", "500", "502", "503", "403", "404", "422", "200 with HTML", "firewall 202, empty",
        "truncated JSON", "redirect", "reset before reading", "done, answer lost", "hang before the answer",
        "nothing is read", "token revoked",
    }
)  # fmt: skip
"""A rejection that figup distinguishes only by its message."""
LATE = {"done late": f"late,seconds={_LATE:g}"}
CREATING = frozenset({"create-item", "create-project-item", "initiate", "complete", "create-item-link", "publish-item"})
ONLY = {
    "initiate": {"invisible for a second": "hide,seconds=1", "quota full": "quota-full"},
    "create-item": {"quota full": "quota-full"},
    "put-part": {
        "stored with a wrong bit": "flip-bit",
        "locked for a while": "lock,seconds=0.4",
        "upload aborted": "abort-upload",
        "upload lost": "lose-upload",
    },
    "get-part": {"locked for a while": "lock,seconds=0.4", "upload lost": "lose-upload"},
    "get-upload": {"upload aborted": "abort-upload", "upload lost": "lose-upload"},
    "complete": {
        "upload aborted": "abort-upload",
        "wrong MD5": "wrong-md5",
        "no MD5": "no-md5",
    },
}
KINDS = (
    ("408", "425", "429", "429, Retry-After 1", "429, Retry-After a date", "429, Retry-After a day"),
    ("500", "500, HTML", "502", "503", "503, Retry-After 1", "504"),
    ("400", "409", "413", "422"),
    ("403", "firewall 403, empty", "firewall 403, HTML", "token revoked"),
    ("404",),
    ("200 with HTML", "firewall 202, empty", "truncated JSON", "invalid JSON", "redirect"),
    ("reset before reading", "reset in mid-body"),
    ("done, answer lost", "done, answer cut"),
    ("hang before the answer", "hang in the answer", "nothing is read", "trickle"),
)
"""The faults that can happen to any request, by kind."""
NEVER = {("get-upload", "token revoked"), ("put-part", "token revoked"), ("get-part", "token revoked")}
"""The upload service requires no token."""


@dataclass(frozen=True)
class Cell:
    """One fault at one request, once or every time from then on."""

    request: Request
    fault: str
    line: str
    often: bool

    @property
    def key(self) -> tuple[str, str, str]:
        """Its position in the table."""
        return self.request.title, self.fault, "every time" if self.often else "once"

    @property
    def rules(self) -> list[str]:
        """The sandbox's rule."""
        when = f"{self.request.first}.." if self.often else str(self.request.first)
        return [*self.request.before, f"{self.request.kind}:{when}={self.line}"]

    @property
    def words(self) -> bool:
        """Whether the response has a message; for a deletion, "already gone" counts as success."""
        done = (self.request.kind, self.fault) == ("delete-file", "404")
        return self.line[:3].isdigit() and "body=" not in self.line and not done

    @property
    def longest(self) -> float:
        """Maximum seconds of a run. With a permanent fault its time is capped; a slow trickle takes its time."""
        return 40 * SHORT if self.often and self.fault != "trickle" else _TIME_LIMIT

    def hurried(self, order: Order) -> Order:
        """The upload with a short limit for what this cell exhausts."""
        hurried = copy.copy(order)
        if self.often:
            hurried.retry_timeout = SHORT
        if self.line.startswith(_HANGING):
            hurried.patience = SHORT
        if self.fault in LATE:
            hurried.settle = 3 * _LATE
        if self.often and (self.request.kind, self.fault) == ("get-file", "404"):
            hurried.visibility = SHORT
        if (self.request.kind, self.fault) == ("complete", "no MD5"):
            hurried.checksum = SHORT
        return hurried


def cells() -> Iterator[Cell]:
    """All cells, in the order of the table."""
    for request in REQUESTS:
        yield from cells_of(request)


def cells_of(request: Request) -> Iterator[Cell]:
    """The cells of a row."""
    for fault, line in request.faults.items():
        yield Cell(request, fault, line, often=False)
        yield Cell(request, fault, line, often=True)


def sample() -> Iterator[Cell]:
    """A sample in which each row has faults of some kinds, and each fault occurs once in some row and permanently in
    another. Rows alternate over the kinds and over the faults of a kind; kinds of many faults are in each row that has
    them all. Faults that only some requests can have are all included; in a row that varies another, one of them.
    """
    general = {fault for kind in KINDS for fault in kind}
    used: Counter[tuple[str, bool]] = Counter()
    for number, request in enumerate(REQUESTS):
        for place, kind in enumerate(KINDS):
            found = [cell for cell in cells_of(request) if cell.fault in kind]
            always = request.all_faults and len(kind) >= _MANY
            if found and (always or place % request.step == number % request.step):
                chosen = min(found, key=lambda cell: used[cell.fault, cell.often])
                used[chosen.fault, chosen.often] += 1
                yield chosen
        special = [cell for cell in cells_of(request) if cell.fault not in general]
        yield from special if request.all_faults or not special else [special[number % len(special)]]
