"""Accounts are checked before the first is created, and created once, whatever becomes of the answers."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from tests.fakes.clock import VirtualClock
from uploader.catalog.accounts import NewAccount, create_accounts, new_account, read_accounts
from uploader.errors import MetadataInvalid, RequestRejected, ServerFailing
from uploader.figshare.models import Group
from uploader.figshare.outcomes import AmbiguousAnswer
from uploader.figshare.records import AccountRecord

GROUPS = [Group(id=2100, name="All"), Group(id=2102, name="Library", parent_id=2100)]
ROWS = [NewAccount(email=f"{name}@b.org", last_name="Bee", group=2102) for name in "abc"]


class Institution:
    """Accounts in memory. `faults` are what becomes of creations, in order: lost before or after, or an error."""

    def __init__(self, *faults: str | Exception) -> None:
        self.clock = VirtualClock()
        self.stored: dict[int, Mapping[str, object]] = {}
        self.faults = list(faults)
        self.asked: list[str] = []
        self._ids = itertools.count(1)

    @property
    def accounts(self) -> Institution:
        return self

    async def wait(self, reason: str, delay: float) -> None:
        await self.clock.sleep(delay)

    async def all(self) -> AsyncIterator[AccountRecord]:
        self.asked.append("all")
        for number, fields in self.stored.items():
            yield AccountRecord(id=number, email=str(fields["email"]))

    async def with_email(self, email: str) -> list[AccountRecord]:
        self.asked.append(f"? {email}")
        return [one async for one in self.all() if one.email.casefold() == email.casefold()]

    async def create(self, fields: Mapping[str, object]) -> int:
        fault = self.faults.pop(0) if self.faults else ""
        self.asked.append(f"+ {fields['email']}")
        if isinstance(fault, Exception):
            raise fault
        if fault == "before":
            raise AmbiguousAnswer("lost")
        number = next(self._ids)
        self.stored[number] = fields
        if fault == "after":
            raise AmbiguousAnswer("lost")
        return number


async def create(api: Institution, rows: Sequence[NewAccount] = ROWS) -> list[tuple[str, str]]:
    return [(one.email[0], one.status) async for one in create_accounts(api, rows)]  # type: ignore[arg-type]


@pytest.mark.parametrize("faults", list(itertools.product(["", "before", "after"], repeat=3)), ids="-".join)
async def test_no_account_is_created_twice(faults: tuple[str, ...]) -> None:
    api = Institution(*faults)
    if faults == ("before",) * 3:
        with pytest.raises(ServerFailing):
            await create(api)
    assert await create(api) == [("a", "created"), ("b", "created"), ("c", "created")]
    assert [fields["email"] for fields in api.stored.values()] == ["a@b.org", "b@b.org", "c@b.org"]
    assert await create(api) == [("a", "exists"), ("b", "exists"), ("c", "exists")]
    assert len(api.stored) == 3


async def test_one_refusal_does_not_stop_the_others_and_a_failing_service_does() -> None:
    api = Institution("", RequestRejected("no such group"))
    assert await create(api) == [("a", "created"), ("b", "failed"), ("c", "created")]
    api = Institution("", ServerFailing("down"))
    with pytest.raises(ServerFailing):
        await create(api)
    assert await create(api) == [("a", "exists"), ("b", "created"), ("c", "created")]


async def test_many_accounts_are_compared_with_one_list() -> None:
    api = Institution()
    many = [NewAccount(email=f"{no}@b.org", last_name="Bee") for no in range(30)]
    await create(api, many)
    assert api.asked[0] == "all"
    assert not [one for one in api.asked if one.startswith("?")]


def test_a_table_is_read_as_spreadsheets_write_it() -> None:
    header = "\ufeffE-Mail;Last Name;First name;Group;Quota;institution user id\r\n"
    (one,) = read_accounts(f"{header}a@b.org;Bee;Ann;library;20G;77;;\r\n;;;;;\r\n", "users.csv", GROUPS)
    assert one == NewAccount(
        email="a@b.org", last_name="Bee", first_name="Ann", group=2102, quota=20_000_000_000, institution_user_id="77"
    )
    assert one.body()["group_id"] == 2102
    given = {"email": "a@b.org", "last_name": "Bee"}
    assert new_account(given, GROUPS).body() == given


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'email'"),
        ("email,last_name\n", "has no accounts"),
        ("email\na@b.org\n", "no column 'last_name'"),
        ("email,last_name,colour\na@b.org,X,red\n", "unknown column 'colour'"),
        ("email,email,last_name\na@b.org,a@b.org,X\n", "a column occurs twice"),
        ("email,last_name\na@b.org,\n", "line 2: a@b.org has no last name"),
        ("email,last_name,quota\na@b.org,X,much\n", "line 2: invalid size 'much'"),
        ("email,last_name,group\na@b.org,X,7\n", "line 2: unknown group 7"),
        (f"email,last_name\na@b.org,{'x' * 256}\n", "have more than 255 characters"),
        ('email,last_name\na@b.org,"X\n', "unexpected end of data"),
        ("email,last_name\na@b.org,Bee, PhD\n", "line 2: more values than columns"),
    ],
    ids=["nothing", "header", "column", "unknown", "twice", "name", "quota", "group", "length", "quote", "comma"],
)
def test_all_mistakes_of_a_table_are_reported(text: str, message: str) -> None:
    with pytest.raises(MetadataInvalid) as caught:
        read_accounts(text, "users.csv", GROUPS)
    assert message in "\n".join(map(str, (caught.value, *caught.value.causes)))
