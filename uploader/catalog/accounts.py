"""Create accounts of an institution: a list is checked whole before the first is created, and none is created twice.

What identifies an account is its e-mail address: it is looked up before each creation and after each lost answer, so
that the same list run again creates what is missing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from uploader.errors import FigupError, MetadataInvalid, PermissionDenied, TransientError
from uploader.figshare.models import Group
from uploader.figshare.records import AccountRecord
from uploader.items.reconcile import confirm
from uploader.items.service import ItemService
from uploader.metadata import identifiers
from uploader.metadata.resolve import UnknownName, choose_group
from uploader.text import did_you_mean, plain
from uploader.units import parse_size

MAX_NAMES = 255
"""Characters of both names together (documented)."""
COLUMNS = ("email", "last_name", "first_name", "group", "quota", "institution_user_id")
_ALIASES = {"mail": "email", "emailaddress": "email", "surname": "last_name", "familyname": "last_name",
            "givenname": "first_name", "groupid": "group", "groupname": "group"}  # fmt: skip
_LOOKED_UP_SINGLY = 20
"""Maximum number of accounts that are looked up one by one; for more, the list of all is read."""


@dataclass(frozen=True, kw_only=True)
class NewAccount:
    """An account to be created. `group` is an id; `quota` is bytes. None: Figshare's own choice."""

    email: str
    last_name: str
    first_name: str = ""
    group: int | None = None
    quota: int | None = None
    institution_user_id: str = ""

    def body(self) -> dict[str, object]:
        """Return the fields as documented for AccountCreate."""
        fields: dict[str, object] = {
            "email": self.email, "last_name": self.last_name, "first_name": self.first_name, "group_id": self.group,
            "quota": self.quota, "institution_user_id": self.institution_user_id,
        }  # fmt: skip
        return {name: value for name, value in fields.items() if value not in (None, "")}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome for one account. `account_id` is None if it failed, `error` why."""

    email: str
    status: Literal["created", "exists", "failed"]
    account_id: int | None = None
    error: FigupError | None = None


class AccountRequests(Protocol):
    """Requests about accounts; `uploader.figshare.accounts_api.Accounts` has them."""

    def all(self) -> AsyncIterator[AccountRecord]: ...
    async def with_email(self, email: str) -> list[AccountRecord]: ...
    async def create(self, fields: Mapping[str, object]) -> int: ...


class AccountService(ItemService, Protocol):
    """A session with Figshare, as far as accounts are created with it."""

    @property
    def accounts(self) -> AccountRequests: ...


def read_accounts(text: str, name: str, groups: Sequence[Group]) -> list[NewAccount]:
    """Parse and check a list of accounts (CSV with a header). Raises MetadataInvalid with all problems in `causes`."""
    try:
        dialect: type[csv.Dialect] | str = csv.Sniffer().sniff(text.partition("\n")[0], ",;\t")
    except csv.Error:
        dialect = "excel"
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), dialect, strict=True)
    problems: list[FigupError] = []
    accounts: list[NewAccount] = []
    first_lines: dict[str, int] = {}
    try:
        header = _columns(next(reader, []), name)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            line = reader.line_num
            try:
                account = new_account(_values(header, cells), groups)
            except ValueError as error:
                problems.append(MetadataInvalid(f"{name}: line {line}: {error}", line=line, path=name))
                continue
            before = first_lines.setdefault(account.email.casefold(), line)
            if before != line:
                message = f"{name}: line {line}: {account.email} is already in line {before}"
                problems.append(MetadataInvalid(message, line=line, path=name))
            accounts.append(account)
    except csv.Error as error:
        problems.append(MetadataInvalid(f"{name}: line {reader.line_num}: {error}", line=reader.line_num, path=name))
    if problems:
        raise MetadataInvalid(f"{name}: {len(problems)} of its lines are invalid", causes=problems, path=name)
    if not accounts:
        raise MetadataInvalid(f"{name} has no accounts", path=name)
    return accounts


def _columns(header: Sequence[str], name: str) -> list[str]:
    known = {plain(one): one for one in COLUMNS} | _ALIASES
    found = [known.get(plain(cell), "") for cell in header]
    unknown = [cell for cell, one in zip(header, found, strict=True) if not one]
    if unknown:
        hint = did_you_mean(unknown[0], COLUMNS, f"Known columns: {', '.join(COLUMNS)}.")
        raise MetadataInvalid(f"{name}: line 1: unknown column {unknown[0]!r}", hint=hint, line=1, path=name)
    lacking = [one for one in ("email", "last_name") if one not in found]
    if lacking or len(set(found)) < len(found):
        problem = f"no column {lacking[0]!r}" if lacking else "a column occurs twice"
        raise MetadataInvalid(f"{name}: line 1: {problem}", line=1, path=name)
    return found


def _values(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Return the values of a line by column. Raises ValueError for more than the header names."""
    values = [cell.strip() for cell in cells]
    if any(values[len(header) :]):
        raise ValueError("more values than columns; those with a separator in them need quotes")
    return dict(zip(header, values, strict=False))


