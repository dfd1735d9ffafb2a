"""Merge the metadata of an item from all sources, and convert it to the API's form."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from uploader.errors import MetadataInvalid
from uploader.items.payload import ItemPayload
from uploader.items.service import Lookup
from uploader.metadata import load
from uploader.metadata.custom_fields import validate
from uploader.metadata.load import SAFETY_FIELDS, Loaded, root_field
from uploader.metadata.model import Author, Embargo, Funding, Material, Metadata, Value
from uploader.metadata.parse import Document
from uploader.metadata.problems import Problem, invalid
from uploader.metadata.resolve import Resolver, UnknownName, Unresolvable
from uploader.metadata.sidecars import load_sidecars
from uploader.metadata.vocabulary import LICENSES

N = TypeVar("N")
T = TypeVar("T")


@dataclass(frozen=True)
class Description:
    """An item's metadata from several sources. `parts` are in order of precedence, field by field."""

    parts: tuple[Loaded, ...] = ()
    found: frozenset[str] = frozenset()
    """Sidecar files: unknown names in them are ignored with a remark."""

    @property
    def metadata(self) -> Metadata:
        """The merged metadata."""
        return load.merged(part.metadata for part in self.parts)

    @property
    def fingerprint(self) -> str:
        """A hash that identifies the description; the title is not part of it."""
        content = msgspec.structs.replace(self.metadata, title=None)
        return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:16]

    def part_of(self, field: str) -> Loaded:
        """Return the source that provides a field. Raises LookupError if none does."""
        return next(part for part in self.parts if field in part.fields)

    async def resolve(
        self, lookup: Lookup, *, publish: bool = False, item: int | None = None, project: int | None = None
    ) -> ItemPayload:
        """Convert the description into a payload for an existing item, or for a new one, in a project if given.

        Requests lists for names. Raises MetadataInvalid, with `publish` also if a safety field had to be ignored.
        """
        return (await resolve(self, Resolver(lookup=lookup, item=item, project=project), publish=publish)).spec

    def provenance(self) -> list[str]:
        """Return remarks on the sources, and for each sidecar file which fields were used.

        A licence that must be looked up is reported by `resolve`.
        """
        lines = [remark for part in self.parts for remark in part.remarks]
        lines += [rejected.text for rejected in self.rejected()]
        seen: set[str] = set()
        for part in self.parts:
            fields = [name for name in part.fields if name not in seen]
            seen.update(fields)
            lines += [
                f"{part.name}: has no {name}; the default of its format is {getattr(part.metadata, name)}"
                for name in fields
                if name in part.implied
            ]
            known = [_shown(part, name) for name in fields if not _needs_lookup(part, name)]
            if part.source in self.found and known:
                lines.append(f"taken from {part.source}: {', '.join(known)}")
        return lines

    def rejected(self) -> list[Rejected]:
        """Return the safety fields that were ignored and that no other source provides."""
        provided = self.metadata.present_fields()
        return [Rejected(part, one) for part in self.parts for one in part.rejected if root_field(one) not in provided]


@dataclass(frozen=True)
class Rejected:
    """A value of a safety field that had to be ignored."""

    part: Loaded
    problem: Problem

    @property
    def text(self) -> str:
        """The problem in one line."""
        hint = f". {self.problem.hint} Ignored" if self.problem.hint else "; ignored"
        return f"{self.part.name}: {self.problem.text}{hint}: {SAFETY_FIELDS[root_field(self.problem)]}"


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """A description in the API's form. `remarks` are lines for the user.

    `provenance` has the fields of sidecar files that were verified, with the file's name.
    """

    spec: ItemPayload
    remarks: tuple[str, ...]
    provenance: tuple[tuple[str, str], ...]
    rejected: tuple[Rejected, ...]


def load_description(
    *,
    given: dict[str, Any] | None = None,
    file: str | os.PathLike[str] | None = None,
    sidecars_of: Sequence[str | Path] = (),
    today: date,
) -> Description:
    """Merge command-line fields (`given`) over the file over the sidecar files of `sidecars_of`. Reads disks.

    Raises MetadataInvalid, SourceNotFound, SourceUnreadable.
    """
    parts: list[Loaded] = []
    if given:
        parts.append(load.interpret(Document(source="", value=given), today))
    if file is not None:
        parts.append(load.load(file, today))
    sidecars = [one for one in load_sidecars(sidecars_of, today) if not _is(one, file)]
    return Description((*parts, *sidecars), frozenset(one.source for one in sidecars))


def _is(one: Loaded, file: str | os.PathLike[str] | None) -> bool:
    return file is not None and os.path.realpath(one.source) == os.path.realpath(file)


def describe(file: str | os.PathLike[str]) -> Description:
    """Read a metadata file (YAML, JSON or TOML), for `uploader.ItemOptions`.

    Raises MetadataInvalid, SourceNotFound, SourceUnreadable, TypeError.
    """
    if not isinstance(file, str | os.PathLike):
        raise TypeError(f"file must be a path (str or os.PathLike), not {type(file).__name__}")
    return load_description(file=file, today=date.today())  # noqa: DTZ011 - an embargo ends by the local calendar


