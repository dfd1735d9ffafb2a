"""`figup item reserve-doi|private-link|embargo|publish`: commands that control who can see an item."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from uploader.cli.confirm import confirm
from uploader.cli.context import state_dir
from uploader.cli.item_views import fields, state
from uploader.cli.metadata_options import read_description
from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, check_exclusive, common_options
from uploader.cli.parameters import ITEM_ID, ParsedParam
from uploader.cli.runner import Session, on_item
from uploader.disk import Disk
from uploader.errors import ExitStatus
from uploader.figshare.ids import Reference
from uploader.figshare.models import ItemDetail
from uploader.items import release
from uploader.items.publishing import PublishIntents, publish_once
from uploader.metadata.description import embargo_body
from uploader.metadata.identifiers import date_of
from uploader.text import printable

if TYPE_CHECKING:
    from uploader.figshare.client import Figshare

EMBARGO_HELP = """\b
Examples:
  figup item embargo 1234567 --until 2030-01-01
  figup item embargo 1234567 --until permanent --scope item
  figup item embargo 1234567 --lift

"""
PUBLISH_HELP = """\b
Examples:
  figup item publish 1234567          asks first
  figup item publish 1234567 --yes    in a script

\b
Exit status: 0 published, or submitted to your institution's review;
1 if the item lacks metadata or you answered no.

"""
_ITEM = click.argument("item", metavar="ITEM", type=ITEM_ID)


def add_to(group: click.Group) -> None:
    """Make these commands part of `figup item`."""
    for command in (reserve_doi, private_link, embargo, publish):
        group.add_command(command)


@click.command("reserve-doi", cls=FigupCommand, epilog=ENVIRONMENT)
@_ITEM
@common_options
def reserve_doi(item: Reference, common: GlobalOptions) -> int:
    """Reserve the item's DOI and print it. Run again, it prints the same DOI."""

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        doi = await release.reserve_doi(api, found)
        session.console.event("doi", item_id=found.id, doi=doi)
        session.console.result(doi)
        return 0

    return on_item(common, item, work)


@click.command("private-link", cls=FigupCommand, epilog=ENVIRONMENT)
@_ITEM
@click.option("--expires", metavar="DATE", type=ParsedParam("date", date_of),
              help="Last day of a new link.  [default: Figshare's, one year]")  # fmt: skip
@click.option("--renew", is_flag=True, help="Replace an existing link; the old one stops working.")
@click.option("--remove", is_flag=True, help="Remove the link instead.")
@common_options
def private_link(item: Reference, expires: date | None, renew: bool, remove: bool, common: GlobalOptions) -> int:
    """Print the item's private link, creating it if needed.

    Anyone with the link can see the unpublished item.
    """
    check_exclusive({"--remove": remove, "--renew": renew})
    check_exclusive({"--remove": remove, "--expires": expires})
    until = f"{expires} 23:59:59" if expires is not None else None

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        if remove:
            links = await api.items.private_links(found.id)
            for link in links:
                await api.items.remove_private_link(found.id, link.id)
            session.console.event("private-link", item_id=found.id, private_link=None, removed=len(links))
            done = "Removed the private link of item {}." if links else "Item {} has no private link."
            session.console.result(done.format(found.id))
            return 0
        address = await release.private_link(api, found.id, expires=until, renew=renew or until is not None)
        session.console.event("private-link", item_id=found.id, private_link=address)
        session.console.result(address)
        return 0

    return on_item(common, item, work)


@click.command("embargo", cls=FigupCommand, epilog=EMBARGO_HELP + ENVIRONMENT)
@_ITEM
@click.option("--until", metavar="DATE|permanent", help="Last day of the embargo.")
@click.option("--scope", metavar="files|item", help="What is under embargo.  [default: files]")
@click.option("--title", metavar="T", help="Title shown instead of the files.")
@click.option("--reason", metavar="R", help="Reason shown with it.")
@click.option("--option", "options", metavar="ID", multiple=True, type=click.IntRange(min=1),
              help="Exemption for a group: id of an option of your institution; may be repeated.")  # fmt: skip
@click.option("--lift", is_flag=True, help="End the embargo instead.")
@common_options
def embargo(
    item: Reference,
    until: str | None,
    scope: str | None,
    title: str | None,
    reason: str | None,
    options: tuple[int, ...],
    lift: bool,
    common: GlobalOptions,
) -> int:
    """Set or lift an item's embargo.

    An item under full embargo becomes public at its end only if it has been published by then.
    """
    if lift == (until is not None):
        raise click.UsageError("either --until or --lift")
    given = {"until": until, "scope": scope, "title": title, "reason": reason, "options": list(options) or None}

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        if lift:
            await api.items.lift_embargo(found.id)
        else:
            description = await read_description(session, given={"embargo": given})
            if description.metadata.embargo is not None:
                await api.items.set_embargo(found.id, embargo_body(description.metadata.embargo))
        now = await api.items.detail(found.id)
        session.console.event("embargo", **fields(now))
        words = f"is under embargo until {until}" if now.embargo is not None else "is not under embargo"
        session.console.result(f"Item {found.id} {printable(words)}.")
        return 0

    return on_item(common, item, work)


@click.command("publish", cls=FigupCommand, epilog=PUBLISH_HELP + ENVIRONMENT)
@_ITEM
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@common_options
def publish(item: Reference, yes: bool, common: GlobalOptions) -> int:
    """Publish an item in its current state. Asks first: a public item cannot be deleted.

    This creates a new public version, unless nothing has changed since the last one. A version under embargo does not
    show its files, so an item under embargo gets a new one each time. A command that was interrupted is finished by the
    next one.
    """

    async def work(session: Session, api: Figshare, found: ItemDetail) -> int:
        async def agree(now: ItemDetail) -> bool:
            question = f'Publish item {now.id}, "{printable(now.title)}"? This cannot be undone.'
            return await confirm(session, question, yes=yes)

        intents = PublishIntents(state_dir(common) / "publishing", Disk(), api.endpoint)
        published = await publish_once(api, found, intents, agree)
        if published is None:
            return ExitStatus.SOME_FAILED
        now, was_published = published
        summary = session.summary
        summary.doi, summary.published = now.doi or None, release.visibility(now)
        summary.public_url = now.public_url or None if summary.published == "public" else None
        session.console.event("published", **fields(now))
        page = now.public_url or now.url
        since = "; nothing has changed since" if was_published else ""
        session.console.result(f"Item {now.id} is {state(now)}{since}.{f' {page}' if page else ''}")
        if now.doi:
            session.console.result(f"DOI: {printable(now.doi)}")
        return 0

    return on_item(common, item, work)
