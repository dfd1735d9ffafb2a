"""An in-memory Figshare that satisfies `uploader.transfer.run.service.Service`, with scripted failures.

Each request has three stages: the scripted fault, if any; the effect; the response. A fault can occur before or after
the effect. Requests and their order are in `log`.
"""

from __future__ import annotations

import copy
import enum
import hashlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeVar

import anyio.lowlevel

from uploader.clock import Clock
from uploader.errors import FigupError, ItemNotFound, ProjectNotFound, RequestRejected, ServerFailing, Unreachable
from uploader.figshare.ids import Kind
from uploader.figshare.models import (
    PAGE,
    Account,
    Author,
    Category,
    CustomField,
    Embargo,
    File,
    Grant,
    Group,
    Item,
    ItemDetail,
    ItemRow,
    License,
    Part,
    PrivateLink,
    Project,
    Upload,
)
from uploader.figshare.outcomes import AmbiguousAnswer, FileGone, Outcome, PartFailed, PartLocked, UploadGone
from uploader.figshare.ratelimit import OnTurn
from uploader.figshare.records import INSTITUTION_ITEMS, Listing, Page, Record
from uploader.figshare.retry import poll

T = TypeVar("T")

PART_SIZE = 64
VISIBLE_WITHIN = 30.0
"""Seconds for which the session waits for a file that was just created."""
THROTTLED_FOR = 2.0
"""Seconds until a throttled request is repeated."""
CREATING = frozenset(
    {"create", "initiate", "link", "complete", "publish", "create_private_link", "add_authors", "add_categories"}
)
"""Requests with an ambiguous outcome after a lost response; others are repeated by the session until it gives up."""


class Killed(BaseException):
    """The process was killed here."""


class Fault(enum.Enum):
    """A fault of one request."""

    LOST_BEFORE = "lost before its effect"
    LOST_AFTER = "lost after its effect"
    TRANSIENT = "transient error"
    THROTTLED = "throttled and repeated"
    REJECTED = "rejected"
    KILLED_BEFORE = "process killed before its effect"
    KILLED_AFTER = "process killed after its effect"


READING = frozenset(
    {"files", "item", "file", "upload", "part", "own_items", "detail", "authors", "private_links"}
    | {"public_detail", "public_files"}
)
"""Requests that only show what is stored; a replica may answer them with what was stored earlier."""
BEFORE = frozenset({Fault.LOST_BEFORE, Fault.TRANSIENT, Fault.REJECTED, Fault.KILLED_BEFORE})


@dataclass
class StoredFile:
    """A file as Figshare holds it. `visible_at` and `md5_at` are the clock's seconds."""

    id: int
    name: str
    size: int
    folder: str = ""
    link: str | None = None
    supplied_md5: str | None = None
    status: str = "created"
    upload_status: Literal["pending", "completed", "aborted"] = "pending"
    parts: dict[int, bytes] = field(default_factory=dict)
    locked: set[int] = field(default_factory=set)
    corrupt: bool = False
    visible_at: float = 0.0
    md5_at: float = 0.0

    @property
    def content(self) -> bytes:
        """The bytes sent so far."""
        return b"".join(self.parts[no] for no in sorted(self.parts))

    @property
    def md5(self) -> str:
        """The MD5 that Figshare computes."""
        return hashlib.md5(self.content + b"!" * self.corrupt, usedforsecurity=False).hexdigest()


@dataclass
class StoredItem:
    """An item as Figshare holds it."""

    id: int
    title: str
    created: datetime
    visible_at: float
    project: int | None = None
    owner: int = 1
    files: dict[int, StoredFile] = field(default_factory=dict)
    fields: dict[str, object] = field(default_factory=dict)
    authors: list[Author] = field(default_factory=list)
    links: list[PrivateLink] = field(default_factory=list)
    version: int = 0
    versions: dict[int, StoredItem] = field(default_factory=dict)
    """The published versions, as the item was then."""
    doi: str = ""
    embargo: Embargo | None = None
    curation_status: str = ""
    modified: datetime | None = None
    """When it was changed last, None if never."""

    def change(self, now: datetime) -> None:
        """Note a change; no two have the same time."""
        self.modified = max(now, (self.modified or self.created) + timedelta(seconds=1))


