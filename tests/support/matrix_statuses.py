"""The expected exit statuses of the fault matrix, written by hand for each fault: first if it occurs once, then if it
is permanent. They are never generated from figup's behavior.
"""

from __future__ import annotations

from tests.support.matrix_cells import Request

Exceptions = tuple[tuple[set[str], set[str], tuple[int, int]], ...]

_PASSING = (
    "408", "425", "429", "429, Retry-After 1", "429, Retry-After a date", "500", "500, HTML", "502", "503",
    "503, Retry-After 1", "504", "firewall 202, empty", "firewall 403, HTML", "200 with HTML", "truncated JSON",
    "invalid JSON", "reset before reading", "reset in mid-body", "done, answer lost", "done, answer cut",
    "hang before the answer", "hang in the answer", "nothing is read", "upload aborted", "upload lost",
    "locked for a while",
)  # fmt: skip
_FOR_GOOD = ("400", "409", "413", "422", "redirect", "quota full")
ORDINARY = {
    **dict.fromkeys(_PASSING, (0, 75)),
    **dict.fromkeys(_FOR_GOOD, (1, 1)),
    **dict.fromkeys(("403", "firewall 403, empty", "token revoked"), (3, 3)),
    **dict.fromkeys(("trickle", "invisible for a second", "done late"), (0, 0)),
    "404": (4, 4),
    "429, Retry-After a day": (75, 75),
    "stored with a wrong bit": (0, 5),
    "wrong MD5": (0, 5),
    "no MD5": (7, 7),
}
"""Transient faults are retried and end with 75 if they persist; others are rejections (1), missing permissions (3) or a
missing item (4); a persistently wrong MD5 is 5, a missing one 7.
"""

_CREATING = {
    "create-item",
    "create-project-item",
    "initiate",
    "put-part",
    "complete",
    "create-item-link",
    "publish-item",
}
_UPLOAD_SERVICE = {"get-upload", "put-part", "get-part"}
_SETTING = {"delete-file", "update-item", "replace-item-authors"}
_NO_ITEM_IN_IT = {
    "create-item",
    "create-project-item",
    "list-items",
    "update-item",
    "replace-item-authors",
    "publish-item",
    # The item itself is still found.
    "initiate",
    "list-files",
    "list-item-authors",
    "list-item-links",
    "create-item-link",
    "reserve-item-doi",
}
EXCEPTIONS: Exceptions = (
    # The first request: it is not known yet whether this is Figshare and the token is valid.
    ({"404", "redirect", "200 with HTML", "truncated JSON", "invalid JSON"}, {"get-account"}, (2, 2)),
    ({"firewall 202, empty", "firewall 403, HTML"}, {"get-account"}, (75, 75)),
    # The upload service has no accounts.
    ({"403", "firewall 403, empty"}, _UPLOAD_SERVICE, (1, 1)),
    # The effect is found, even if the response is lost every time.
    ({"done, answer lost", "done, answer cut", "hang before the answer", "hang in the answer"}, _CREATING, (0, 0)),
    ({"done, answer cut", "hang in the answer"}, _SETTING, (0, 0)),
    ({"truncated JSON", "invalid JSON"}, _CREATING | _SETTING, (0, 0)),
    # Each completion takes effect after the lookup that follows it.
    ({"done late"}, {"complete"}, (0, 75)),
    # A refused completion may be due to missing parts: the server is asked again for the parts that it has.
    ({"400", "409", "413", "422"}, {"complete"}, (0, 1)),
    ({"upload aborted"}, {"complete"}, (0, 1)),
    ({"409"}, {"put-part"}, (0, 75)),
    # A 404 may be about the file or its upload, which is restarted, or about a value in the item's metadata.
    ({"404"}, {"get-file", "get-upload", "put-part", "complete", "delete-file"}, (0, 75)),
    ({"404"}, _NO_ITEM_IN_IT, (1, 1)),
    ({"404", "upload lost"}, {"get-part"}, (0, 0)),
)  # fmt: skip
GIVING_UP: Exceptions = (
    # A file that does not exist need not be removed.
    ({"404"}, {"get-file", "get-upload"}, (0, 0)),
    ({"upload lost", "upload aborted"}, {"get-upload"}, (0, 0)),
)
NEW_ITEM: Exceptions = (
    # An item that was just created may not be found yet: it is read, and the request repeated.
    ({"404"}, {"initiate"}, (0, 1)),
)
READ_ITEM: Exceptions = (
    # A copy of the server's data may be from before it was created, also when it is read again after the files.
    ({"404"}, {"get-item"}, (0, 4)),
)
FILE: Exceptions = (
    # Without an MD5: it is computed, and the request repeated with it.
    ({"422"}, {"initiate"}, (0, 1)),
)


def status(row: Request, fault: str, how: str) -> int:
    """The exit status of a cell; `how` is `once` or `every time`."""
    is_new = not (row.given or (row.link and row.kind != "initiate"))
    known: Exceptions = (
        *(GIVING_UP if row.cancel else ()),
        *(NEW_ITEM if is_new else ()),
        *(READ_ITEM if is_new else ()),
        *(() if row.link else FILE),
        *EXCEPTIONS,
    )
    found = [pair for faults, kinds, pair in known if fault in faults and row.kind in kinds]
    once, often = (*found, ORDINARY[fault])[0]
    return once if how == "once" else often
