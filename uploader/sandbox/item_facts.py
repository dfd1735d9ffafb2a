"""What an item's page tells besides its files: labels with texts, which the page escapes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

_BLOCKS = frozenset({"p", "br", "div", "li", "ul", "ol", "h1", "h2", "h3", "h4", "blockquote", "pre", "tr"})


@dataclass(frozen=True, slots=True)
class Text:
    """Words, and where they lead if anywhere."""

    words: str
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the page: each of its texts is shown as plain text."""

    label: str
    texts: Sequence[Text]


def facts_of(item: Mapping[str, Any], more: Sequence[Fact] = ()) -> list[Fact]:
    """The facts in an item's object as the API shows it, then `more`; what is empty is left out."""
    return [fact for fact in (*_facts(item), *more) if fact.texts]


def plain(html: str) -> str:
    """The text of a description: no markup, a line for each block."""
    reader = _Plain()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.found).split("\n"))
    return "\n".join(line for line in lines if line)


def _custom(fields: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{one['name']}: {_value(one['value'])}" for one in fields if one["value"]]


def _facts(item: Mapping[str, Any]) -> Iterator[Fact]:
    yield Fact("Description", _texts([plain(item["description"])]))
    yield Fact("Type", _texts([item["defined_type_name"]]))
    yield Fact("Authors", [_author(one) for one in item["authors"]])
    yield Fact("Categories", _texts([one["title"] for one in item["categories"]]))
    yield Fact("Keywords", _texts(item["tags"]))
    yield Fact("Licence", [Text(item["license"]["name"], item["license"]["url"])])
    yield Fact("DOI", _texts([item["doi"]]))
    yield Fact("References", [Text(one, one) for one in item["references"]])
    yield Fact("Related materials", [_material(one) for one in item["related_materials"]])
    yield Fact("Funding", _texts([item["funding"] or "", *(one["title"] for one in item["funding_list"])]))
    yield Fact("Timeline", _texts([f"{name}: {date}" for name, date in item["timeline"].items()]))
    yield Fact("Custom fields", _texts(_custom(item["custom_fields"])))
    yield Fact("Group", _texts([str(item["group_id"] or "")]))
    yield Fact("Metadata alone", _texts([item["metadata_reason"] or "yes"] if item["is_metadata_record"] else []))
    yield Fact("Embargo", _texts([_embargo(item)] if item["is_embargoed"] else []))


def _texts(words: Sequence[str]) -> list[Text]:
    return [Text(one) for one in words if one]


def _author(author: Mapping[str, Any]) -> Text:
    orcid = author["orcid_id"]
    return Text(author["full_name"], f"https://orcid.org/{orcid}" if orcid else None)


def _material(one: Mapping[str, Any]) -> Text:
    title = f"{one['title']}, " if one["title"] else ""
    return Text(f"{one['relation']}: {title}{one['identifier_type']} {one['identifier']}", one["link"] or None)


def _value(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value or "")


def _embargo(item: Mapping[str, Any]) -> str:
    until = f"until {item['embargo_date']}" if item["embargo_date"] else "for good"
    what = "the whole item" if item["embargo_type"] == "article" else "the files"
    rest = [item["embargo_title"], item["embargo_reason"], *(one["type"] for one in item["embargo_options"])]
    return "; ".join([f"{what}, {until}", *(one for one in rest if one)])


class _Plain(HTMLParser):
    """Collects the text of some HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.found.append("\n")

    def handle_data(self, data: str) -> None:
        self.found.append(data)
