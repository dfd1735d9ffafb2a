"""Format items for a terminal and for `--json`."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from uploader import units
from uploader.figshare.models import Embargo, File, ItemDetail
from uploader.figshare.records import Record
from uploader.text import printable

_DESCRIPTION = 300
"""Maximum characters of a description shown; `--json` has all of it."""


def fields(item: ItemDetail) -> dict[str, Any]:
    """Return the item for `--json`."""
    values: dict[str, Any] = msgspec.to_builtins(item)
    values["item_id"] = values.pop("id")
    values["item_url"] = values.pop("url")
    del values["folders"]  # shown by `figup item files`
    return values


def card(item: ItemDetail) -> str:
    """Format an item, one line per field, without empty fields."""
    rows = [
        ("item", f"{item.id}  {state(item)}"),
        ("page", item.public_url if item.is_public and item.public_url else item.url),
        ("doi", item.doi + ("" if item.is_public or not item.doi else "  (reserved)")),
        ("handle", item.handle),
        ("type", item.type),
        ("licence", item.license),
        ("authors", "; ".join(f"{a.full_name}{f' ({a.orcid})' if a.orcid else ''}" for a in item.authors)),
        ("categories", "; ".join(f"{c.title} ({c.id})" for c in item.categories)),
        ("keywords", ", ".join(item.keywords)),
        ("references", " ".join(item.references)),
        ("related", "; ".join(_material(one) for one in item.related_materials)),
        ("funding", "; ".join(item.funding)),
        ("timeline", _timeline(item.timeline)),
        ("group", str(item.group_id or "")),
        ("project", str(item.project_id or "")),
        ("embargo", _embargo(item.embargo) if item.embargo is not None else ""),
        ("no files", item.metadata_reason),
        ("size", units.format_bytes(item.size) if item.size else ""),
        ("created", str(item.created.date()) if item.created else ""),
        ("published", str(item.published.date()) if item.published else ""),
    ]
    rows += [(name, _value(value)) for name, value in item.custom_fields.items()]
    lines = [printable(item.title), *(f"  {printable(name):<11} {printable(text)}" for name, text in rows if text)]
    words = plain_text(item.description)
    if words:
        lines.append(f"  {'description':<11} {_start_of(words)}")
    return "\n".join(lines)


def container_card(record: Record, kind: str) -> str:
    """Format a collection or a project, one line per field, without empty fields."""
    raw = record.raw
    authors = [one.get("full_name") or "" for one in raw.get("authors") or [] if isinstance(one, Mapping)]
    rows = [
        (kind, str(record.id)),
        ("page", record.url),
        ("doi", record.doi),
        ("authors", "; ".join(authors)),
        ("items", str(raw.get("articles_count") or "")),
        ("group", str(record.group_id or "")),
        ("created", str(record.created.date()) if record.created else ""),
        ("published", str(record.published.date()) if record.published else "no"),
    ]
    lines = [printable(record.title), *(f"  {name:<11} {printable(text)}" for name, text in rows if text)]
    words = plain_text(str(raw.get("description") or ""))
    return "\n".join([*lines, *([f"  {'description':<11} {_start_of(words)}"] if words else [])])


def _start_of(words: str) -> str:
    return f"{printable(words[:_DESCRIPTION])}{' ...' if len(words) > _DESCRIPTION else ''}"


def state(item: ItemDetail) -> str:
    """Describe the item's visibility."""
    review = f", review: {item.curation_status}" if item.curation_status else ""
    if item.is_public or item.status == "public":
        return f"public, version {item.version}{review}"
    return f"a private draft{review}"


def plain_text(description: str) -> str:
    """Strip the markup of a description and put it on one line."""
    import nh3

    return " ".join(html.unescape(nh3.clean(description.replace("><", "> <"), tags=set())).split())


def _material(value: dict[str, Any]) -> str:
    return f"{value.get('relation') or ''} {value.get('identifier') or value.get('title') or value.get('id')}".strip()


def _timeline(days: dict[str, str]) -> str:
    """Format the timeline: `firstOnline` etc. as words, with their days."""
    words = {name: re.sub(r"([A-Z])", lambda found: f" {found[1].lower()}", name) for name in days}
    return "; ".join(f"{words[name]} {day[:10]}" for name, day in days.items())


def _value(value: object) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value or "")


def _embargo(embargo: Embargo) -> str:
    what = "the whole item" if embargo.scope == "article" else "the files"
    until = f"until {embargo.until[:10]}" if embargo.until and embargo.until != "0" else "permanently"
    return f"{what}, {until}{f': {embargo.reason}' if embargo.reason else ''}"


def file_fields(file: File, path: str) -> dict[str, Any]:
    """Return the file for `--json`, without the upload URL, which is a secret. `path` is its path in the item."""
    folder, _, name = path.rpartition("/")
    return {
        "file_id": file.id,
        "folder": folder,
        "name": name,
        "size": file.size,
        "status": file.status,
        "md5": file.computed_md5,
        "link": file.is_link_only,
        "download_url": file.download_url,
    }


def file_line(file: File, path: str) -> str:
    """Format one file with its path in the item."""
    md5 = "a link" if file.is_link_only else file.computed_md5 or f"({file.status})"
    return f"{file.id:>12}  {units.format_bytes(file.size):>10}  {md5:<32}  {printable(path)}"