def new_account(values: Mapping[str, str], groups: Sequence[Group]) -> NewAccount:
    """Check the values of one account, by column. Raises ValueError."""
    email = identifiers.email(values.get("email", ""))
    last, first = values.get("last_name", ""), values.get("first_name", "")
    if not last:
        raise ValueError(f"{email} has no last name")
    if len(first) + len(last) > MAX_NAMES:
        raise ValueError(f"the names of {email} have more than {MAX_NAMES} characters")
    return NewAccount(
        email=email,
        last_name=last,
        first_name=first,
        group=_group(values["group"], groups) if values.get("group") else None,
        quota=parse_size(values["quota"]) if values.get("quota") else None,
        institution_user_id=values.get("institution_user_id", ""),
    )


def _group(name: str, groups: Sequence[Group]) -> int:
    if name.isascii() and name.isdecimal():
        known = next((one.id for one in groups if str(one.id) == name.lstrip("0")), None)
        if known is not None:
            return known
        raise ValueError(f"unknown group {name}")
    try:
        return choose_group(name, list(groups)).id
    except UnknownName as unknown:
        raise ValueError(" ".join(filter(None, (f"{unknown.message}.", unknown.hint))).rstrip(".")) from None


async def create_accounts(api: AccountService, accounts: Sequence[NewAccount]) -> AsyncIterator[Outcome]:
    """Create the accounts that do not exist, and yield the outcome of each, in order.

    Raises TransientError and PermissionDenied, after which the same call continues.
    """
    known = await _known(api, accounts)
    for one in accounts:
        if (there := known.get(one.email.casefold())) is not None:
            yield Outcome(email=one.email, status="exists", account_id=there.id)
            continue
        try:
            number = await confirm(api, _creation(api, one), _lookup(api, one.email), f"creating {one.email}")
        except (TransientError, PermissionDenied):
            raise
        except FigupError as error:
            yield Outcome(email=one.email, status="failed", error=error)
        else:
            yield Outcome(email=one.email, status="created", account_id=number)


async def _known(api: AccountService, accounts: Sequence[NewAccount]) -> dict[str, AccountRecord]:
    if len(accounts) <= _LOOKED_UP_SINGLY:
        found: Iterable[AccountRecord] = [row for one in accounts for row in await api.accounts.with_email(one.email)]
    else:
        found = [row async for row in api.accounts.all()]
    return {row.email.casefold(): row for row in found}


def _creation(api: AccountService, account: NewAccount) -> Callable[[], Awaitable[int]]:
    return lambda: api.accounts.create(account.body())


def _lookup(api: AccountService, email: str) -> Callable[[], Awaitable[int | None]]:
    async def check() -> int | None:
        return next((one.id for one in await api.accounts.with_email(email)), None)

    return check
