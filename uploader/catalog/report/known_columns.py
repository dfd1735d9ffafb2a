"""The columns of each report's table. Pure."""

from __future__ import annotations

from collections.abc import Callable

from uploader.catalog.report import values as v
from uploader.catalog.report.columns import Column, ColumnKind, Columns
from uploader.catalog.report.values import Cell, Raw, Values


def _column(name: str, meaning: str, read: Callable[[Raw], Cell | Values], kind: ColumnKind = "text") -> Column:
    return Column(name=name, meaning=meaning, read=lambda _, raw: read(raw), kind=kind)


def _text(name: str, key: str, meaning: str) -> Column:
    return _column(name, meaning, lambda raw: v.text(raw.get(key)))


def _time(name: str, key: str, meaning: str) -> Column:
    return _column(name, meaning, lambda raw: v.text(raw.get(key)), "time")


def _number(name: str, key: str, meaning: str) -> Column:
    return _column(name, meaning, lambda raw: v.number(raw.get(key)), "number")


def _flag(name: str, key: str, meaning: str) -> Column:
    return _column(name, meaning, lambda raw: v.flag(raw.get(key)), "flag")


def _timeline(name: str, key: str, meaning: str) -> Column:
    return _column(name, f"{meaning}; no time zone is stated", lambda raw: v.text(v.part(raw, "timeline", key)), "time")


def _added(name: str, meaning: str, kind: ColumnKind = "text") -> Column:
    return Column(name=name, meaning=meaning, read=lambda entry, _: entry.added.get(name), kind=kind)


def _count(name: str, meaning: str = "") -> Column:
    return _added(name, meaning or f"{name} of all time, if they were read", "number")


def _renamed(name: str, added: str) -> Column:
    return Column(name=name, meaning=name, read=lambda entry, _: entry.added.get(added))


_ADDRESSES = ("url_public_html", "figshare_url", "url_private_html", "url")
_RECORD: tuple[Column, ...] = (
    Column(name="record_type", meaning="item, collection or project", read=lambda entry, _: entry.kind),
    _number("id", "id", "Figshare's id"),
    _number("version", "version", "the version that the row describes"),
    Column(name="state", meaning="public, embargoed-file, embargoed-item, metadata-only, linked, draft or unpublished",
           read=lambda entry, raw: v.state(raw) if entry.full is not None else None),
    _text("title", "title", "title, as it was entered"),
    _text("doi", "doi", "DOI of the version"),
    _text("handle", "handle", "handle, if it has one"),
    _column("url", "address of the page", lambda raw: next(filter(None, map(v.text, map(raw.get, _ADDRESSES))), None)),
    _text("type", "defined_type_name", "type, such as dataset"),
    _time("published_date", "published_date", "publication; withdrawn records keep it"),
    _time("created_date", "created_date", "creation"),
    _time("modified_date", "modified_date", "last change"),
    _timeline("posted", "posted", "posted"),
    _timeline("first_online", "firstOnline", "first online"),
    _timeline("publisher_publication", "publisherPublication", "published by the publisher"),
    _timeline("publisher_acceptance", "publisherAcceptance", "accepted by the publisher"),
    _timeline("revision", "revision", "revised"),
    _timeline("submission", "submission", "submitted"),
    _column("authors", "authors in their order, with ORCID iDs", v.authors),
    _column("orcids", "ORCID iDs of authors", lambda raw: v.texts(raw, "authors", "orcid_id")),
    _column("author_ids", "Figshare's ids of authors", lambda raw: v.texts(raw, "authors", "id")),
    _column("categories", "titles of categories", lambda raw: v.texts(raw, "categories", "title")),
    _column("keywords", "keywords", lambda raw: v.texts(raw, "tags") or v.texts(raw, "keywords")),
    _column("licence", "name of the licence", lambda raw: v.text(v.part(raw, "license", "name"))),
    _column("licence_url", "address of the licence", lambda raw: v.text(v.part(raw, "license", "url"))),
    _column("description", "description as plain text", lambda raw: v.plain_text(raw.get("description")) or None),
    _column("funding", "titles of grants", lambda raw: v.texts(raw, "funding_list", "title")),
    _column("funders", "names of funders", lambda raw: v.texts(raw, "funding_list", "funder_name")),
    _column("grant_codes", "codes of grants", lambda raw: v.texts(raw, "funding_list", "grant_code")),
    _column("references", "referenced addresses", lambda raw: v.texts(raw, "references")),
    _column("related_materials", "related materials, with their relation", v.related),
    _text("resource_title", "resource_title", "title of the publication that it belongs to"),
    _text("resource_doi", "resource_doi", "DOI of that publication"),
    _number("group_id", "group_id", "id of its group"),
    _added("group", "name of its group, if you administer it"),
    _added("group_path", "names of the groups above it and of its own"),
    _added("parent_group", "name of the group above it; the top group is its own"),
    _number("owner_id", "account_id", "id of the owner's account; only shown to the owner and administrators"),
    _added("owner_name", "name of the owner; for administrators"),
    _added("owner_email", "e-mail address of the owner; for administrators"),
    _column("files", "names of files", lambda raw: v.texts(raw, "files", "name")),
    _column("size_bytes", "bytes of all files", v.size, "number"),
    _flag("linked_file", "has_linked_file", "whether its file is a link"),
    _flag("is_metadata_record", "is_metadata_record", "whether it is metadata-only"),
    _text("metadata_reason", "metadata_reason", "reason why it is metadata-only"),
    _time("embargo_date", "embargo_date", "end of the embargo"),
    _text("embargo_type", "embargo_type", "file or article, if under embargo"),
    _text("embargo_reason", "embargo_reason", "reason of the embargo"),
    _flag("is_confidential", "is_confidential", "whether its files are confidential"),
    _text("citation", "citation", "citation"),
    _count("views"), _count("downloads"), _count("shares"),
    _count("cites", "citations, if the service reports them"),
    _added("stats_scope", "where the events were counted: everywhere, or an institution's portal"),
    _added("stats_since", "first day of the numbers; empty: of all time", "time"),
    _added("stats_as_of", "when the numbers were read; events are counted up to then", "time"),
)  # fmt: skip

