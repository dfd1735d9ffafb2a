"""A description put together from all that speaks of the item, and turned into what Figshare takes."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from uploader.catalog.metadata import loading
from uploader.catalog.metadata.custom import fitted
from uploader.catalog.metadata.document import Document
from uploader.catalog.metadata.loading import Loaded
from uploader.catalog.metadata.model import Author, Embargo, Funding, Material, Metadata, Value
from uploader.catalog.metadata.names import Names, Unclear, Unknown
from uploader.catalog.metadata.problems import Problem, invalid
from uploader.figshare.api import Figshare
from uploader.transfer.items.spec import ItemSpec

N = TypeVar("N")
T = TypeVar("T")


@dataclass(frozen=True)
class Description:
    """What is to be said of an item. `parts` are its sources, the first of which that speaks of a field is heard."""

    parts: tuple[Loaded, ...] = ()
    found: frozenset[str] = frozenset()
    """Sources that merely lay there: what is unknown in them is left out with a remark."""

    @property
    def metadata(self) -> Metadata:
        """All of it."""
        return loading.merged(part.metadata for part in self.parts)

    @property
    def mark(self) -> str:
        """Tells one description from another; the title is no part of it."""
        said = msgspec.structs.replace(self.metadata, title=None)
        return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()[:16]

    def part_of(self, field: str) -> Loaded:
        """Which source decides a field. Raises LookupError where none does."""
        return next(part for part in self.parts if field in part.fields)

    async def resolve(self, api: Figshare, *, item: int | None = None, project: int | None = None) -> ItemSpec:
        """The description in Figshare's terms, for an item that exists or one that is created, in a project if given.

        Asks for lists where there are names. Raises MetadataInvalid.
        """
        spec, _ = await resolve(self, Names(api.items, item, project))
        return spec

    def taken(self) -> list[str]:
        """One line for each file that lay there: what was taken from it."""
        lines = [remark for part in self.parts for remark in part.remarks]
        before: set[str] = set()
        for part in self.parts:
            fields = [name for name in part.fields if name not in before]
            before.update(fields)
            if part.source in self.found and fields:
                lines.append(f"taken from {part.source}: {', '.join(fields).replace('_', ' ')}")
        return lines


def gather(
    *,
    given: dict[str, Any] | None = None,
    file: str | Path | None = None,
    beside: Sequence[str | Path] = (),
    today: date,
) -> Description:
    """Options win over the file, which wins over what lies beside the sources. Reads disks.

    `given` are fields from the command line. Raises MetadataInvalid, SourceMissing, SourceUnreadable.
    """
    parts: list[Loaded] = []
    if given:
        parts.append(loading.interpret(Document("", given), today))
    if file is not None:
        parts.append(loading.load(file, today))
    lying = [one for one in loading.found_beside(beside, today) if not _is(one, file)]
    return Description((*parts, *lying), frozenset(one.source for one in lying))


def _is(one: Loaded, file: str | Path | None) -> bool:
    return file is not None and Path(one.source).resolve() == Path(file).resolve()


def describe(file: str | Path) -> Description:
    """What a metadata file says, for `uploader.Orders`. Reads the disk. Raises as `gather` does."""
    return gather(file=file, today=date.today())  # noqa: DTZ011 - the calendar of whoever wrote an embargo's end


async def resolve(description: Description, names: Names) -> tuple[ItemSpec, list[str]]:
    """The description in Figshare's terms, and remarks for a person. Asks for lists. Raises MetadataInvalid."""
    resolving = _Resolving(description)
    metadata = description.metadata
    fields = plain_fields(metadata)
    categories = [await resolving.one("categories", name, names.category) for name in metadata.categories]
    if chosen := [one for one in categories if one is not None]:
        fields["categories"] = list(dict.fromkeys(chosen))
    if metadata.license is not None:
        fields["license"] = await resolving.one("license", metadata.license, names.license)
    if metadata.group is not None:
        fields["group_id"] = await resolving.one("group", metadata.group, names.group)
    for author in metadata.authors:
        if author.id is not None:
            await resolving.one("authors", author.id, names.author)
    if metadata.funding:
        fields["funding_list"] = [await resolving.grant(one, names) for one in metadata.funding]
    if metadata.custom_fields and (metadata.group is None or fields["group_id"] is not None):
        fitting = await resolving.custom_fields(names, metadata.custom_fields, fields.get("group_id"))
        fields["custom_fields_list"] = [{"name": name, "value": value} for name, value in fitting.items()]
    resolving.raise_problems()
    spec = ItemSpec(
        {name: value for name, value in fields.items() if value is not None},
        [author_body(one) for one in metadata.authors] or None,
        embargo_body(metadata.embargo) if metadata.embargo is not None else None,
    )
    return spec, resolving.remarks