class FakeFigshare:
    """Figshare, as one account sees it. Settings are plain attributes; faults are scripted with `fail`."""

    def __init__(self, clock: Clock) -> None:
        self.endpoint = "https://figshare.example"
        self.stored_items: dict[int, StoredItem] = {}
        self.log: list[str] = []
        self.files_lag = 0.0
        """Seconds until a new file shows in listings and can be read."""
        self.created_skew = timedelta(0)
        """Seconds by which the clock that stamps new items is ahead of the one that dates responses."""
        self.items_lag = 0.0
        """Seconds until a new item shows in the list of items."""
        self.folders_in_names = False
        """True: a file in a folder is called "set/a.bin", and the item has no folder structure."""
        self.md5_delay = 0.0
        """Seconds from completing a file until its MD5 is known."""
        self.publish_lag = 0.0
        """Seconds until a request to publish has its effect."""
        self.reviews = False
        """Whether publishing waits for a curator."""
        self.account_id = 1
        """The account of the token."""
        self.shared = True
        """Whether other accounts can read and change an account's items, as those of a project."""
        self.quota: int | None = None
        self.institution_id: int | None = None
        self.institution_rows: list[Record] = []
        """Items of other accounts of the institution, which its administrator can list."""
        self.resent_parts: list[tuple[int, int]] = []
        """(file id, part number) of parts that were sent again although they were complete."""
        self.on_request: dict[str, Callable[[str], None]] = {}
        """Request name → function called after such a request succeeded."""
        self.gate: Callable[[str], Awaitable[None]] = _pass
        """Awaited with each request's name before it is made: it decides when."""
        self.on_killed: Callable[[], None] = lambda: None
        self.on_retry: Callable[[str, float], None] = lambda *_: None
        self.idle, self.waiting, self.answered = True, 0, 0.0
        self.request_rate: float | None = None
        self.requests = 0
        self.items = FakeItems(self)
        self.records = FakeRecords(self)
        self.clock = clock
        self.ids = itertools.count(100)
        self._to_publish: list[tuple[float, StoredItem]] = []
        self._counts: Counter[str] = Counter()
        self._aged: tuple[str, int, int] | None = None
        self._earlier: list[dict[int, StoredItem]] = []
        """The stored state before each request, while a stale response is scripted."""
        self._script: list[tuple[str, range, Fault | Exception]] = []
        self.files_shown = 1000
        """Files that an item's own response shows; Figshare documents 10."""
        self.behind: Callable[[str], float] | None = None
        """Seconds by which the copy of the data is behind that answers a reading request; None: there are no copies."""
        self.copies: list[tuple[float, dict[int, StoredItem]]] = []
        """When a request changed something, and what was stored before it; with `behind` only."""

    # --- what tests do --------------------------------------------------------------------------------------------

    def fail(self, request: str, fault: Fault | Exception, *, first: int = 1, times: int = 1) -> None:
        """Let a request fail from its next occurrence number `first` on, `times` times. An Exception has no effect."""
        start = self._counts[request] + first
        self._script.append((request, range(start, start + times), fault))

    def age(self, request: str, requests: int, *, first: int = 1) -> None:
        """Answer the reading request with occurrence `first` once with the state of that many requests before."""
        self._aged = (request, self._counts[request] + first, requests)

    def clear_faults(self) -> None:
        """Forget all scripted faults."""
        self._script.clear()
        self._aged = None

    def add_item(self, title: str = "theirs", *, project: int | None = None) -> StoredItem:
        """An item, visible at once."""
        item = StoredItem(next(self.ids), title, self.clock.now(), self.clock.monotonic(), project, self.account_id)
        item.authors.append(Author(id=1, full_name="The Owner"))
        self.stored_items[item.id] = item
        return item

    def add_file(self, item: StoredItem, name: str, content: bytes, *, status: str = "available") -> StoredFile:
        """A file, visible at once; with status "created" an unfinished one without parts."""
        file = StoredFile(next(self.ids), name, len(content), status=status)
        if status != "created":
            file.upload_status = "completed"
            file.parts = {part.no: content[part.start : part.end + 1] for part in self._parts(file)}
        item.files[file.id] = file
        return file

    def find(self, file_id: int) -> StoredFile:
        """A file by its id, visible or not."""
        return next(item.files[file_id] for item in self.stored_items.values() if file_id in item.files)

    def publish(self, item: StoredItem) -> None:
        """Make the item's next version."""
        item.version += 1
        item.versions[item.version] = copy.deepcopy(item)

    def submit(self, item: StoredItem) -> None:
        """Publish the item once it is time, or have it reviewed."""
        self._to_publish.append((self.clock.monotonic() + self.publish_lag, item))
        self._publish_due()

    def _publish_due(self) -> None:
        now = self.clock.monotonic()
        for at, item in [entry for entry in self._to_publish if entry[0] <= now]:
            self._to_publish.remove((at, item))
            if self.reviews:
                item.curation_status = "pending"
            else:
                self.publish(item)

    # --- how ------------------------------------------------------------------------------------------------------

    async def request(self, name: str, effect: Callable[[], T], on_turn: OnTurn | None = None) -> T:
        """One request: turn, fault, effect, response."""
        await anyio.lowlevel.checkpoint()
        if on_turn is not None:
            await on_turn()
        await self.gate(name)
        self.requests += 1
        self._counts[name] += 1
        self.log.append(name)
        count = self._counts[name]
        self._publish_due()
        fault = next((fault for request, when, fault in self._script if request == name and count in when), None)
        if isinstance(fault, Exception):
            raise fault
        if fault is Fault.THROTTLED:
            await self.clock.sleep(THROTTLED_FOR)
            return await self.request(name, effect, on_turn)
        if fault in BEFORE:
            raise self._error(name, fault)
        try:
            answer = self._answered(name, effect)
        except (FigupError, Outcome):
            if fault is None:
                raise
        if fault is not None:
            raise self._error(name, fault)
        self.answered = self.clock.monotonic()
        self.on_request.get(name, _ignore)(name)
        return answer

    def _answered(self, name: str, effect: Callable[[], T]) -> T:
        if self._aged is not None:
            return self._aged_answer(name, effect)
        if self.behind is None:
            return effect()
        now = self.clock.monotonic()
        if name not in READING:
            self.copies.append((now, copy.deepcopy(self.stored_items)))
            return effect()
        since = now - self.behind(name)
        return self._answer_from(next((items for at, items in self.copies if at > since), self.stored_items), effect)

    def _answer_from(self, items: dict[int, StoredItem], effect: Callable[[], T]) -> T:
        now, self.stored_items = self.stored_items, items
        try:
            return effect()
        finally:
            self.stored_items = now

    def _aged_answer(self, name: str, effect: Callable[[], T]) -> T:
        request, occurrence, requests = self._aged or ("", 0, 0)
        self._earlier.append(copy.deepcopy(self.stored_items))
        if (name, self._counts[name]) != (request, occurrence):
            return effect()
        return self._answer_from(self._earlier[max(0, len(self._earlier) - 1 - requests)], effect)

    def _error(self, name: str, fault: Fault) -> BaseException:
        if fault in (Fault.KILLED_BEFORE, Fault.KILLED_AFTER):
            self.on_killed()
            return Killed()
        if name == "send_part":
            return PartFailed(fault.value, 1.0, transient=fault is not Fault.REJECTED)
        error: FigupError | AmbiguousAnswer
        if fault is Fault.REJECTED:
            error = RequestRejected(f"Figshare rejected {name}")
        elif fault is Fault.TRANSIENT:
            error = ServerFailing(f"{name} kept failing")
        elif name in CREATING:
            error = AmbiguousAnswer(f"{name}: no answer")
        else:
            error = Unreachable(f"{name}: no answer")
        return error

    def stored(self, item_id: int) -> StoredItem:
        """Raises ItemNotFound."""
        item = self.stored_items.get(item_id)
        if item is None or not (self.shared or item.owner == self.account_id):
            raise ItemNotFound(f"no item {item_id}")
        return item

    def _file(self, item_id: int, file_id: int) -> StoredFile:
        item = self.stored_items.get(item_id)
        file = item.files.get(file_id) if item is not None else None
        if file is None or file.visible_at > self.clock.monotonic():
            raise FileGone(f"no file {file_id}")
        return file

    def _upload(self, upload_url: str) -> StoredFile:
        try:
            return self.find(int(upload_url.rpartition("/")[2]))
        except StopIteration:
            raise UploadGone("no such upload") from None

    @staticmethod
    def _parts(file: StoredFile) -> tuple[Part, ...]:
        starts = range(0, file.size, PART_SIZE) or [0]
        return tuple(
            Part(
                no=no,
                start=start,
                end=min(start + PART_SIZE, file.size) - 1,
                complete=no in file.parts,
                locked=no in file.locked,
            )
            for no, start in enumerate(starts, start=1)
        )

    def row(self, file: StoredFile) -> File:
        md5_known = file.status != "created" and file.link is None and self.clock.monotonic() >= file.md5_at
        return File(
            id=file.id,
            name=f"{file.folder}/{file.name}" if file.folder and self.folders_in_names else file.name,
            size=file.size,
            status=file.status,
            upload_url=f"https://upload.example.org/{file.id}" if file.status == "created" and not file.link else None,
            computed_md5=file.md5 if md5_known else None,
            supplied_md5=file.supplied_md5,
            is_link_only=file.link is not None,
            download_url=file.link or "",
        )

    # --- the session ----------------------------------------------------------------------------------------------

    def server_now(self) -> datetime:
        return self.clock.now()

    async def wait(self, reason: str, delay: float) -> None:
        self.on_retry(reason, delay)
        await self.clock.sleep(delay)

    async def close(self) -> None:
        """Nothing is open."""

    # --- the account and its items --------------------------------------------------------------------------------

    async def account(self) -> Account:
        used = None if self.quota is None else 0
        found = Account(id=self.account_id, institution_id=self.institution_id, quota=self.quota, used_quota=used)
        return await self.request("account", lambda: found)

    async def item(self, item_id: int) -> Item:
        def read() -> Item:
            item = self.stored(item_id)
            folders = {} if self.folders_in_names else folders_of(item)
            url = f"https://example.org/{item_id}"
            shown = sorted(item.files)[: self.files_shown]
            return Item(
                id=item_id, title=item.title, url=url, is_public=item.version > 0, folders=folders, file_ids=set(shown)
            )

        return await self.request("item", read)

    async def own_items(self) -> AsyncIterator[ItemRow]:
        def rows() -> list[ItemRow]:
            return [
                ItemRow(id=item.id, title=item.title, created=item.created, published=item.version > 0)
                for item in self.stored_items.values()
                if item.owner == self.account_id and item.visible_at <= self.clock.monotonic()
            ]

        for row in await self.request("own_items", rows):
            yield row

    async def delete_item(self, item_id: int, *, on_turn: OnTurn | None = None) -> None:
        await self.request("delete_item", lambda: self.stored_items.pop(item_id, None), on_turn)

    # --- files ----------------------------------------------------------------------------------------------------

    async def files(self, item_id: int) -> AsyncIterator[File]:
        def rows() -> list[File]:
            now = self.clock.monotonic()
            return [self.row(file) for file in self.stored(item_id).files.values() if file.visible_at <= now]

        for row in await self.request("files", rows):
            yield row

    async def public_files(self, item_id: int, version: int | None = None) -> AsyncIterator[File]:
        def rows() -> list[File]:
            return [self.row(file) for file in self.published(item_id, version).files.values()]

        for row in await self.request("public_files", rows):
            yield row

    def published(self, item_id: int, version: int | None) -> StoredItem:
        """A published version, None for the newest. Raises ItemNotFound."""
        versions = self.stored(item_id).versions
        number = version if version is not None else max(versions, default=0)
        if number not in versions:
            raise ItemNotFound(f"item {item_id} has no public version {number}")
        return versions[number]

    def _new_file(self, item_id: int, file: StoredFile) -> int:
        file.visible_at = self.clock.monotonic() + self.files_lag
        self.stored(item_id).files[file.id] = file
        self.stored(item_id).change(self.clock.now())
        return file.id

    async def initiate(
        self,
        item_id: int,
        *,
        name: str,
        size: int,
        md5: str | None = None,
        folder: str | None = None,
        on_turn: OnTurn | None = None,
    ) -> int:
        def create() -> int:
            place = (folder or "").strip("/")
            return self._new_file(item_id, StoredFile(next(self.ids), name, size, place, supplied_md5=md5))

        return await self.request("initiate", create, on_turn)

    async def link(self, item_id: int, link: str, *, on_turn: OnTurn | None = None) -> int:
        return await self.request(
            "link", lambda: self._new_file(item_id, StoredFile(next(self.ids), "link", 0, link=link)), on_turn
        )

    async def file(self, item_id: int, file_id: int, *, fresh: bool = False) -> File:
        if fresh:
            await self.clock.sleep(self.files_lag)

        async def look() -> File | None:
            try:
                return await self.request("file", lambda: self.row(self._file(item_id, file_id)))
            except FileGone:
                if not fresh or (self._aged is None and self.behind is None):
                    raise
                return None

        found = await poll(look, VISIBLE_WITHIN if self.behind is not None else 0.0, self.clock)
        return found if found is not None else await self.file(item_id, file_id)

    async def complete(self, item_id: int, file_id: int, *, on_turn: OnTurn | None = None) -> None:
        def complete() -> None:
            file = self._file(item_id, file_id)
            if file.status != "created" or len(file.parts) != len(self._parts(file)):
                raise RequestRejected(f"file {file_id} cannot be completed")
            file.status, file.upload_status = "available", "completed"
            file.md5_at = self.clock.monotonic() + self.md5_delay

        await self.request("complete", complete, on_turn)

    async def delete_file(self, item_id: int, file_id: int, *, on_turn: OnTurn | None = None) -> None:
        await self.request("delete_file", lambda: self.stored(item_id).files.pop(file_id, None), on_turn)

    # --- the upload service ---------------------------------------------------------------------------------------

    async def upload(self, upload_url: str) -> Upload:
        def read() -> Upload:
            file = self._upload(upload_url)
            return Upload(token="t", status=file.upload_status, size=file.size, parts=self._parts(file))

        return await self.request("upload", read)

    async def part(self, upload_url: str, no: int) -> Part:
        return await self.request("part", lambda: self._parts(self._upload(upload_url))[no - 1])

    async def send_part(
        self,
        upload_url: str,
        part: Part,
        chunks: Callable[[], AsyncIterator[bytes | memoryview]],
        *,
        on_accepted: Callable[[int], None] | None = None,
        fresh_connection: bool = False,
    ) -> None:
        received = b""
        async for chunk in chunks():
            received += chunk
            if on_accepted is not None:
                on_accepted(len(chunk))

        def store() -> None:
            file = self._upload(upload_url)
            if part.no in file.locked or file.upload_status != "pending":
                raise PartLocked("the part is locked")
            if part.no in file.parts:
                self.resent_parts.append((file.id, part.no))
            file.parts[part.no] = received

        await self.request("send_part", store)


