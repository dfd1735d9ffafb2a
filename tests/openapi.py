"""Checks requests and answers against Figshare's OpenAPI description, figshare-openapi.json.

That file is the official one (digital-science/figshare-user-documentation, commit 46b111c of July 2026, Apache 2.0),
without its texts for people and without the servers.

The real service differs from its description in places; each tolerated difference is listed here with its reason, as
narrowly as possible.
"""

from __future__ import annotations

import copy
import functools
import json
import operator
import re
from pathlib import Path
from typing import Any

import jsonschema

DESCRIPTION = Path(__file__).with_name("figshare-openapi.json")

UNDOCUMENTED_STATUSES = {
    ("get", "/account/articles", 422): "the prose documents 422 for paging that is mixed or out of bounds",
    ("post", "/account/articles", 422): "the prose documents 422 for an invalid structure; seen for authors",
    ("post", "/account/articles", 404): "seen live: a category that the account may not set",
    ("put", "/account/articles/{article_id}", 422): "as for the create",
    ("patch", "/account/articles/{article_id}", 422): "as for the create",
    ("put", "/account/articles/{article_id}", 400): "a body that is no JSON, as for the create",
    ("get", "/account/articles/{article_id}/files", 422): "paging, as above",
    ("post", "/account/collections/{collection_id}/publish", 428): "an example of earlier documentation",
    ("get", "/account", 401): "the prose documents 401 for a bad token, behind a switch",
}
"""Answers that the description does not list for an operation."""

NULLS = {
    "Article": ("published_date", "group_id", "resource_title", "resource_doi"),
    "ProjectArticle": ("funding", "embargo_date", "embargo_type"),
    "ArticleCompletePrivate": ("curation_status", "group_resource_id"),
    "ArticleComplete": ("files",),  # of a public item under embargo
    "ArticleWithProject": ("project_id",),
    "Collection": ("published_date",),
    "Project": ("published_date",),
    "ArticleEmbargo": ("embargo_date", "embargo_type"),
}
"""Schema → fields that are null in recordings of the live service: blank fields are present and null."""

TYPES: dict[tuple[str, str], dict[str, Any]] = {
    ("ErrorMessage", "code"): {"type": "string"},  # "EntityNotFound": real codes are words
    ("Account", "active"): {"type": "boolean"},  # a boolean since 2026
    ("CustomArticleField", "value"): {},  # its own example is a string
}
"""Fields whose type is another in reality."""

LISTS = (
    "/account/institution/reviews",  # a list for a client that reads them
    "/account/institution/review/{curation_id}/comments",  # paged like a list
)
"""Paths whose GET responds a list, where the description has the object of one entry."""

LINKED_LACK = ("upload_url", "upload_token")
"""Fields that the description requires of every file, and that linked files lack."""


@functools.cache
def _description() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    return document


def operations() -> frozenset[tuple[str, str]]:
    """Every operation described: its method in upper case, and its path with {} for each parameter."""
    paths: dict[str, dict[str, Any]] = _description()["paths"]
    return frozenset(
        (method.upper(), re.sub(r"\{[^}]*\}", "{}", path)) for path, methods in paths.items() for method in methods
    )


def operations_with_bodies() -> list[tuple[str, str]]:
    """Method and path, without /v2, of every operation that takes JSON."""
    paths: dict[str, dict[str, Any]] = _description()["paths"]
    return [
        (method.upper(), path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]


def example_body(method: str, path: str) -> Any:
    """A body for an operation, made of the description's examples, with every field of its schema."""
    operation = _description()["paths"][path][method.lower()]
    return _example(operation["requestBody"]["content"]["application/json"]["schema"])


def default_body(method: str, path: str) -> dict[str, Any]:
    """The defaults in the schema of an operation's body, which generated clients send for unset fields."""
    operation = _description()["paths"][path][method.lower()]
    return _defaults(operation["requestBody"]["content"]["application/json"]["schema"])


def _defaults(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _defaults(_description()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    inherited = [_defaults(one) for one in schema.get("allOf", ())]
    own = {name: one["default"] for name, one in schema.get("properties", {}).items() if "default" in one}
    return functools.reduce(operator.or_, inherited, {}) | own


def _example(schema: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _example(_description()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "example" in schema:
        return schema["example"]
    if schema.get("properties") or "allOf" in schema:
        parts = [_example(one) for one in schema.get("allOf", ())]
        own = {name: _example(one) for name, one in schema.get("properties", {}).items()}
        return functools.reduce(operator.or_, parts, {}) | own
    if schema.get("type") == "array":
        return [_example(schema["items"])]
    known = {"string": "text", "integer": 1, "number": 1, "boolean": True}
    return schema.get("default", known.get(schema.get("type", ""), {}))


@functools.cache
def _components(*, answers: bool) -> dict[str, Any]:
    """The schemas as JSON Schema; with `answers`, including the differences of real responses."""
    components = copy.deepcopy(_description()["components"]["schemas"])
    if answers:
        for name, fields in NULLS.items():
            for field in fields:
                components[name]["properties"][field]["nullable"] = True
        for (name, field), schema in TYPES.items():
            components[name]["properties"][field] = schema
    _plain(components)
    return {"schemas": components}


def _plain(node: Any) -> None:
    """Replace `nullable` by a type, recursively."""
    if isinstance(node, list):
        for one in node:
            _plain(one)
    if not isinstance(node, dict):
        return
    if node.pop("nullable", False) is True and "type" in node:
        node["type"] = [node["type"], "null"]
        if "enum" in node:
            node["enum"] = [*node["enum"], None]
    for one in node.values():
        _plain(one)


def _check(schema: dict[str, Any], value: Any, *, answers: bool) -> None:
    whole = {"allOf": [schema], "components": _components(answers=answers)}
    jsonschema.Draft4Validator(whole).validate(value)


def validate_response(method: str, path: str, status: int, body: Any = None) -> None:
    """Check an answer: `path` is a template of the description, without /v2; `body` None for no JSON.

    AssertionError for a status that is neither described nor listed above, ValidationError for a wrong body.
    """
    operation = _description()["paths"][path][method.lower()]
    described = operation["responses"].get(str(status))
    if described is None:
        assert (method.lower(), path, status) in UNDOCUMENTED_STATUSES, (
            f"{method} {path} is not said to answer {status}"
        )
        described = {}
    content = described.get("content", {}).get("application/json")
    if status >= 400:
        content = {"schema": {"$ref": "#/components/schemas/ErrorMessage"}} if body is not None else None
    if content is None:
        return
    schema = content["schema"]
    if method == "GET" and path in LISTS and status == 200:
        schema = {"type": "array", "items": schema}
    if isinstance(body, dict) and body.get("is_link_only") and schema.get("$ref", "").endswith("/PrivateFile"):
        body = {**dict.fromkeys(LINKED_LACK, ""), **body}
    _check(schema, body, answers=True)


def validate_request(method: str, path: str, body: Any) -> None:
    """Check the JSON body of a request, as `validate_response` does an answer's."""
    operation = _description()["paths"][path][method.lower()]
    _check(operation["requestBody"]["content"]["application/json"]["schema"], body, answers=False)
