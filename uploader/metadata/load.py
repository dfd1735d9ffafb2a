"""Load metadata files: detect the format, import foreign formats. Reads disks.

A file that the user named must be valid; of a sidecar file that was merely found, the valid fields are used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from uploader.errors import SourceNotFound
from uploader.metadata.cursor import Context
from uploader.metadata.importers import cff, codemeta, datacite, rocrate, zenodo
from uploader.metadata.importers.extract import Extracted
from uploader.metadata.importers.tracking import tracked, unread_keys
from uploader.metadata.model import Metadata
from uploader.metadata.parse import Document, max_size, parse
from uploader.metadata.problems import Location, Problem, field_name, invalid, raise_problem
from uploader.metadata.schema import ALIASES, Validator
from uploader.metadata.vocabulary import DEFAULT_LICENSE
from uploader.system import PATH_FAULTS, path_error

_IMPORTERS: dict[str, Callable[[dict[str, Any], date], Extracted]] = {
    "CITATION.cff": cff.extract,
    "DataCite JSON": datacite.extract,
    "codemeta.json": codemeta.extract,
    "RO-Crate": rocrate.extract,
    ".zenodo.json": zenodo.extract,
}

SAFETY_FIELDS = {
    "license": f"a new item gets Figshare's default licence, {DEFAULT_LICENSE}",
    "embargo": "the files are open to everyone once the item is published",
    "authors": "the account's owner is the only author of a new item",
}
"""Fields without which an item differs from what was intended, and the consequence."""
_AUTHORS = re.compile(r"(?:(?:metadata|data|attributes)\.)*(?:authors?|creators?)")
"""Keys under which the formats list authors."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The content of one file. `kind` is its format.

    `remarks` are lines for the user: what is ignored, and why. `unverified` depends on the account's lists. `rejected`
    are problems of SAFETY_FIELDS, whose fields are also ignored. `implied` are fields that the file does not have, but
    that its format gives a default. `document` is set for figup's own format, to find the line of a value.
    """

    source: str
    kind: str
    metadata: Metadata
    remarks: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    document: Document | None = None
    rejected: tuple[Problem, ...] = ()
    implied: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.source).name

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields that are set."""
        return self.metadata.present_fields()

    def problem(
        self,
        field: str,
        value: object,
        message: str,
        hint: str | None = None,
        *,
        key: str | None = None,
        situation: str = "",
    ) -> Problem:
        """Return a problem of a value of this file, under the `key` of the field if given."""
        place: Location = (field,) if key is None else (field, key)
        if self.document is None:
            return Problem(message=message, field=field_name(place), line=None, hint=hint, situation=situation)
        names = [name for name in self.document.value if ALIASES.get(name.lower(), name.lower()) == field]
        place = (*names[:1], *place[1:]) if names else place
        inside: Any = self.document.value.get(str(place[0]))
        if key is not None:
            inside = inside.get(key) if isinstance(inside, dict) else None
        place = _locate(value, inside, place) or place
        return Problem(
            message=message, field=field_name(place), line=self.document.line(place), hint=hint, situation=situation
        )


def _locate(value: object, inside: object, place: Location) -> Location | None:
    """Return the location of a value inside another; None if it is not there."""
    if isinstance(inside, dict | list):
        steps: Iterable[tuple[str | int, object]] = inside.items() if isinstance(inside, dict) else enumerate(inside)
        found = (_locate(value, one, (*place, step)) for step, one in steps)
        return next((one for one in found if one is not None), None)
    return place if " ".join(str(inside).split()) == " ".join(str(value).split()) else None


def load(path: str | os.PathLike[str], today: date) -> Loaded:
    """Load a metadata file that the user named.

    Raises SourceNotFound, SourceUnreadable, and MetadataInvalid with all problems, or if the file has no metadata.
    """
    loaded = interpret(read(path), today)
    if not loaded.fields and not loaded.rejected:
        ignored = f"usable metadata: {'; '.join(loaded.remarks)}" if loaded.remarks else "metadata"
        raise_problem(loaded.source, f"contains no {ignored}", situation="metadata-format")
    return loaded