class FakeItems:
    """The requests about items' metadata. All lists of names are empty."""

    def __init__(self, figshare: FakeFigshare) -> None:
        self._figshare = figshare

    async def categories(self) -> list[Category]:
        return []

    async def licenses(self) -> list[License]:
        return []

    async def groups(self) -> list[Group]:
        return []

    async def institution(self) -> int | None:
        return await self._figshare.request("institution", lambda: None)

    async def custom_fields(self, group: int | None = None) -> list[CustomField]:
        return []

    async def has_author(self, author_id: int) -> bool:
        return False

    async def grants(self, words: str) -> list[Grant]:
        return []

    async def project(self, project_id: int) -> Project:
        raise ProjectNotFound(f"no project {project_id}")

    async def detail(self, item_id: int) -> ItemDetail:
        return await self._figshare.request("detail", lambda: self._detail(self._figshare.stored(item_id)))

    async def public_detail(self, item_id: int, version: int) -> ItemDetail:
        return await self._figshare.request(
            "public_detail", lambda: self._detail(self._figshare.published(item_id, version))
        )

    def _detail(self, item: StoredItem) -> ItemDetail:
        now, public = self._figshare.clock.monotonic(), item.version > 0
        return ItemDetail(
            id=item.id,
            title=item.title,
            doi=item.doi,
            version=item.version,
            is_public=public,
            url=f"https://example.org/account/{item.id}",
            public_url=f"https://example.org/{item.id}" if public else "",
            created=item.created,
            modified=item.modified or item.created,
            files=tuple(self._figshare.row(file) for file in item.files.values() if file.visible_at <= now),
            folders={} if self._figshare.folders_in_names else folders_of(item),
            description=str(item.fields.get("description", "")),
            handle=str(item.fields.get("handle", "")),
            authors=tuple(item.authors),
            categories=tuple(Category(id=number) for number in _numbers(item.fields.get("categories"))),
            keywords=tuple(map(str, _sequence(item.fields.get("keywords")))),
            license="CC BY 4.0",
            type="dataset",
            embargo=item.embargo,
            curation_status=item.curation_status,
        )

    async def create(
        self, fields: Mapping[str, object], *, project: int | None = None, on_turn: OnTurn | None = None
    ) -> int:
        def create() -> int:
            figshare = self._figshare
            item = figshare.add_item(str(fields["title"]), project=project)
            item.visible_at += figshare.items_lag
            item.created += figshare.created_skew
            item.fields.update(fields)
            item.doi = str(fields.get("doi", ""))
            return item.id

        return await self._figshare.request("create", create, on_turn)

    async def update(self, item_id: int, fields: Mapping[str, object], *, on_turn: OnTurn | None = None) -> None:
        def update() -> None:
            if item_id not in self._figshare.stored_items:
                raise RequestRejected(f"Figshare does not find item {item_id} or a value", status=404)
            item = self._figshare.stored(item_id)
            item.fields.update(fields)
            item.title = str(fields.get("title", item.title))
            item.doi = str(fields.get("doi", item.doi))
            item.change(self._figshare.clock.now())

        await self._figshare.request("update", update, on_turn)

    async def authors(self, item_id: int) -> list[Author]:
        return await self._figshare.request("authors", lambda: list(self._figshare.stored(item_id).authors))

    async def set_authors(
        self, item_id: int, authors: Sequence[Mapping[str, object]], *, on_turn: OnTurn | None = None
    ) -> None:
        def replace() -> None:
            item = self._figshare.stored(item_id)
            item.change(self._figshare.clock.now())
            known = {author.id: author for author in item.authors}
            item.authors = [
                known[number]
                if isinstance(number := body.get("id"), int)
                else Author(id=1000 + place, full_name=str(body["name"]))
                for place, body in enumerate(authors)
            ]

        await self._figshare.request("set_authors", replace, on_turn)

    async def add_authors(self, item_id: int, authors: Sequence[Mapping[str, object]]) -> None:
        def add() -> None:
            item = self._figshare.stored(item_id)
            item.change(self._figshare.clock.now())
            item.authors += [
                Author(id=number, full_name=f"Author {number}")
                if isinstance(number := body.get("id"), int)
                else Author(id=next(self._figshare.ids), full_name=str(body["name"]))
                for body in authors
            ]

        await self._figshare.request("add_authors", add)

    async def add_categories(self, item_id: int, categories: Sequence[int]) -> None:
        def add() -> None:
            item = self._figshare.stored(item_id)
            item.change(self._figshare.clock.now())
            item.fields["categories"] = [*_numbers(item.fields.get("categories")), *categories]

        await self._figshare.request("add_categories", add)

    async def set_embargo(self, item_id: int, embargo: Mapping[str, object], *, on_turn: OnTurn | None = None) -> None:
        await self._figshare.request(
            "set_embargo", lambda: self._figshare.stored(item_id).fields.update(embargo=embargo), on_turn
        )

    async def publish(self, item_id: int, *, on_turn: OnTurn | None = None) -> None:
        def publish() -> None:
            self._figshare.submit(self._figshare.stored(item_id))

        await self._figshare.request("publish", publish, on_turn)

    async def reserve_doi(self, item_id: int, *, on_turn: OnTurn | None = None) -> str:
        def reserve() -> str:
            item = self._figshare.stored(item_id)
            item.doi = item.doi or f"10.0000/{item_id}"
            return item.doi

        return await self._figshare.request("reserve_doi", reserve, on_turn)

    async def private_links(self, item_id: int) -> list[PrivateLink]:
        return await self._figshare.request("private_links", lambda: list(self._figshare.stored(item_id).links))

    async def create_private_link(
        self, item_id: int, *, expires: str | None = None, on_turn: OnTurn | None = None
    ) -> str:
        def create() -> str:
            links = self._figshare.stored(item_id).links
            link = PrivateLink(id=str(len(links)), url=f"https://example.org/s/{item_id}-{len(links)}")
            links.append(link)
            return link.url or ""

        return await self._figshare.request("create_private_link", create, on_turn)