class _Resolving:
    """Collects what is unknown, source by source."""

    def __init__(self, description: Description) -> None:
        self._description = description
        self._problems: dict[str, list[Problem]] = {}
        self.remarks: list[str] = []

    async def one(self, field: str, name: N, ask: Callable[[N], Awaitable[T]]) -> T | None:
        """What a name stands for; None after a problem, and where nobody can tell."""
        try:
            return await ask(name)
        except Unclear as unclear:
            self._remark(field, name, unclear.message)
        except Unknown as unknown:
            self._problem(field, name, unknown.message, unknown.hint)
        return None

    async def grant(self, wanted: Funding, names: Names) -> dict[str, Any]:
        """A grant as the API takes it: by its id where it is known, else in words."""
        said = wanted.id if wanted.id is not None else wanted.title or ""
        found = await self.one("funding", said, names.grant)
        if isinstance(said, str) and isinstance(found, int):
            self._remark("funding", said, f"{said!r} is grant {found} to Figshare")
        body: dict[str, Any] = msgspec.to_builtins(wanted if found in (None, said) else Funding(id=int(found or 0)))
        return body

    async def custom_fields(self, names: Names, given: dict[str, Value], group: int | None) -> dict[str, Value]:
        """The values as the fields of the group take them; as they were given where nobody can tell."""
        try:
            known = await names.custom_fields(group, given)
        except Unclear as unclear:
            self._remark("custom_fields", None, unclear.message)
            return given
        fitting, faults = fitted(given, known)
        for fault in faults:
            self._problem("custom_fields", fault.value, fault.message, fault.hint, key=fault.name)
        return fitting

    def _problem(
        self, field: str, value: object, message: str, hint: str | None = None, *, key: str | None = None
    ) -> None:
        part = self._description.part_of(field)
        problem = part.problem(field, value, message, hint, key=key)
        if part.source in self._description.found or part.kind != "figup":
            self.remarks.append(f"{part.name}: {problem.told}; it is left out")
        else:
            self._problems.setdefault(part.source, []).append(problem)

    def _remark(self, field: str, value: object, message: str) -> None:
        part = self._description.part_of(field)
        self.remarks.append(f"{part.name}: {part.problem(field, value, message).told}")

    def raise_problems(self) -> None:
        for source, problems in self._problems.items():
            raise invalid(source, problems)


def plain_fields(metadata: Metadata) -> dict[str, Any]:
    """The fields that need no name looked up, as the API calls them."""
    fields: dict[str, Any] = {
        "description": metadata.description,
        "keywords": list(metadata.keywords),
        "defined_type": metadata.type,
        "references": list(metadata.references),
        "related_materials": [_material(one) for one in metadata.related_materials],
        "timeline": msgspec.to_builtins(metadata.timeline) if metadata.timeline is not None else None,
        "doi": metadata.doi,
        "handle": metadata.handle,
        "is_metadata_record": True if metadata.metadata_only is not None else None,
        "metadata_reason": metadata.metadata_only,
    }
    return {name: value for name, value in fields.items() if value not in (None, [])}


def author_body(author: Author) -> dict[str, Any]:
    """An author as the API takes one: where there is an id, nothing else counts.

    The address is left out: it is documented, but authors that had one were refused (observed).
    """
    if author.id is not None:
        return {"id": author.id}
    body: dict[str, Any] = msgspec.to_builtins(author)
    body.pop("email", None)
    if "orcid" in body:
        body["orcid_id"] = body.pop("orcid")
    return body


def _material(material: Material) -> dict[str, Any]:
    if material.id is not None and material.identifier is None:
        return {"id": material.id}
    body = {name: getattr(material, name) for name in material.__struct_fields__}
    return {name: value for name, value in body.items() if value is not None}


def embargo_body(embargo: Embargo) -> dict[str, Any]:
    """An embargo as the API takes one; a day begins at its midnight."""
    body: dict[str, Any] = {
        "is_embargoed": True,
        "embargo_date": embargo.until if embargo.until == "0" else f"{embargo.until}T00:00:00",
        "embargo_type": embargo.scope,
        "embargo_title": embargo.title or "",
        "embargo_reason": embargo.reason or "",
    }
    if embargo.options:
        body["embargo_options"] = [
            {"id": one.id, "group_ids": list(one.group_ids)} if one.group_ids else {"id": one.id}
            for one in embargo.options
        ]
    return body