def interpret(document: Document, today: date, *, describes_folder: bool = True) -> Loaded:
    """Interpret a document. With `describes_folder` it describes the whole folder that contains it.

    Raises MetadataInvalid with all problems of a document in figup's own format.
    """
    kind = kind_of(document)
    if kind != "figup":
        return _from_importer(document, kind, today, describes_folder=describes_folder)
    context = Context(document=document)
    metadata = Validator(today).metadata(context)
    if context.problems:
        raise invalid(document.source, context.problems)
    name = Path(document.source).name
    return Loaded(
        source=document.source,
        kind=kind,
        metadata=metadata,
        remarks=tuple(f"{name}: {_with_hint(one)}" for one in context.remarks),
        unverified=tuple(f"{name}: {_with_hint(one)}" for one in context.unverified),
        document=document,
    )


def _from_importer(document: Document, kind: str, today: date, *, describes_folder: bool) -> Loaded:
    content = tracked(document.value)
    extracted = _IMPORTERS[kind](content, today)
    implied = extracted.implied if describes_folder else {}
    context = Context(document=Document(source=document.source, value={**implied, **extracted.fields}))
    metadata = Validator(today, whole_names=True).metadata(context)
    # A problem of one author is only reported while there are others.
    fatal = SAFETY_FIELDS.keys() - ({"authors"} if metadata.authors else set())
    rejected = [one for one in context.problems if root_field(one) in fatal]
    if extracted.access_restriction is not None:
        rejected.append(Problem(message=extracted.access_restriction, field="embargo"))
    if extracted.lost_authors:
        message = "no author has a name"
        rejected.append(Problem(message=message, field="authors"))
    name = Path(document.source).name
    remarks = [f"{one.text}; ignored" for one in context.problems if one not in rejected]
    remarks += map(_with_hint, context.remarks)
    left = unread_keys(content)
    misplaced = [key for key in left if _AUTHORS.fullmatch(key)]
    if misplaced and not (metadata.authors or extracted.lost_authors or "@graph" in content):
        message = f"{misplaced[0]!r} is not where {kind} has authors"
        rejected.append(Problem(message=message, field="authors"))
    left_remark = [f"not used: {', '.join(left)}"] if left else []
    return Loaded(
        source=document.source,
        kind=kind,
        metadata=metadata,
        remarks=tuple(f"{name}: {one}" for one in (*remarks, *extracted.remarks, *left_remark)),
        unverified=tuple(f"{name}: {_with_hint(one)}" for one in context.unverified),
        rejected=tuple(rejected),
        implied=tuple(implied),
    )


def root_field(problem: Problem) -> str:
    """Return the top-level field that a problem is in."""
    return re.split(r"[.\[]", problem.field)[0]


def _with_hint(problem: Problem) -> str:
    return problem.text + (f". {problem.hint}" if problem.hint else "")


def kind_of(document: Document) -> str:
    """Return the format of a document: "figup", or the name of a foreign one."""
    value = document.value
    if "cff-version" in value:
        return "CITATION.cff"
    context = str(value.get("@context", ""))
    name = Path(document.source).name
    if name.endswith(("ro-crate-metadata.json", "ro-crate-metadata.jsonld")) or "w3id.org/ro/crate" in context:
        return "RO-Crate"
    if name == ".zenodo.json" or _is_deposit(value):
        return ".zenodo.json"
    if "codemeta" in context or "schema.org" in context:
        return "codemeta.json"
    inner = value.get("data") if isinstance(value.get("data"), dict) else value
    if isinstance(inner, Mapping) and ("titles" in inner or "attributes" in inner or "creators" in inner):
        return "DataCite JSON"
    return "figup"


def _is_deposit(value: Mapping[str, Any]) -> bool:
    """Return True for the metadata of a deposit on Zenodo under another name."""
    inner = value.get("metadata")
    fields = inner if isinstance(inner, Mapping) else value
    return "creators" in fields and any(name in fields for name in ("title", "upload_type", "access_right"))


def merged(parts: Iterable[Metadata]) -> Metadata:
    """Merge metadata; the first part that has a field wins."""
    result = Metadata()
    for part in parts:
        result = result.overriding(part)
    return result


def read(path: str | os.PathLike[str]) -> Document:
    """Read and parse a file. Raises SourceNotFound, SourceUnreadable, MetadataInvalid."""
    return parse(os.fspath(path), _content(Path(path)))


def unused(path: Path, why: str) -> Loaded:
    """Return the result for a sidecar file that cannot be used."""
    return Loaded(source=str(path), kind="", metadata=Metadata(), remarks=(f"{why}; file not used",))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(max_size(path.name) + 1)
    except FileNotFoundError:
        raise SourceNotFound(f"{path}: metadata file not found", path=str(path)) from None
    except PATH_FAULTS as error:
        raise path_error(error, str(path)) from None
