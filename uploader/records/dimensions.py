"""Read publications of Dimensions: as its API returns them, and as rows of its exports. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Any

from uploader.metadata.importers.extract import Extracted, Findings, as_list, compact, full_name, text
from uploader.records.publications import day, lines_of, plain_title, published
from uploader.text import plain

_TYPES = {
    "article": "journal contribution", "preprint": "preprint", "chapter": "chapter", "monograph": "monograph",
    "proceeding": "conference contribution", "book": "book", "editedbook": "book", "seminar": "presentation",
}  # fmt: skip
_MAX_CONCEPTS = 20
COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("Publication ID",), "doi": ("DOI",), "title": ("Title",), "abstract": ("Abstract",),
    "type": ("Publication Type",), "authors": ("Authors",), "date": ("Publication date",),
    "date_online": ("Publication date (online)",), "date_print": ("Publication date (print)",), "year": ("PubYear",),
    "mesh_terms": ("MeSH terms",), "funders": ("Funder",), "linkout": ("Source Linkout",),
    "dimensions_url": ("Dimensions URL",),
    "category_for_2020": ("Fields of Research (ANZSRC 2020)", "FOR (ANZSRC) Categories"),
}  # fmt: skip
"""Fields of the API, and their columns in an export."""
_COLUMNS = {plain(column): field for field, columns in COLUMNS.items() for column in columns}
_LISTS = frozenset({"authors", "mesh_terms", "funders", "category_for_2020"})


def is_export(columns: Iterable[str]) -> bool:
    """Return True for the columns of an export."""
    return {plain("Publication ID"), plain("PubYear")} <= {plain(column) for column in columns}


def extract_row(row: dict[str, Any], today: date) -> Extracted:
    """Extract the metadata of a row of an export."""
    value: dict[str, Any] = {}
    for column in row:
        field = _COLUMNS.get(plain(column))
        if field is not None and field not in value:
            cell = str(row.get(column, ""))
            parts = [part.strip() for part in cell.split(";") if part.strip()]
            value[field] = parts if field in _LISTS else cell
    return extract(value, today)


def extract(value: dict[str, Any], _: date) -> Extracted:
    """Extract the metadata of a publication."""
    found, doi = Findings(), text(value, "doi")
    title = plain_title(text(value, "title"))
    names = ("date", "date_print", "year")
    fields = compact(
        id=text(value, "id"),
        title=title,
        description=lines_of(value, "abstract"),
        authors=found.authors(as_list(value, "authors"), _author),
        categories=_categories(value, found),
        keywords=_keywords(value, found),
        type=found.kind("type", text(value, "type"), _TYPES),
        funding=found.texts("funders", as_list(value, "funders"), lambda one: text(one) or text(one, "name")),
        timeline=compact(
            first_online=day(found, [("date_online", text(value, "date_online"))]),
            publisher_publication=day(found, [(name, text(value, name)) for name in names]),
        ),
        **published(doi, title, text(value, "linkout"), text(value, "dimensions_url")),
    )
    return found.extracted(fields)


def _author(value: Any) -> dict[str, Any] | str | None:
    if not isinstance(value, dict):
        single = text(value)
        return full_name(None, None, single) if single else None
    name = full_name(text(value, "first_name"), text(value, "last_name"), text(value, "raw_name", "name"))
    ids = [text(one) for one in as_list(value, "orcid")]
    # A table that went through pandas has the list as text.
    first = next((re.sub(r"[\[\]'\"\s]", "", one) for one in ids if one), None)
    return {**name, **compact(orcid=first)} if name else None


def _keywords(value: dict[str, Any], found: Findings) -> list[str]:
    """Return the MeSH terms, else the first of the concepts, which Dimensions finds by machine."""
    terms = found.keywords(as_list(value, "mesh_terms"), text)
    if terms:
        return terms
    concepts = found.keywords(as_list(value, "concepts"), lambda one: text(one) or text(one, "concept"))
    if len(concepts) > _MAX_CONCEPTS:
        found.remark(f"the first {_MAX_CONCEPTS} concepts are the keywords")
    return concepts[:_MAX_CONCEPTS]


def _categories(value: dict[str, Any], found: Findings) -> list[str]:
    """Return the fields of research, which Dimensions gives as groups, as the categories for the rest of each group."""
    named = [text(one) or text(one, "name") for one in as_list(value, "category_for_2020")]
    groups = [code[1] for name in named if name and (code := re.match(r"(\d{4})\b", name))]
    if groups:
        found.remark("categories: those `not elsewhere classified` of the groups that Dimensions names")
    return [f"{group}99" for group in dict.fromkeys(groups)]