_DESCRIPTION_HTML = _text("description_html", "description", "description as HTML")


def _raw(*names: str) -> tuple[Column, ...]:
    """Return columns of values as received, under their own names."""
    return tuple(_column(name, name, lambda raw, name=name: v.value(raw, name)) for name in names)  # type: ignore[misc]


_ROW = (
    *_raw("id", "title", "doi", "handle", "url"),
    _time("published_date", "published_date", "publication"),
    *_raw("thumb", "defined_type", "defined_type_name", "group_id", "url_private_api", "url_public_api",
          "url_private_html", "url_public_html", "resource_title", "resource_doi"),
)  # fmt: skip
_DATES = tuple(
    _timeline(name, name, name)
    for name in ("posted", "firstOnline", "publisherPublication", "publisherAcceptance", "revision", "submission")
)
_NOTEBOOK = (*_ROW, _count("views"), _count("downloads"), *_DATES)
"""The columns of the official notebooks for rows of Figshare's lists, with the same names and in the same order."""
_WHOLE = (
    *_raw("curation_status", "files", "group_resource_id", "account_id", "authors", "figshare_url", "description",
          "funding", "funding_list", "version", "status", "size", "created_date", "modified_date", "is_public",
          "is_confidential", "is_metadata_record", "confidential_reason", "metadata_reason", "license", "tags",
          "categories", "references", "has_linked_file", "citation", "is_embargoed", "embargo_date", "embargo_type",
          "embargo_title", "embargo_reason", "embargo_options"),
    *_ROW,
    _column("author_readable", "authors, with ORCID iDs", v.authors),
    _renamed("record_owner_name", "owner_name"), _renamed("owner_email", "owner_email"),
    *_DATES,
    _renamed("group_name", "group"), _renamed("parent_group_name", "parent_group"),
)  # fmt: skip
"""The columns of the notebook for administrators: records in full, with the names of owners and groups."""

