"""Requests on items' metadata and on whole items: publish, embargo, private links, collections.

As in `client`, one method per request or listing. Requests that set something are idempotent and retried; those that
create something raise AmbiguousAnswer if they may have had their effect.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Literal, NoReturn, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec

from uploader.errors import ProjectNotFound
from uploader.figshare import models
from uploader.figshare.decode import parse_json
from uploader.figshare.pipeline import Pipeline, read_pages
from uploader.figshare.ratelimit import OnTurn
from uploader.figshare.responses import (
    ResponseSpec,
    about_item,
    about_part_of_item,
    done_spec,
    ignore_missing,
    list_spec,
    not_found,
    object_spec,
    record_not_found,
)
from uploader.figshare.transport import Response

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
Body = Mapping[str, object]
Container: TypeAlias = Literal["projects", "collections"]
CatalogedKind: TypeAlias = Literal["articles", "collections"]
"""Kinds that have a DOI, as in the API's paths."""
CreatedKind: TypeAlias = Literal["articles", "files", "projects", "collections"]
"""Kinds that requests create, as in the API's paths."""


class Items:
    """Requests on items' metadata. Any may raise ItemNotFound, PermissionDenied, RequestRejected, and what all requests
    raise.
    """

    def __init__(self, calls: Pipeline, created: Callable[[CreatedKind], Callable[[Response], int]]) -> None:
        """Prepare requests; `created` builds the parser of the id in the response to a creating request."""
        self._calls = calls
        self._created = created

    # --- what metadata may refer to -------------------------------------------------------------------------

    async def categories(self) -> list[models.Category]:
        """Return the institution's categories, including parents; not all are selectable."""
        return await self._list("/account/categories", "the list of categories", models.Category)

    async def licenses(self) -> list[models.License]:
        """Return Figshare's licences and those of the institution."""
        return await self._list("/account/licenses", "the list of licences", models.License)

    async def groups(self) -> list[models.Group]:
        """Return the groups that the account administers. Raises PermissionDenied if there are none."""
        return await self._list("/account/institution/groups", "the list of groups", models.Group)

    async def institution(self) -> int | None:
        """Return the id of the account's institution, None for none. Raises TokenRejected if the token is refused."""
        reader = object_spec(models.Account, "the account", checks_token=True)
        return (await self._calls.api("GET", "/account", reader)).institution_id

    async def custom_fields(self, group: int | None = None) -> list[models.CustomField]:
        """Return the custom fields of the account's own group, or of `group`.

        Raises PermissionDenied if the account has no group or no access.
        """
        path = "/account/institution/custom_fields" + ("" if group is None else f"?group_id={group}")
        return await self._list(path, "the list of custom fields", models.CustomField)

    async def has_author(self, author_id: int) -> bool:
        """Return whether an author of this id exists."""
        reader = ResponseSpec(
            resource="the author", parse=lambda answer: bool(parse_json(answer.body)), on_not_found=lambda: False
        )
        return await self._calls.api("GET", f"/account/authors/{author_id}", reader)

    async def grants(self, text: str) -> list[models.Grant]:
        """Search grants, including user-defined ones."""
        reader = list_spec(models.Grant, "the search for grants")
        return await self._calls.api("POST", "/account/funding/search", reader, body={"search_for": text})

    async def project(self, project_id: int) -> models.Project:
        """Return a project. Raises ProjectNotFound (also if the account may not see it)."""

        def missing() -> NoReturn:
            raise ProjectNotFound(f"Figshare has no project {project_id}, or this account may not see it")

        reader = object_spec(models.Project, f"project {project_id}", on_not_found=missing)
        return await self._calls.api("GET", f"/account/projects/{project_id}", reader)

    async def _list(self, path: str, resource: str, kind: type[S]) -> list[S]:
        return await self._calls.api("GET", path, list_spec(kind, resource))

    # --- the item ------------------------------------------------------------------------------------------------

    async def detail(self, item_id: int) -> models.ItemDetail:
        """Return the item with all its metadata."""
        reader = object_spec(models.ItemDetail, **about_item(item_id))
        return await self._calls.api("GET", f"/account/articles/{item_id}", reader)

    async def public_detail(self, item_id: int, version: int) -> models.ItemDetail:
        """Return a published version of the item with all its metadata. It may be visible later."""
        reader = object_spec(models.ItemDetail, **about_item(item_id, public=True))
        return await self._calls.api("GET", f"/articles/{item_id}/versions/{version}", reader)

    async def exists(self, item_id: int) -> bool:
        """Return whether the item belongs to this account or is public."""
        for path in (f"/account/articles/{item_id}", f"/articles/{item_id}"):
            reader = ResponseSpec(resource=f"item {item_id}", parse=lambda _: True, on_not_found=lambda: False)
            if await self._calls.api("GET", path, reader):
                return True
        return False

    async def with_doi(self, kind: CatalogedKind, doi: str, *, own: bool) -> list[models.DoiRow]:
        """Return the records that Figshare finds for a DOI: the account's own, drafts included, or public ones.

        Observed: each version's DOI and the one without a version find a record. Unknown parameters are ignored by
        Figshare, so the caller compares the rows' DOIs.
        """
        reader = list_spec(models.DoiRow, f"the search for the DOI {doi}")
        if own:
            return await self._calls.api("POST", f"/account/{kind}/search", reader, body={"doi": doi})
        return await self._calls.api("GET", f"/{kind}?doi={quote(doi, safe='')}", reader)

    async def create(self, fields: Body, *, project: int | None = None, on_turn: OnTurn | None = None) -> int:
        """Create a draft; return its id. `fields` as documented for ArticleCreate. `on_turn` as for `Pipeline.api`.

        Raises AmbiguousAnswer.
        """
        path = "/account/articles" if project is None else f"/account/projects/{project}/articles"
        reader = ResponseSpec(resource="the new item", parse=self._created("articles"), accepts="anything")
        return await self._calls.api("POST", path, reader, body=fields, creating=True, on_turn=on_turn)

    async def update(self, item_id: int, fields: Body, *, on_turn: OnTurn | None = None) -> None:
        """Set these fields, as documented for ArticleUpdate; others keep their values. `on_turn` as for `Pipeline.api`.

        Uses PATCH, which is documented to set part of an item. PUT is documented to take all of it; whether it clears
        fields that are not named is unknown.
        """
        await self._set("PATCH", item_id, "", fields, on_turn)

    async def authors(self, item_id: int) -> list[models.Author]:
        """Return the item's authors, in order."""
        reader = list_spec(models.Author, **about_part_of_item(item_id, "the authors"))
        return await self._calls.part_of_item("GET", item_id, "/authors", reader)

    async def authors_with(self, orcid: str) -> list[models.Author]:
        """Return Figshare's authors with this ORCID iD."""
        reader = list_spec(models.Author, "the search for authors")
        return await self._calls.api("POST", "/account/authors/search", reader, body={"orcid": orcid})

    async def set_authors(self, item_id: int, authors: Sequence[Body], *, on_turn: OnTurn | None = None) -> None:
        """Replace the item's authors. `on_turn` as for `Pipeline.api`."""
        await self._set("PUT", item_id, "/authors", {"authors": authors}, on_turn)

    async def add_authors(self, item_id: int, authors: Sequence[Body]) -> None:
        """Append authors to the item's (documented for POST). Raises AmbiguousAnswer."""
        await self._set("POST", item_id, "/authors", {"authors": authors})

    async def remove_author(self, item_id: int, author_id: int) -> None:
        """Remove an author; succeeds if the item does not have it."""
        await self._remove(item_id, f"/authors/{author_id}")

    async def add_categories(self, item_id: int, categories: Sequence[int]) -> None:
        """Add categories to the item's (documented for POST). Raises AmbiguousAnswer."""
        await self._set("POST", item_id, "/categories", {"categories": categories})

    async def remove_category(self, item_id: int, category_id: int) -> None:
        """Remove a category; succeeds if the item does not have it."""
        await self._remove(item_id, f"/categories/{category_id}")

    async def set_embargo(self, item_id: int, embargo: Body, *, on_turn: OnTurn | None = None) -> None:
        """Set the embargo, as documented for ArticleEmbargoUpdater. `on_turn` as for `Pipeline.api`."""
        await self._set("PUT", item_id, "/embargo", embargo, on_turn)

    async def lift_embargo(self, item_id: int) -> None:
        """Remove the embargo; also succeeds without one."""
        await self._remove(item_id, "/embargo")

    async def set_thumbnail(self, item_id: int, version: int, file_id: int) -> None:
        """Use the preview of a file as the thumbnail of this version."""
        await self._set("PUT", item_id, f"/versions/{version}/update_thumb", {"file_id": file_id})

    async def publish(self, item_id: int, *, on_turn: OnTurn | None = None) -> None:
        """Publish the current state as a version. `on_turn` as for `Pipeline.api`.

        Raises AmbiguousAnswer, RequestRejected if a field is missing.
        """
        await self._set("POST", item_id, "/publish", {}, on_turn)

    async def reserve_doi(self, item_id: int, *, on_turn: OnTurn | None = None) -> str:
        """Reserve and return the item's DOI. Idempotent. `on_turn` as for `Pipeline.api`."""
        reader = object_spec(models.ReservedDoi, **about_part_of_item(item_id, "the DOI"))
        return (await self._calls.part_of_item("POST", item_id, "/reserve_doi", reader, on_turn=on_turn)).doi

    async def private_links(self, item_id: int) -> list[models.PrivateLink]:
        """Return all private links, including expired ones."""
        reader = list_spec(models.PrivateLink, **about_part_of_item(item_id, "the private links"))
        return await self._calls.part_of_item("GET", item_id, "/private_links", reader)

    async def create_private_link(
        self, item_id: int, *, expires: str | None = None, on_turn: OnTurn | None = None
    ) -> str:
        """Create a private link; return its address. `expires` as 2018-02-22 22:22:22, by default in a year.

        Observed: an item has one link, which a new one replaces. `on_turn` as for `Pipeline.api`.

        Raises AmbiguousAnswer.
        """
        body = {} if expires is None else {"expires_date": expires}
        reader = object_spec(models.NewPrivateLink, **about_part_of_item(item_id, "the private links"))
        created = await self._calls.part_of_item(
            "POST", item_id, "/private_links", reader, body=body, creating=True, on_turn=on_turn
        )
        return created.url

    async def remove_private_link(self, item_id: int, link_id: str) -> None:
        """Remove a private link; succeeds if it does not exist."""
        await self._remove(item_id, f"/private_links/{link_id}")

    # --- projects and collections themselves -------------------------------------------------------------------------

    async def create_container(self, kind: Container, fields: Body) -> int:
        """Create a project or collection; return its id. `fields` as documented for ProjectCreate, CollectionCreate.

        Raises AmbiguousAnswer.
        """
        reader = ResponseSpec(resource=f"the new {kind[:-1]}", parse=self._created(kind), accepts="anything")
        return await self._calls.api("POST", f"/account/{kind}", reader, body=fields, creating=True)

    async def update_container(self, kind: Container, number: int, fields: Body) -> None:
        """Set these fields of a project or collection; others keep their values (documented for PATCH)."""
        reader = done_spec(f"{kind[:-1]} {number}")
        await self._calls.api("PATCH", f"/account/{kind}/{number}", reader, body=fields)

    def containers(self, kind: Container) -> AsyncIterator[models.ContainerRow]:
        """Yield the account's projects or collections."""
        reader = list_spec(models.ContainerRow, f"the list of {kind}")
        return read_pages(lambda query: self._calls.api("GET", f"/account/{kind}?{query}", reader), reader.resource)

    # --- collections ---------------------------------------------------------------------------------------------

    async def add_to_collection(self, collection_id: int, item_ids: Sequence[int]) -> None:
        """Add at most models.MAX_BATCH items to a collection. Raises AmbiguousAnswer."""
        missing = not_found(f"Figshare has no collection {collection_id}, or no such item for it")
        reader = done_spec(f"collection {collection_id}", on_not_found=missing)
        path = f"/account/collections/{collection_id}/articles"
        await self._calls.api("POST", path, reader, body={"articles": list(item_ids)}, creating=True)

    def collection_items(self, collection_id: int) -> AsyncIterator[models.ItemRow]:
        """Yield the items of a collection."""
        missing = record_not_found(f"collection {collection_id}")
        reader = list_spec(models.ItemRow, f"collection {collection_id}", on_not_found=missing)
        path = f"/account/collections/{collection_id}/articles"
        return read_pages(lambda query: self._calls.api("GET", f"{path}?{query}", reader), reader.resource)

    async def remove_from_collection(self, collection_id: int, item_id: int) -> None:
        """Remove an item from a collection; succeeds if it is not in it."""
        reader = done_spec(f"collection {collection_id}", on_not_found=ignore_missing)
        await self._calls.api("DELETE", f"/account/collections/{collection_id}/articles/{item_id}", reader)

    # --- helpers -----------------------------------------------------------------------------------------------------

    async def _set(self, method: str, item_id: int, rest: str, body: Body, on_turn: OnTurn | None = None) -> None:
        # A 404 may be about the value (observed: a category that the account may not use), so its message is shown.
        reader = done_spec(f"item {item_id}")
        path = f"/account/articles/{item_id}{rest}"
        await self._calls.api(method, path, reader, body=body, creating=method == "POST", on_turn=on_turn)

    async def _remove(self, item_id: int, rest: str) -> None:
        reader = done_spec(f"item {item_id}", on_not_found=ignore_missing)
        await self._calls.api("DELETE", f"/account/articles/{item_id}{rest}", reader)
