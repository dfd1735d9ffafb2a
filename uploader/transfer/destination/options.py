"""ItemOptions: what a command wants of the item beside its files, and how they get into the job's journal.

They do not name the job: the same command with another description, or another wish for the end, is the same job.
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
"""What a new item has anyway: its title, its owner as author, the type dataset and CC BY 4.0 (observed)."""


@runtime_checkable
class MetadataSource(Protocol):
    """A description of the item that is not looked up yet."""

    @property
    def fingerprint(self) -> str:
        """Tells one description from another."""

    async def resolve(
        self, lookup: Lookup, *, publish: bool = False, item: int | None = None, project: int | None = None
    ) -> ItemPayload:
        """Resolve the description for an existing item, or for a new one, in a project if given.

        Raises MetadataInvalid, with `publish`, since the item is to be published in the end, also where something of
        it can only be left out; ItemNotFound, ProjectNotFound.
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


async def apply_item_options(api: Service, state: JobState, orders: ItemOptions) -> list[ev.AnyEvent]:
    """Return the events that apply the options to a job. Looks names up if there is a new description.

    Raises MetadataInvalid, and UsageError where the item could not be published in the end; where it is to be created
    in a project, also what `check_project` raises: before anything is sent.
    """
    changes: list[ev.AnyEvent] = []
    plan = state.plan
    item_id = state.item_id if state.item_id is not None or plan is None else plan.item
    project = plan.project if plan is not None and item_id is None else None
    if project is not None:
        await check_project(api.items, project)
    given = state.description
    spec = given.spec if given is not None else ItemPayload()
    if orders.metadata is not None and (_is_new(given, orders.metadata) or _is_first_to_publish(state, orders)):
        spec = await orders.metadata.resolve(api.items, publish=orders.publish, item=item_id, project=project)
        if given is None or (given.mark, given.spec) != (orders.metadata.fingerprint, spec):
            changes.append(ev.MetadataRequested(orders.metadata.fingerprint, spec))
    wishes = ev.FinalStepsRequested(orders.reserve_doi, orders.private_link, orders.publish)
    if wishes != (state.final_steps or ev.FinalStepsRequested()):
        changes.append(wishes)
    if orders.options is not None and orders.options != state.options:
        changes.append(ev.OptionsGiven(dict(orders.options)))
    if orders.publish and "publish" not in state.done_steps:
        given_item = plan.item if plan is not None else None
        await _check_publishable(api, spec, given_item, plan.project if plan is not None else None)
    return changes


def _is_new(given: ev.MetadataRequested | None, describe: MetadataSource) -> bool:
    return given is None or given.mark != describe.fingerprint


def _is_first_to_publish(state: JobState, orders: ItemOptions) -> bool:
    """Return True if a draft must now satisfy what publishing requires."""
    return orders.publish and not (state.final_steps is not None and state.final_steps.publish)


async def check_item_options(
    api: Service, orders: ItemOptions, item_id: int | None, project: int | None = None
) -> ItemPayload:
    """Resolve the description for this item, or for a new one, in a project if given.

    Raises what `take_orders` would raise for a new job.
    """
    spec = ItemPayload()
    if orders.metadata is not None:
        spec = await orders.metadata.resolve(api.items, publish=orders.publish, item=item_id, project=project)
    if orders.publish:
        await _check_publishable(api, spec, item_id, project)
    return spec


async def _check_publishable(api: Service, spec: ItemPayload, item_id: int | None, project: int | None) -> None:
    """Raise UsageError where a field will be missing in the end; `item_id` is of an item that exists already."""
    item = await api.items.detail(item_id) if item_id is not None else None
    has = {name for name in REQUIRED_TO_PUBLISH if getattr(item, name)} if item is not None else _SET_BY_FIGSHARE
    lacking = [
        name for name in REQUIRED_TO_PUBLISH if name not in has and not spec.fields.get(_FIELD_OF.get(name, name))
    ]
    if spec.authors and "authors" in lacking:
        lacking.remove("authors")
    lacking += await missing_required_fields(api.items, spec, item=item, project=project)
    if lacking:
        raise UsageError(
            f"Figshare does not publish an item without {', '.join(lacking)}",
            hint="Give them in a metadata file.",
            facts=Facts("publish-lacks"),
        )