class FakeRecords:
    """The requests that read lists: own items, and those of the institution for its administrator."""

    def __init__(self, figshare: FakeFigshare) -> None:
        self._figshare = figshare

    async def page(self, listing: Listing, criteria: Mapping[str, str | int], *, page: int, size: int = PAGE) -> Page:
        def rows() -> list[Record]:
            if listing.path == INSTITUTION_ITEMS.path:
                return self._figshare.institution_rows
            now = self._figshare.clock.monotonic()
            return [_record(item) for item in self._figshare.stored_items.values() if item.visible_at <= now]

        found = await self._figshare.request(f"list {listing.path}", rows)
        return Page(rows=found[(page - 1) * size : page * size])

    async def record(self, kind: Kind, number: int, *, public: bool, version: int | None = None) -> Record:
        def read() -> Record:
            others = {one.id: one for one in self._figshare.institution_rows}
            if number in others and not public:
                return others[number]
            return _record(self._figshare.stored(number))

        return await self._figshare.request("record", read)


def folders_of(item: StoredItem) -> dict[int, str]:
    """The folders of the item's files that are in one."""
    return {file.id: file.folder for file in item.files.values() if file.folder}


def _record(item: StoredItem) -> Record:
    return Record(
        id=item.id,
        title=item.title,
        doi=item.doi,
        resource_doi=str(item.fields.get("resource_doi", "")),
        url=f"https://example.org/{item.id}",
        created=item.created,
        modified=item.modified,
        published=item.created if item.version else None,
        raw={"published_date": f"{item.created:%Y-%m-%d}", "is_public": item.version > 0, **item.fields},
    )


async def _pass(_: str) -> None:
    """Make every request at once."""


def _ignore(_: str) -> None:
    """No one listens."""


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) else ()


def _numbers(value: object) -> list[int]:
    return [number for number in _sequence(value) if isinstance(number, int)]
