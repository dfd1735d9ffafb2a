"""A sandbox with one object of each kind and valid field values, for tests of all operations."""

from __future__ import annotations

from typing import Any

from tests.support.sandbox_api import Api

CATEGORY = 24418
FITTING: dict[str, Any] = {
    "categories": [CATEGORY], "categories_by_source_id": ["310204"], "authors": [{"name": "Ann Bee", "orcid_id": ""}],
    "funding_list": [{"title": "A grant"}], "custom_fields": {"Instrument": "A scale"},
    "custom_fields_list": [{"name": "Site", "value": ["North"]}], "group_id": 2101, "institution": 2000, "license": 1,
    "related_materials": [{"identifier": "10.1/x", "identifier_type": "DOI", "relation": "Cites", "title": "t"}],
    "timeline": {"firstOnline": "2020-01-01", "publisherAcceptance": "2020-01-01"}, "link": None, "doi": "", "size": 4,
    "embargo_options": [{"id": 2201, "group_ids": [2101]}], "embargo_date": "2099-01-01", "email": None,
}  # fmt: skip
"""Field → an accepted value, where the examples of the description name missing objects."""


async def populate(api: Api) -> dict[str, Any]:
    """Create one object of each kind in a sandbox with an institution and reviews. Return the values of path
    parameters, by the sandbox's names and the description's.
    """
    item = await api.item(description="d", categories=[CATEGORY], keywords=["k"])
    file = (await api.available(await api.send(item, b"0123")))["id"]
    await api.call("POST", f"{item}/publish")
    number = int(item.rpartition("/")[2])
    project = (await api.call("POST", "/account/projects", {"title": "abc"}))[1]["entity_id"]
    body = {"title": "abc", "authors": [{"name": "Ann Bee"}], "categories": [CATEGORY]}
    collection = (await api.call("POST", "/account/collections", body))[1]["entity_id"]
    await api.call("POST", f"/account/collections/{collection}/publish")
    account = (await api.get("/account/institution/accounts"))[1]
    made = (await api.call("POST", f"/account/projects/{project}/notes", {"text": "A note"}))[1]
    review = (await api.get("/account/institution/reviews"))[0]["id"]
    await api.call("POST", f"{item}/private_links")
    author = (await api.get("/account"))["user_id"]
    ours = {
        "item_id": number, "resource_id": number, "version": 1, "review_id": review, "string_id": "sandbox",
        "token": 1, "again": 1, "report_id": 1,
    }  # fmt: skip
    return {
        **ours, "article_id": number, "version_id": 1, "curation_id": review, "institution_string_id": "sandbox",
        "file_id": file, "project_id": project, "collection_id": collection, "account_id": account["id"],
        "author_id": author, "category_id": CATEGORY, "group_id": 2101, "role_id": 7, "user_id": account["user_id"],
        "note_id": int(made["location"].rpartition("/")[2]),
        "link_id": (await api.get(f"{item}/private_links"))[0]["id"], "custom_field_id": 1, "external_user_id": 1,
    }  # fmt: skip
