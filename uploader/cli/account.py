"""`figup account`: accounts of an institution and their roles, for its administrators."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uploader import units
from uploader.catalog.names import find_group
from uploader.cli.confirm import confirm
from uploader.cli.errors import failure_of
from uploader.cli.options import (
    ENVIRONMENT,
    CommandGroup,
    FigupCommand,
    GlobalOptions,
    check_exclusive,
    common_options,
)
from uploader.cli.output.record_lines import account_line
from uploader.cli.parameters import LocalPath
from uploader.cli.runner import Session, on_figshare
from uploader.cli.transfer_options import request_options
from uploader.concurrency import in_thread
from uploader.errors import AccountNotFound, ExitStatus, MetadataInvalid, NameNotFound, UsageError
from uploader.figshare.ids import is_number
from uploader.metadata import identifiers
from uploader.system import path_error
from uploader.text import did_you_mean, plain, printable
from uploader.transfer.options import RequestOptions

if TYPE_CHECKING:
    from uploader.catalog.accounts import NewAccount
    from uploader.figshare.client import Figshare
    from uploader.figshare.records import AccountRecord, Role

CREATE_HELP = """\b
Examples:
  figup account create --email jane@example.org --last-name Doe
  figup account create --from users.csv

\b
users.csv has a header and the columns email, last_name, and optionally
first_name, group (name or id), quota (20G) and institution_user_id. All of it
is checked first. Run again, it creates only what is missing. Accounts
that come from a feed or single sign-on should be created there.

"""
_WHO = click.argument("who", metavar="ACCOUNT")


@click.group("account", cls=CommandGroup)
def account() -> None:
    """Administer the accounts of your institution.

    ACCOUNT is an id or an e-mail address.
    """


@account.command("list", cls=FigupCommand, epilog=ENVIRONMENT)
@click.option("--inactive", is_flag=True, help="Only accounts that are not active.")
@request_options
@common_options
def list_(inactive: bool, requests: RequestOptions, common: GlobalOptions) -> int:
    """List all accounts: id, state, used space, e-mail, name.

    `figup report accounts` writes them to a file, as a table.
    """

    async def work(session: Session, api: Figshare) -> int:
        async for one in api.accounts.all(active=False if inactive else None):
            session.console.event("account", record=one.raw)
            session.console.result(account_line(one))
        return ExitStatus.OK

    return on_figshare(common, work, requests=requests)


@account.command("show", cls=FigupCommand, epilog=ENVIRONMENT)
@_WHO
@common_options
def show(who: str, common: GlobalOptions) -> int:
    """Show an account."""

    async def work(session: Session, api: Figshare) -> int:
        one = await _account(api, who)
        session.console.event("account", record=one.raw)
        session.console.result(_card(one))
        return ExitStatus.OK

    return on_figshare(common, work)


@account.command("create", cls=FigupCommand, epilog=CREATE_HELP + ENVIRONMENT)
@click.option("--email", metavar="E", help="E-mail address.")
@click.option("--last-name", metavar="L", help="Last name.")
@click.option("--first-name", metavar="F", help="First name.")
@click.option("--group", metavar="NAME|ID", help="Group.  [default: the institution's own]")
@click.option("--quota", metavar="SIZE", help="Quota, such as 20G.  [default: the institution's]")
@click.option("--institution-user-id", metavar="ID", help="Id in the institution's systems; no mail is sent then.")
@click.option("--from", "table", metavar="FILE", type=LocalPath(path_type=Path, readable=False),
              help="Create all accounts of a CSV file.")  # fmt: skip
@request_options
@common_options
def create(table: Path | None, requests: RequestOptions, common: GlobalOptions, **values: str | None) -> int:
    """Create accounts that do not exist yet.

    The id and e-mail address of each are printed. Figshare sends a mail to a new account, unless it has an institution
    user id.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if table is not None and given:
        raise click.UsageError(f"--{next(iter(given)).replace('_', '-')} and --from are mutually exclusive")
    if table is None and not {"email", "last_name"} <= given.keys():
        raise click.UsageError("an account needs --email and --last-name; or give --from FILE")

    async def work(session: Session, api: Figshare) -> int:
        from uploader.catalog.accounts import create_accounts

        counts = {"created": 0, "exists": 0, "failed": 0}
        async for one in create_accounts(api, await _new_accounts(api, table, given)):
            counts[one.status] += 1
            error = failure_of(one.error, repeated=common.repeated) if one.error is not None else None
            session.console.event(
                "account-created", account_id=one.account_id, email=one.email, status=one.status,
                error=error.fields() if error is not None else None,
            )  # fmt: skip
            reason = f": {error.message}" if error is not None else ""
            session.console.result(printable(f"{one.account_id or '-':>10}  {one.status:<7}  {one.email}{reason}"))
        session.summary.records = {**counts}
        return ExitStatus.SOME_FAILED if counts["failed"] else ExitStatus.OK

    return on_figshare(common, work, requests=requests)


