"""An item's embargo: parsing, whether it is active, and the API's form. Pure.

It is stored as `{"until", "type", "title", "reason", "options"}`: `until` in seconds since the epoch, None for a
permanent one; `options` a list of `{"id", "group_ids"}`. No embargo is None.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from uploader.sandbox import checks
from uploader.sandbox.answers import ApiError, invalid
from uploader.sandbox.institutions import OWN
from uploader.sandbox.reference_data import EMBARGO_OPTIONS

TYPES = ("article", "file")


def read(body: dict[str, Any], *, institution: bool) -> dict[str, Any] | None:
    """Check the body of an update; None where it lifts the embargo. ApiError 422 or 400."""
    for name in ("is_embargoed", "embargo_date", "embargo_type"):
        if name not in body:
            raise invalid(f"Missing mandatory field - {name}", name)
    if not checks.boolean("is_embargoed", body["is_embargoed"]):
        return None
    date, kind = body["embargo_date"], body["embargo_type"]
    until = checks.moment_of(date) if isinstance(date, str) else None
    if until is None and date != "0":
        raise invalid("embargo_date must be a date, or 0 for a permanent embargo", "embargo_date")
    if kind not in TYPES:
        raise invalid("Invalid value received for embargo_type", "embargo_type")
    texts = {name: body.get(name) or "" for name in ("embargo_title", "embargo_reason")}
    for name, value in texts.items():
        checks.text(0, 10000)(name, value)
    return {
        "until": until,
        "type": kind,
        "title": texts["embargo_title"],
        "reason": texts["embargo_reason"],
        "options": _options(body.get("embargo_options"), institution=institution),
    }


def is_active(embargo: dict[str, Any] | None, now: float) -> bool:
    """Return whether the embargo is active."""
    return embargo is not None and (embargo["until"] is None or embargo["until"] > now)


def holds_item(embargo: dict[str, Any] | None, now: float) -> bool:
    """Return whether it hides the whole item."""
    return embargo is not None and is_active(embargo, now) and embargo["type"] == "article"


def visible_from(embargo: dict[str, Any] | None, now: float) -> float | None:
    """Return when something published now becomes visible; None: when the embargo is lifted."""
    if embargo is None or not holds_item(embargo, now):
        return now
    until: float | None = embargo["until"]
    return until


def shown(embargo: dict[str, Any] | None, now: float) -> dict[str, Any]:
    """Return the embargo's fields in the API's form; an expired embargo counts as none."""
    if embargo is None or not is_active(embargo, now):
        return {
            "is_embargoed": False, "embargo_date": None, "embargo_type": None, "embargo_title": "",
            "embargo_reason": "", "embargo_options": [],
        }  # fmt: skip
    until = embargo["until"]
    return {
        "is_embargoed": True,
        "embargo_date": None if until is None else datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "embargo_type": embargo["type"],
        "embargo_title": embargo["title"],
        "embargo_reason": embargo["reason"],
        "embargo_options": [
            {**EMBARGO_OPTIONS[one["id"]], "group_ids": one["group_ids"]} for one in embargo["options"]
        ],
    }


def confidential(reason: str) -> dict[str, Any]:
    """Return the embargo that replaces the former confidentiality, as documented: on the files, permanent."""
    return {"until": None, "type": "file", "title": "", "reason": reason, "options": []}


def confidentiality(embargo: dict[str, Any] | None, now: float) -> dict[str, Any]:
    """Return an embargo as the deprecated operations show it."""
    if embargo is None or not is_active(embargo, now) or embargo["until"] is not None or embargo["type"] != "file":
        return {"is_confidential": False, "reason": ""}
    return {"is_confidential": True, "reason": embargo["reason"]}


def _options(entries: Any, *, institution: bool) -> list[dict[str, Any]]:
    """Parse the exemptions. ApiError 400 for an option or group that the account does not have."""
    options: list[dict[str, Any]] = []
    for one in checks.objects("embargo_options", [] if entries is None else entries):
        number = checks.integer("embargo_options.id", one.get("id"))
        groups = checks.integers("embargo_options.group_ids", one.get("group_ids") or [])
        if not institution or number not in EMBARGO_OPTIONS or not set(groups) <= OWN.groups.keys():
            raise ApiError(400, "BadRequest", f"Embargo option {number} not found")
        options.append({"id": number, "group_ids": groups})
    types = {EMBARGO_OPTIONS[one["id"]]["type"] for one in options}
    if "administrator" in types and len(options) > 1:
        raise invalid("Administration permission has to be set up alone", "embargo_options")
    return options
