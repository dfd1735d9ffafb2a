"""Templates: an example of figup's own formats, and what completes the records of a service."""

from __future__ import annotations

import csv
import io
import json

from uploader.records.columns import COLUMNS, CUSTOM

KINDS = ("csv", "jsonl", "dimensions", "crossref", "datacite")
_EXAMPLE = {
    "id": "example-1",
    "doi": "",
    "title": "An example: replace it",
    "description": "Markdown or HTML.",
    "authors": "Doe, Jane (0000-0002-1825-0097) | Rossi, Mario",
    "categories": "Animal behaviour",
    "keywords": "beavers | telemetry",
    "license": "CC BY 4.0",
    "type": "dataset",
    "link": "https://example.org/data",
    "first_online": "2024-05-17",
}
_GIVES = {
    "dimensions": """title, abstract, authors with ORCID iDs, DOI, type, days, funders, MeSH terms or concepts as
# keywords, and as categories those `not elsewhere classified` of the groups in its fields of research""",
    "crossref": """title, abstract, authors with ORCID iDs, DOI, type, days, funders and awards, licence, subjects
# as keywords""",
    "datacite": """title, description, creators with ORCID iDs, DOI, type, day of issue, funding, licence, subjects
# as keywords, related identifiers, and a future day of availability as embargo""",
}


def template(kind: str) -> str:
    """Return the template of a format. For a service, it is a metadata file for what its records lack."""
    if kind == "csv":
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerows([[*COLUMNS, f"{CUSTOM}NAME"], [*(_EXAMPLE.get(column, "") for column in COLUMNS), ""]])
        return text.getvalue()
    if kind == "jsonl":
        lists = ("authors", "categories", "keywords")
        fields: dict[str, object] = {
            name: text.split(" | ") if name in lists else text for name, text in _EXAMPLE.items() if text
        }
        fields["timeline"] = {"first_online": fields.pop("first_online")}
        return json.dumps(fields) + "\n"
    return f"""\
# Defaults for all records: values for those that have none of their own.
# Records of {kind} have: {_GIVES[kind]}.
# Empty fields are ignored.

# Names or ids.
categories:
#  - Animal behaviour

keywords:
#  - beavers

license:

# A group of your institution, by its name or id.
group:

# The institution's own fields, by their names.
custom_fields:
#  Instrument: Illumina NovaSeq
"""
