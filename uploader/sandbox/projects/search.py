"""Which projects a search or a listing with filters finds, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from uploader.sandbox.filters import Traits, matches
from uploader.sandbox.items.search import Document, query_of, searchable, values_of
from uploader.sandbox.listing import Order
from uploader.sandbox.projects_db import Project
from uploader.sandbox.reference_data import INSTITUTION

SORT_FIELDS = ("published_date", "modified_date", "views")


def found(projects: Iterable[Project], criteria: dict[str, Any], order: Order) -> list[Project]:
    """Return what matches, sorted. `criteria` is as uploader.sandbox.filters reads it."""
    query = query_of(criteria.get("search_for", ""))
    matching = [
        one
        for one in projects
        if matches(_traits(one), criteria) and ("search_for" not in criteria or query(_document(one)))
    ]
    return order.sort(matching, rank)


def rank(project: Project, field: str) -> float | None:
    """Return the sort key of a project for `field`."""
    if field == "views":
        return 0.0
    return project.published if field == "published_date" else project.modified


def _traits(project: Project) -> Traits:
    same = {"group": project.metadata["group_id"], "institution": INSTITUTION["id"]}
    return Traits(same=same, published=project.published, modified=project.modified)


def _document(project: Project) -> Document:
    meta = project.metadata
    fields: dict[str, Iterable[str]] = {
        "title": [meta["title"]],
        "description": [meta["description"]],
        "custom fields": values_of(meta["custom_fields"]),
    }
    return searchable(fields, project.published)