async def _new_accounts(api: Figshare, table: Path | None, given: dict[str, str]) -> list[NewAccount]:
    """Return the checked accounts to create. Raises UsageError, MetadataInvalid."""
    from uploader.catalog.accounts import new_account, read_accounts

    groups = await api.items.groups()
    if table is None:
        try:
            return [new_account(given, groups)]
        except ValueError as error:
            raise UsageError(str(error)) from None

    def read() -> str:
        try:
            return table.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise MetadataInvalid(f"{table} is not UTF-8", hint="Save it as CSV UTF-8.", path=str(table)) from None
        except OSError as fault:
            raise path_error(fault, str(table)) from None

    return read_accounts(await in_thread(read), str(table), groups)


@account.command("update", cls=FigupCommand, epilog=ENVIRONMENT)
@_WHO
@click.option("--group", metavar="NAME|ID", help="Move it to this group.")
@click.option("--activate", is_flag=True, help="Allow it to log in again.")
@click.option("--deactivate", is_flag=True, help="Prevent it from logging in; asks first.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@common_options
def update(who: str, group: str | None, activate: bool, deactivate: bool, yes: bool, common: GlobalOptions) -> int:
    """Change the group or the state of an account.

    Nothing else can be changed.
    """
    check_exclusive({"--activate": activate, "--deactivate": deactivate})
    if group is None and not activate and not deactivate:
        raise click.UsageError("nothing to change: give --group, --activate or --deactivate")

    async def work(session: Session, api: Figshare) -> int:
        one = await _account(api, who)
        wanted = find_group(group, await api.items.groups()).id if group is not None else one.group_id
        if wanted is None:
            raise UsageError(f"Figshare does not report the group of account {one.id}", hint="Add --group.")
        active = activate or (one.active and not deactivate)
        if one.institution_user_id:
            session.console.note(f"account {one.id} comes from a feed, which may undo this")
        if (
            deactivate
            and one.active
            and not await confirm(session, f"Deactivate account {one.id}, {printable(one.email)}?", yes=yes)
        ):
            return ExitStatus.SOME_FAILED
        await api.accounts.update(one.id, group_id=wanted, active=active)
        now = await api.accounts.account(one.id)
        session.console.event("account", record=now.raw)
        session.console.result(_card(now))
        return ExitStatus.OK

    return on_figshare(common, work)


@account.command("roles", cls=FigupCommand, epilog=ENVIRONMENT)
@_WHO
@click.option("--add", metavar="ROLE", help="Add this role, by name or id, in --group.")
@click.option("--remove", metavar="ROLE", help="Remove this role in --group.")
@click.option("--group", metavar="NAME|ID", help="The group of the role.")
@common_options
def roles(who: str, add: str | None, remove: str | None, group: str | None, common: GlobalOptions) -> int:
    """Show the roles of an account by group, or change them."""
    check_exclusive({"--add": add, "--remove": remove})
    if (add is not None or remove is not None) != (group is not None):
        raise click.UsageError("--add and --remove need --group, and --group one of them")

    async def work(session: Session, api: Figshare) -> int:
        one, groups = await _account(api, who), await api.items.groups()
        if group is not None:
            role, where = _role(await api.accounts.roles(), add or remove or ""), find_group(group, groups)
            change = api.accounts.add_role if add is not None else api.accounts.remove_role
            await change(one.id, where.id, role.id)
        names = {known.id: known.name for known in groups}
        for number, granted in sorted((await api.accounts.roles_of(one.id)).items()):
            for role in granted:
                name = names.get(number, "")
                session.console.event(
                    "role", account_id=one.id, group_id=number, group=name, role_id=role.id, role=role.name
                )
                session.console.result(printable(f"{number:>10}  {name or '?'}: {role.name} ({role.id})"))
        return ExitStatus.OK

    return on_figshare(common, work)


async def _account(api: Figshare, who: str) -> AccountRecord:
    """Return an account by id or e-mail address. Raises UsageError, AccountNotFound."""
    if is_number(who):
        return await api.accounts.account(int(who))
    try:
        email = identifiers.email(who)
    except ValueError:
        raise UsageError(f"{who!r} is neither the id nor the e-mail address of an account") from None
    found = await api.accounts.with_email(email)
    if not found:
        raise AccountNotFound(f"the institution has no account {email}", hint="Check the address.")
    return await api.accounts.account(found[0].id)


def _role(known: list[Role], name: str) -> Role:
    found = [one for one in known if name == str(one.id) or plain(name) == plain(one.name)]
    if not found:
        names = [one.name for one in known]
        raise NameNotFound(f"unknown role {name!r}", hint=did_you_mean(name, names, f"Known: {', '.join(names)}."))
    return found[0]


def _card(one: AccountRecord) -> str:
    used = units.format_bytes(one.used_quota) if one.used_quota is not None else ""
    quota = units.format_bytes(one.quota) if one.quota is not None else ""
    rows = [
        ("account", f"{one.id}  {'active' if one.active else 'inactive'}"),
        ("e-mail", one.email),
        ("author", str(one.author_id or "")),
        ("orcid", one.orcid),
        ("group", str(one.group_id or "")),
        ("used", f"{used} of {quota}" if used and quota else used or quota),
        ("feed id", one.institution_user_id),
    ]
    return "\n".join([printable(one.name), *(f"  {name:<11} {printable(text)}" for name, text in rows if text)])
