"""Orders: what a command wants of the item beside its files, and how they get into the job's journal.

They do not name the job: the same command with another description, or another wish for the end, is the same job.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from uploader.errors import UsageError
from uploader.figshare.api import Figshare
from uploader.figshare.wire_items import ItemDetail
from uploader.transfer import events as ev
from uploader.transfer.items.release import WANTED
from uploader.transfer.items.spec import ItemSpec
from uploader.transfer.job_state import JobState

_FIELD_OF = {"type": "defined_type"}
_SET_BY_FIGSHARE = frozenset({"title", "authors", "type", "license"})
"""What a new item has anyway: its title, its owner as author, the type dataset and CC BY 4.0 (observed)."""


class Describer(Protocol):
    """A description of the item that is not looked up yet."""

    @property
    def mark(self) -> str:
        """Tells one description from another."""

    async def resolve(self, api: Figshare) -> ItemSpec:
        """The description as Figshare takes it. Raises MetadataInvalid."""


@dataclass(frozen=True)
class Orders:
    """`describe` None leaves the description as it was ordered before. The others are done when all is verified."""

    describe: Describer | None = None
    reserve_doi: bool = False
    private_link: bool = False
    publish: bool = False


async def take_orders(api: Figshare, state: JobState, orders: Orders) -> list[ev.AnyEvent]:
    """What the orders change in a job. Asks Figshare's lists where there is a new description.

    Raises MetadataInvalid, and UsageError where the item could not be published in the end: before anything is sent.
    """
    changes: list[ev.AnyEvent] = []
    given = state.description
    spec = given.spec if given is not None else ItemSpec()
    if orders.describe is not None and (given is None or given.mark != orders.describe.mark):
        spec = await orders.describe.resolve(api)
        changes.append(ev.DescriptionGiven(orders.describe.mark, spec))
    wishes = ev.EndWished(orders.reserve_doi, orders.private_link, orders.publish)
    if wishes != (state.wishes or ev.EndWished()):
        changes.append(wishes)
    if orders.publish and "publish" not in state.reached:
        item_id = state.plan.item if state.plan is not None else None
        _check_publishable(spec, await api.items.detail(item_id) if item_id is not None else None)
    return changes


async def rehearse(api: Figshare, orders: Orders, item_id: int | None) -> ItemSpec:
    """The description that is ordered; raises what `take_orders` would raise for a new job that sends to this item, or
    with None to a new one."""
    spec = await orders.describe.resolve(api) if orders.describe is not None else ItemSpec()
    if orders.publish:
        _check_publishable(spec, await api.items.detail(item_id) if item_id is not None else None)
    return spec


def _check_publishable(spec: ItemSpec, item: ItemDetail | None) -> None:
    """Raise UsageError where a field will be missing in the end; `item` is the one that exists already."""
    has = {name for name in WANTED if getattr(item, name)} if item is not None else _SET_BY_FIGSHARE
    lacking = [name for name in WANTED if name not in has and not spec.fields.get(_FIELD_OF.get(name, name))]
    if lacking and not (lacking == ["authors"] and spec.authors):
        raise UsageError(
            f"--publish: Figshare publishes no item without {', '.join(lacking)}",
            hint="Say them in a file, with --metadata; `figup metadata template` writes one to start from.",
        )