RECORDS = Columns(default=_RECORD, further=(_DESCRIPTION_HTML,), notebook=_NOTEBOOK, custom=True)
AUTHOR = Columns(
    default=(
        *_RECORD,
        _added("matched_by", "what matched: orcid, author_id or name"),
        _added("matched_author", "the author that matched, with the ORCID iD"),
    ),
    further=(_DESCRIPTION_HTML,), notebook=_NOTEBOOK, custom=True,
)  # fmt: skip
PUBLISHED = Columns(default=_RECORD, further=(_DESCRIPTION_HTML,), notebook=_WHOLE, notebook_custom=True, custom=True)
_BY_NAME = {one.name: one for one in _RECORD}
EMBARGOES = Columns(
    default=(
        *(_BY_NAME[name] for name in (
            "record_type", "id", "state", "title", "doi", "url", "type", "embargo_date", "embargo_type")),
        _text("embargo_title", "embargo_title", "title of the embargo"),
        _BY_NAME["embargo_reason"],
        _column("embargo_problem", "no end, or an end before publication", v.embargo_problem),
        *(_BY_NAME[name] for name in (
            "published_date", "publisher_publication", "publisher_acceptance", "resource_doi", "group_id", "group",
            "group_path", "owner_id", "owner_name", "owner_email")),
    ),
    further=_RECORD,
)  # fmt: skip
_PERSON = (
    _number("id", "id", "id of the account"),
    _number("author_id", "user_id", "id as an author"),
    _text("first_name", "first_name", "first name"),
    _text("last_name", "last_name", "last name"),
    _added("email", "e-mail address"),
    _flag("active", "active", "whether the account is active"),
    _text("orcid", "orcid_id", "ORCID iD"),
    _text("institution_user_id", "institution_user_id", "id in the institution's feed or sign-on"),
)
_USE = (
    _number("quota", "quota", "bytes that the account may use"),
    _number("used_quota", "used_quota", "bytes that it uses"),
)
ACCOUNTS = Columns(
    default=(*_PERSON, _text("symplectic_user_id", "symplectic_user_id", "id in Symplectic Elements"), *_USE)
)
QUOTAS = Columns(
    default=(
        *_PERSON,
        _number("group_id", "group_id", "id of its group"),
        _added("group", "name of its group, if you administer it"),
        *_USE,
        _number("used_quota_private", "used_quota_private", "bytes in what is not public"),
        _number("used_quota_public", "used_quota_public", "bytes in what is public; versions share files"),
        _column("used_percent", "used_quota in percent of quota", v.used_percent, "number"),
    )
)


def _of_item(name: str, meaning: str, read: Callable[[Raw], Cell | Values], kind: ColumnKind = "text") -> Column:
    return _column(name, meaning, lambda raw: read(v.inner(raw, "item")), kind)


REVIEWS = Columns(
    default=(
        _number("id", "id", "id of the review"),
        _text("status", "status", "pending, approved, rejected or closed"),
        _number("item_id", "article_id", "id of the item"),
        _number("version", "version", "version under review"),
        _number("request_number", "request_number", "which request for review of this item"),
        _time("created_date", "created_date", "when the review was requested"),
        _time("modified_date", "modified_date", "last change of the review"),
        _number("assigned_to", "assigned_to", "id of the reviewer's account"),
        _added("reviewer", "name of the reviewer"),
        _number("comments", "comments_count", "number of comments"),
        _text("resolution_comment", "resolution_comment", "comment on the decision"),
        _number("group_id", "group_id", "id of the item's group"),
        _added("group", "name of its group, if you administer it"),
        _added("group_path", "names of the groups above it and of its own"),
        _number("owner_id", "account_id", "id of the owner's account"),
        _added("owner_name", "name of the owner"),
        _added("owner_email", "e-mail address of the owner"),
        _of_item("title", "title of the item", lambda raw: v.text(raw.get("title"))),
        _of_item("doi", "DOI of the item", lambda raw: v.text(raw.get("doi"))),
        _of_item("type", "type of the item", lambda raw: v.text(raw.get("defined_type_name"))),
        _of_item("authors", "authors of the item", v.authors),
        _of_item("categories", "titles of categories", lambda raw: v.texts(raw, "categories", "title")),
        _of_item("keywords", "keywords", lambda raw: v.texts(raw, "tags")),
        _of_item("licence", "name of the licence", lambda raw: v.text(v.part(raw, "license", "name"))),
        _of_item("files", "names of files", lambda raw: v.texts(raw, "files", "name")),
        _of_item("size_bytes", "bytes of all files", v.size, "number"),
    )
)
