"""Requests of an institution's administrators about its accounts and their roles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import NoReturn
from urllib.parse import urlencode

import msgspec

from uploader.errors import AccountNotFound, ProtocolViolation
from uploader.figshare.decode import parse_json
from uploader.figshare.models import PAGE, Id
from uploader.figshare.outcomes import AmbiguousAnswer
from uploader.figshare.pipeline import Pipeline
from uploader.figshare.records import AccountRecord, Role
from uploader.figshare.responses import ResponseSpec, done_spec, ignore_missing, list_spec, object_spec
from uploader.figshare.transport import Response

_BASE = "/account/institution"


class _NewAccount(msgspec.Struct, frozen=True, kw_only=True):
    account_id: Id


class Accounts:
    """Requests about accounts; all but `own` are for administrators.

    Any may raise PermissionDenied, RequestRejected, and what all requests raise.
    """

    def __init__(self, calls: Pipeline) -> None:
        self._calls = calls

    async def own(self) -> AccountRecord:
        """Return the token's account. Raises TokenRejected."""
        return await self._calls.api("GET", "/account", object_spec(AccountRecord, "the account", checks_token=True))

    async def all(self, *, active: bool | None = None) -> AsyncIterator[AccountRecord]:
        """Yield every account, by id. Paging ends at 9,000 (observed), so each page begins after the last id."""
        first = 0
        while True:
            criteria = {"id_gte": first, "page": 1, "page_size": PAGE}
            criteria |= {} if active is None else {"is_active": int(active)}
            page = await self._list(criteria)
            new = [one for one in page if one.id >= first]
            if len(new) < len(page):
                raise ProtocolViolation("Figshare ignores the page number in the list of accounts")
            for one in new:
                yield one
            if len(page) < PAGE:
                return
            first = max(one.id for one in page) + 1

    async def with_email(self, email: str) -> list[AccountRecord]:
        """Return the accounts with this e-mail address, in any case."""
        found = await self._list({"email": email, "page": 1, "page_size": PAGE})
        return [one for one in found if one.email.casefold() == email.casefold()]

    async def _list(self, criteria: Mapping[str, str | int]) -> list[AccountRecord]:
        spec = list_spec(AccountRecord, "the list of accounts")
        return await self._calls.api("GET", f"{_BASE}/accounts?{urlencode(criteria)}", spec)

    async def account(self, account_id: int) -> AccountRecord:
        """Return an account in full. Raises AccountNotFound."""
        spec = object_spec(AccountRecord, f"account {account_id}", on_not_found=_missing(account_id))
        return await self._calls.api("GET", f"{_BASE}/accounts/{account_id}", spec)

    async def create(self, fields: Mapping[str, object]) -> int:
        """Create an account; return its id. `fields` as documented for AccountCreate. Raises AmbiguousAnswer."""
        spec = ResponseSpec(resource="the new account", parse=_created, accepts="anything")
        return await self._calls.api("POST", f"{_BASE}/accounts", spec, body=fields, creating=True)

    async def update(self, account_id: int, *, group_id: int, active: bool) -> None:
        """Set group and state: both are needed, and nothing else can be set (documented). Raises AccountNotFound."""
        spec = done_spec(f"account {account_id}", on_not_found=_missing(account_id))
        body = {"group_id": group_id, "is_active": active}
        await self._calls.api("PUT", f"{_BASE}/accounts/{account_id}", spec, body=body)

    async def roles(self) -> list[Role]:
        """Return the roles that accounts can have."""
        return await self._calls.api("GET", f"{_BASE}/roles", list_spec(Role, "the list of roles"))

    async def roles_of(self, account_id: int) -> dict[int, list[Role]]:
        """Return an account's roles by group. Raises AccountNotFound."""
        spec = ResponseSpec(
            resource=f"the roles of account {account_id}", parse=_roles_by_group, on_not_found=_missing(account_id)
        )
        return await self._calls.api("GET", f"{_BASE}/roles/{account_id}", spec)

    async def add_role(self, account_id: int, group_id: int, role_id: int) -> None:
        """Give an account a role in a group; succeeds if it has it. Raises AccountNotFound."""
        spec = done_spec(f"account {account_id}", on_not_found=_missing(account_id))
        # Adding is idempotent, so a lost answer is repeated.
        await self._calls.api("POST", f"{_BASE}/roles/{account_id}", spec, body={str(group_id): [role_id]})

    async def remove_role(self, account_id: int, group_id: int, role_id: int) -> None:
        """Take a role in a group from an account; succeeds if it does not have it."""
        spec = done_spec(f"account {account_id}", on_not_found=ignore_missing)
        await self._calls.api("DELETE", f"{_BASE}/roles/{account_id}/{group_id}/{role_id}", spec)


def _created(answer: Response) -> int:
    try:
        return msgspec.convert(parse_json(answer.body), _NewAccount, strict=False).account_id
    except (ValueError, msgspec.ValidationError):
        raise AmbiguousAnswer(f"Figshare answered {answer.status} without an id") from None


def _roles_by_group(answer: Response) -> dict[int, list[Role]]:
    """Parse roles, documented as `{"2": [{"category": "group", "id": 7, "name": "User"}]}`; the keys are groups."""
    value = parse_json(answer.body)
    try:
        return msgspec.convert(value, dict[int, list[Role]], strict=False)
    except msgspec.ValidationError:
        raise ProtocolViolation("unexpected response from Figshare for the roles of an account") from None


def _missing(account_id: int) -> Callable[[], NoReturn]:
    def missing() -> NoReturn:
        raise AccountNotFound(
            f"the institution has no account {account_id}",
            hint="Check the number: it is the id of an account, not that of an author.",
        )

    return missing
