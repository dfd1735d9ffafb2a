"""Metadata and final steps that a command requests for the item, and how they enter the journal.

They are not part of the job's identity: the same command with other metadata or final steps is the same job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from uploader.errors import Facts, UsageError
from uploader.items.checks import check_project, missing_required_fields
from uploader.items.payload import ItemPayload
from uploader.items.release import REQUIRED_TO_PUBLISH
from uploader.items.service import Lookup
from uploader.transfer.arguments import check_flag, wrong_type
from uploader.transfer.journal import events as ev
from uploader.transfer.journal.state import JobState
from uploader.transfer.run.service import Service

_FIELD_OF = {"type": "defined_type"}
_SET_BY_FIGSHARE = frozenset({"title", "authors", "type", "license"})
"""Fields that a new item has by default: title, its owner as author, the type dataset and CC BY 4.0 (observed)."""


@runtime_checkable
class MetadataSource(Protocol):
    """Metadata for the item whose names are not resolved yet."""

    @property
    def fingerprint(self) -> str:
        """Identifies the metadata: equal for equal metadata."""

    async def resolve(
        self, lookup: Lookup, *, publish: bool = False, item: int | None = None, project: int | None = None
    ) -> ItemPayload:
        """Resolve the description for an existing item, or for a new one, in a project if given.

        Raises ItemNotFound, ProjectNotFound and MetadataInvalid; with `publish` also if a field cannot be applied,
        since it would be missing from the published item.
        """


@dataclass(frozen=True, kw_only=True)
class ItemOptions:
    """What to do with the item. Raises TypeError for wrong types.

    `metadata`: see `uploader.describe`; None keeps what an earlier run of the job set. `reserve_doi`, `private_link`,
    `publish`: final steps, done once everything is verified. `options` are stored with the job, for a later run that
    does not give them; None keeps those that it has.
    """

    metadata: MetadataSource | None = None
    reserve_doi: bool = False
    private_link: bool = False
    publish: bool = False
    options: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.metadata is not None and not isinstance(self.metadata, MetadataSource):
            raise wrong_type("metadata", self.metadata, "what uploader.describe(file) returns, or None")
        for name in ("reserve_doi", "private_link", "publish"):
            check_flag(name, getattr(self, name))
        if self.options is not None and not isinstance(self.options, Mapping):
            raise wrong_type("options", self.options, "a mapping of names to values, or None")


async def apply_item_options(api: Service, state: JobState, item_options: ItemOptions) -> list[ev.AnyEvent]:
    """Return the events that apply the options to a job. Looks names up if there is a new description.

    Raises MetadataInvalid, UsageError if the item could not be published in the end, and, for a new item in a project,
    what `check_project` raises: all before the first byte is sent.
    """
    changes: list[ev.AnyEvent] = []
    plan = state.plan
    item_id = state.item_id if state.item_id is not None else plan.item
    project = plan.project if item_id is None else None
    if project is not None:
        await check_project(api.items, project)
    given = state.description
    payload = given.payload if given is not None else ItemPayload()
    if item_options.metadata is not None and (
        _is_new(given, item_options.metadata) or _is_first_to_publish(state, item_options)
    ):
        payload = await item_options.metadata.resolve(
            api.items, publish=item_options.publish, item=item_id, project=project
        )
        if given is None or (given.mark, given.payload) != (item_options.metadata.fingerprint, payload):
            changes.append(ev.MetadataRequested(item_options.metadata.fingerprint, payload))
    final_steps = ev.FinalStepsRequested(
        reserve_doi=item_options.reserve_doi, private_link=item_options.private_link, publish=item_options.publish
    )
    if final_steps != state.final_steps:
        changes.append(final_steps)
    if item_options.options is not None and item_options.options != state.options:
        changes.append(ev.OptionsGiven(dict(item_options.options)))
    if item_options.publish and "publish" not in state.done_steps:
        await _check_publishable(api, payload, plan.item, plan.project)
    return changes


def has_applied(state: JobState, item_options: ItemOptions) -> bool:
    """Return True if a finished job has done to its item what these options request."""
    described = item_options.metadata is None or state.described == item_options.metadata.fingerprint
    steps = ("reserve_doi", "private_link", "publish")
    return described and all(state.is_done(step) for step in steps if getattr(item_options, step))


def _is_new(given: ev.MetadataRequested | None, describe: MetadataSource) -> bool:
    return given is None or given.mark != describe.fingerprint


def _is_first_to_publish(state: JobState, item_options: ItemOptions) -> bool:
    """Return True if a draft must now satisfy what publishing requires."""
    return item_options.publish and not state.final_steps.publish


async def check_item_options(
    api: Service, item_options: ItemOptions, item_id: int | None, project: int | None = None
) -> ItemPayload:
    """Resolve the description for this item, or for a new one, in a project if given.

    Raises what `apply_item_options` would raise for a new job.
    """
    payload = ItemPayload()
    if item_options.metadata is not None:
        payload = await item_options.metadata.resolve(
            api.items, publish=item_options.publish, item=item_id, project=project
        )
    if item_options.publish:
        await _check_publishable(api, payload, item_id, project)
    return payload


async def _check_publishable(api: Service, payload: ItemPayload, item_id: int | None, project: int | None) -> None:
    """Raise UsageError if a field required for publication will be missing; `item_id` is None for a new item."""
    item = await api.items.detail(item_id) if item_id is not None else None
    present = {name for name in REQUIRED_TO_PUBLISH if getattr(item, name)} if item is not None else _SET_BY_FIGSHARE
    missing = [
        name
        for name in REQUIRED_TO_PUBLISH
        if name not in present and not payload.fields.get(_FIELD_OF.get(name, name))
    ]
    if payload.authors and "authors" in missing:
        missing.remove("authors")
    missing += await missing_required_fields(api.items, payload, item=item, project=project)
    if missing:
        raise UsageError(
            f"Figshare does not publish an item without {', '.join(missing)}",
            hint="Give them in a metadata file.",
            facts=Facts("publish-lacks"),
        )
