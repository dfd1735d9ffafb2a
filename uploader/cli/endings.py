"""What a dry run tells of the item beside its files: what it would say, and what would be done with it in the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from uploader.transfer.items.orders import Orders
from uploader.transfer.items.spec import ItemSpec
from uploader.transfer.preview import Preview


@dataclass(frozen=True)
class Endings:
    """What would be done.

    `project` is where the item would be created. `says`: what would be set of its description, as the API calls it;
    None where names in it could not be looked up. `embargo` has `until` (a date, None for no end) and `scope` ("file"
    or "article"). `published_before`: this job published the files before, as they are.
    """

    project: int | None
    says: tuple[str, ...] | None
    embargo: dict[str, str | None] | None
    reserve_doi: bool
    private_link: bool
    publish: bool
    published_before: bool

    def fields(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For a person."""
        made = ["a DOI would be reserved"] if self.reserve_doi else []
        made += ["a private link would be made"] if self.private_link else []
        return [
            *self._described(),
            *([f"When all is verified, {' and '.join(made)}."] if made else []),
            *self._published(),
        ]

    def _described(self) -> list[str]:
        if self.says is None:
            return ["The item would be described; what names in the description mean is not known without a token."]
        lines = [f"The item would be told: {', '.join(self.says)}"] if self.says else []
        if self.embargo is not None:
            what = "The whole item" if self.embargo["scope"] == "article" else "Its files"
            until = self.embargo["until"]
            lines.append(f"{what} would be under embargo, {f'until {until}' if until else 'without an end'}.")
        return lines

    def _published(self) -> list[str]:
        if self.published_before:
            also = ", and the description would change in the draft alone" if self.says or self.says is None else ""
            return [f"Its files were published by this job as they are: there would be no new version{also}."]
        if not self.publish:
            return []
        return ["When all is verified, it WOULD BE PUBLISHED: what is public cannot be deleted any more."]


def endings(orders: Orders, spec: ItemSpec | None, project: int | None, found: Preview) -> Endings:
    """What would be done of what was ordered. `spec` None: nobody could be asked what the description means."""
    known = orders.describe is None or orders.describe.mark == found.described
    told = ItemSpec() if known else spec
    body = told.embargo if told is not None else None
    return Endings(
        project=project if found.item_id is None else None,
        says=told.named if told is not None else None,
        embargo=_embargo(body) if body else None,
        reserve_doi=orders.reserve_doi and "reserve_doi" not in found.granted,
        private_link=orders.private_link and "private_link" not in found.granted,
        publish=orders.publish and "publish" not in found.granted,
        published_before=orders.publish and "publish" in found.granted,
    )


def _embargo(body: dict[str, Any]) -> dict[str, str | None]:
    """Of an embargo as the API takes one: a date of "0" means none."""
    until = str(body.get("embargo_date") or "0")
    return {"until": None if until == "0" else until.partition("T")[0], "scope": body.get("embargo_type")}
