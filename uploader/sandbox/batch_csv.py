"""The metadata report of the administration pages ("batch management"), from items as the API shows them. Pure.

Columns and their order are those of a real one (observed, 47 rows): JSON in cells, flags 0 and 1, and at the end every
custom field under its bare name. "python" is what programs write from the API's objects with pandas: one column per
field, Python literals in cells. `dates` "us" and "eu" are as Excel writes them when such a file is saved there. Funders
are not in it.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

ENCODINGS: Final = ("utf-8", "utf-8-sig", "cp1252", "utf-16")
SHAPES: Final = ("json", "python")
DATES: Final = {"iso": "%Y-%m-%d", "us": "{0.month}/{0.day}/{0.year}", "eu": "%d/%m/%Y"}
_COLUMNS: Final = (
    "article_id", "account_id", "group_id", "status", "title", "authors", "categories", "item_type", "keywords",
    "description", "funding", "references", "licence", "doi", "handle", "private_link", "is_embargoed", "embargo_date",
    "embargo_type", "embargo_allowed_administrators", "embargo_allowed_groups", "embargo_allowed_ip_ranges",
    "embargo_title", "embargo_reason", "embargo_request_access", "embargo_request_access_message", "first_online_date",
    "acceptance_date", "publication_date", "resource_title", "resource_doi", "metadata_record_only",
    "metadata_record_only_reason", "linked_file",
)  # fmt: skip
Item = Mapping[str, Any]


def batch_csv(items: Sequence[Item], *, shape: str, dates: str, encoding: str, zipped: bool) -> bytes:
    """Return the file. `shape`, `dates` and `encoding` are of the values above; what an encoding lacks becomes "?"."""
    rows = _own(items, dates) if shape == "json" else _python(items)
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    data = text.getvalue().encode(encoding, "replace")
    if not zipped:
        return data
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.csv", data)
    return packed.getvalue()


def _own(items: Iterable[Item], dates: str) -> list[list[Any]]:
    rows = [(_row(item, dates), {one["name"]: one["value"] for one in item["custom_fields"]}) for item in items]
    names = sorted({name for _, fields in rows for name in fields})
    table: list[list[Any]] = [[*_COLUMNS, *names]]
    for row, fields in rows:
        values = (fields.get(name, "") for name in names)
        table.append([
            *(row.get(name, "") for name in _COLUMNS),
            *(json.dumps(value) if isinstance(value, list) else value for value in values),
        ])  # fmt: skip
    return table


def _row(item: Item, dates: str) -> dict[str, Any]:
    timeline = item["timeline"]
    links = [file["download_url"] for file in item["files"] or () if file["is_link_only"]]
    return {
        "article_id": item["id"],
        "account_id": item["account_id"],
        "group_id": item["group_id"],
        "status": item["status"],
        "title": item["title"],
        "authors": json.dumps([
            {"id": one["id"], "email": "", "first_name": one["first_name"], "last_name": one["last_name"],
             "orcid_id": one["orcid_id"]}
            for one in item["authors"]
        ]),
        "categories": json.dumps([one["title"] for one in item["categories"]]),
        "item_type": item["defined_type_name"],
        "keywords": json.dumps(item["tags"]),
        "description": item["description"],
        "funding": json.dumps([
            {"id": one["id"], "dimensions_id": None, "title": one["title"], "code": one["grant_code"]}
            for one in item["funding_list"]
        ]),
        "references": json.dumps(item["references"]),
        "licence": item["license"]["url"],
        "doi": item["doi"],
        "handle": item["handle"],
        "is_embargoed": int(item["is_embargoed"]),
        "embargo_date": _date(item["embargo_date"], dates),
        "embargo_type": item["embargo_type"],
        "embargo_allowed_groups": "[]",
        "embargo_allowed_ip_ranges": "[]",
        "embargo_title": item["embargo_title"],
        "embargo_reason": item["embargo_reason"],
        "first_online_date": _date(timeline.get("firstOnline"), dates),
        "acceptance_date": _date(timeline.get("publisherAcceptance"), dates),
        "publication_date": _date(timeline.get("publisherPublication"), dates),
        "resource_title": item["resource_title"],
        "resource_doi": item["resource_doi"],
        "metadata_record_only": int(item["is_metadata_record"]),
        "metadata_record_only_reason": item["metadata_reason"],
        "linked_file": links[0] if links else "",
    }  # fmt: skip


def _date(text: str | None, dates: str) -> str:
    if not text:
        return ""
    day = datetime.fromisoformat(text[:10])
    return DATES[dates].format(day) if "{" in DATES[dates] else day.strftime(DATES[dates])


def _python(items: Iterable[Item]) -> list[list[Any]]:
    """Return the API's fields with values as Python prints them, after a column of row numbers."""
    rows = list(items)
    names = list(dict.fromkeys(name for item in rows for name in item))
    return [
        ["", *names],
        *([number, *(_printed(item.get(name)) for name in names)] for number, item in enumerate(rows)),
    ]


def _printed(value: object) -> object:
    if value is None:
        return ""
    return str(value).upper() if isinstance(value, bool) else str(value)
