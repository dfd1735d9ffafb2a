"""Read records as DataCite's API returns them: the dataset that each describes. Pure."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

from uploader.metadata.importers import datacite
from uploader.metadata.importers.extract import Extracted, Findings, as_list, compact, text
from uploader.records.publications import day, plain_title, published


def extract(value: dict[str, Any], today: date) -> Extracted:
    """Extract the metadata of a record."""
    extracted, found = datacite.extract(value, today), Findings()
    inner = datacite.attributes(value)
    doi = text(inner, "doi") or _doi(inner) or text(value, "id")
    issued = [("Issued", text(one, "date")) for one in as_list(inner, "dates") if text(one, "dateType") == "Issued"]
    title = plain_title(extracted.fields.get("title"))
    more = published(doi, title, text(inner, "url"))
    related = [*extracted.fields.get("related_materials", ()), *more.pop("related_materials", ())]
    publication = day(found, [*issued, ("publicationYear", text(inner, "publicationYear"))])
    fields = extracted.fields | more | compact(
        title=title, related_materials=related, timeline=compact(publisher_publication=publication)
    )  # fmt: skip
    remarks = (*extracted.remarks, *found.extracted({}).remarks)
    return dataclasses.replace(extracted, fields=fields, remarks=remarks)


def _doi(inner: dict[str, Any]) -> str | None:
    identifiers = [one for one in as_list(inner, "identifiers") if text(one, "identifierType") == "DOI"]
    return next((text(one, "identifier") for one in identifiers), None)