async def resolve(description: Description, names: Resolver, *, publish: bool) -> Resolution:
    """Convert the description into a payload. Requests lists.

    Raises MetadataInvalid, with `publish` also for ignored safety fields: publishing cannot be undone.
    """
    resolving = _ResolutionBuilder(description)
    metadata = description.metadata
    fields = plain_fields(metadata)
    categories = [await resolving.resolve_name("categories", name, names.category) for name in metadata.categories]
    if chosen := [one for one in categories if one is not None]:
        fields["categories"] = list(dict.fromkeys(chosen))
    if metadata.license is not None:
        fields["license"] = await resolving.resolve_name("license", metadata.license, names.license)
    if metadata.group is not None:
        fields["group_id"] = await resolving.resolve_name("group", metadata.group, names.group)
    for author in metadata.authors:
        if author.id is not None:
            await resolving.resolve_name("authors", author.id, names.author)
    if metadata.funding:
        fields["funding_list"] = [await resolving.grant(one, names) for one in metadata.funding]
    if metadata.custom_fields and (metadata.group is None or fields["group_id"] is not None):
        values = await resolving.custom_fields(names, metadata.custom_fields, fields.get("group_id"))
        fields["custom_fields_list"] = [{"name": name, "value": value} for name, value in values.items()]
    if publish:
        resolving.refuse_rejected([*description.rejected(), *resolving.rejected])
    resolving.raise_problems()
    spec = ItemPayload(
        fields={name: value for name, value in fields.items() if value is not None},
        authors=[author_body(one) for one in metadata.authors] or None,
        embargo=embargo_body(metadata.embargo) if metadata.embargo is not None else None,
    )
    return Resolution(
        spec=spec,
        remarks=tuple(resolving.remarks),
        provenance=tuple(resolving.provenance),
        rejected=tuple(resolving.rejected),
    )


class _ResolutionBuilder:
    """Collects problems by source."""

    def __init__(self, description: Description) -> None:
        self._description = description
        self._problems: dict[str, list[Problem]] = {}
        self.rejected: list[Rejected] = []
        self.provenance: list[tuple[str, str]] = []

        self.remarks: list[str] = []

    async def resolve_name(self, field: str, name: N, ask: Callable[[N], Awaitable[T]]) -> T | None:
        """Resolve a name; None after a problem, or if it cannot be checked."""
        part = self._description.part_of(field)
        try:
            found = await ask(name)
        except Unresolvable as unclear:
            self._remark(field, name, unclear.message)
        except UnknownName as unknown:
            self._problem(field, name, unknown.message, unknown.hint, situation=unknown.situation)
        else:
            if part.source in self._description.found and _needs_lookup(part, field):
                self.provenance.append((field, part.source))
            return found
        return None

    async def grant(self, wanted: Funding, names: Resolver) -> dict[str, Any]:
        """Return a grant as the API takes it: by id if known, else as text."""
        name = wanted.id if wanted.id is not None else wanted.title or ""
        found = await self.resolve_name("funding", name, names.grant)
        if isinstance(name, str) and isinstance(found, int):
            self._remark("funding", name, f"{name!r} is matched to grant {found}")
        body: dict[str, Any] = msgspec.to_builtins(wanted if found in (None, name) else Funding(id=int(found or 0)))
        return body

    async def custom_fields(self, names: Resolver, given: dict[str, Value], group: int | None) -> dict[str, Value]:
        """Return the values as the group's fields take them; unchanged if they cannot be checked."""
        try:
            known = await names.custom_fields(group, given)
        except Unresolvable as unclear:
            self._remark("custom_fields", None, unclear.message)
            return given
        valid, faults = validate(given, known)
        for fault in faults:
            self._problem("custom_fields", fault.value, fault.message, fault.hint, key=fault.name)
        return valid

    def _problem(
        self,
        field: str,
        value: object,
        message: str,
        hint: str | None = None,
        *,
        key: str | None = None,
        situation: str = "",
    ) -> None:
        part = self._description.part_of(field)
        problem = part.problem(field, value, message, hint, key=key, situation=situation)
        if part.kind == "figup":
            self._problems.setdefault(part.source, []).append(problem)
        else:
            self.rejected.append(Rejected(part, problem))

    def _remark(self, field: str, value: object, message: str) -> None:
        part = self._description.part_of(field)
        self.remarks.append(f"{part.name}: {part.problem(field, value, message).text}")

    def refuse_rejected(self, rejected: Sequence[Rejected]) -> None:
        """Turn ignored fields into problems."""
        for one in rejected:
            message = f"{one.problem.message}; without it, {SAFETY_FIELDS[root_field(one.problem)]}"
            is_sidecar = one.part.source in self._description.found
            advice = (
                "Give the correct value in your own metadata file, or ignore this file."
                if is_sidecar
                else "Correct it there, or give the correct value in another file."
            )
            hint = " ".join(filter(None, (one.problem.hint, advice)))
            problem = msgspec.structs.replace(
                one.problem, message=message, hint=hint, situation="found-metadata" if is_sidecar else ""
            )
            self._problems.setdefault(one.part.source, []).append(problem)

    def raise_problems(self) -> None:
        """Raise MetadataInvalid with all problems of all sources, if there are any."""
        errors = [invalid(source, problems) for source, problems in self._problems.items()]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            causes = [cause for error in errors for cause in (error.causes or (error,))]
            raise MetadataInvalid(f"{len(errors)} metadata files have problems; nothing was done", causes=causes)


def _needs_lookup(part: Loaded, field: str) -> bool:
    """Return True for a licence that not every account has. Foreign formats name no categories or groups."""
    return field == "license" and part.metadata.license not in LICENSES


def _shown(part: Loaded, field: str) -> str:
    """Format a used field for the user."""
    if field == "embargo" and part.metadata.embargo is not None:
        return f"embargo (until {part.metadata.embargo.until})"
    return field.replace("_", " ")


def plain_fields(metadata: Metadata) -> dict[str, Any]:
    """Return the fields that need no lookup, by the API's names."""
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
    """Return an author as the API takes one; with an id nothing else counts.

    The email address is dropped: it is documented, but authors with one were rejected (observed).
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
    """Return an embargo as the API takes one; a day begins at its midnight."""
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
