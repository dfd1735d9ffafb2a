"""Requests that schemathesis makes up from Figshare's own description, against a running sandbox.

No response may be a server error, or differ from the description in ways that the real service does not:
tests/openapi.py lists its differences.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis
import jsonschema
import pytest
import schemathesis

from tests.openapi import DESCRIPTION, validate_response
from tests.support.populated import FITTING, populate
from tests.support.sandbox_api import AUTH
from tests.support.served import served

EXAMPLES = (3, pytest.param(6, marks=pytest.mark.exhaustive))
"""Requests for each operation."""
ANYWHERE = {
    400: "the prose documents it for bodies that are not JSON and for invalid values",
    403: "the prose documents it for what an account may not do",
    404: "the prose documents it for what is missing; also seen for categories that may not be set",
    422: "the prose documents it for invalid structures and for mixed paging",
}
"""Statuses that any operation may return, whether listed or not."""
LAST = ("/unpublish", "/leave")
"""Path ends of operations that, like DELETE, remove objects that others need."""


def operations() -> list[Any]:
    """All operations, ordered so that objects exist for as long as possible."""
    schema = schemathesis.openapi.from_dict(json.loads(DESCRIPTION.read_text(encoding="utf-8")))
    results: list[Any] = list(schema.get_all_operations())
    found = [result.ok() for result in results]
    return sorted(found, key=lambda one: (one.method == "delete" or one.path.endswith(LAST), one.method == "delete"))


def violation(method: str, path: str, answer: Any) -> str:
    """Return what is wrong with a response, "" if nothing is."""
    status = answer.status_code
    kind = answer.headers.get("content-type", [""])[0]
    body: Any = json.loads(answer.content) if kind == "application/json" else None
    if status >= 500:
        return "" if status == 501 and body["code"] == "NotImplemented" else f"{status}: {body}"
    if status in ANYWHERE:
        shaped = path == "/token" or (isinstance(body, dict) and {"message", "code"} <= body.keys())
        return "" if shaped or kind.startswith("text/html") else f"{status}: {body}"
    try:
        validate_response(method, path, status, body)
    except (AssertionError, jsonschema.ValidationError) as error:
        return f"{status}: {str(error).partition(chr(10) * 2)[0]}"
    return ""


class Trial:
    """Sends requests and records the failures by operation, and which operations accepted a request."""

    def __init__(self, url: str, things: dict[str, Any], examples: int) -> None:
        self.wrong: dict[str, str] = {}
        self.succeeded: set[str] = set()
        self._url = url
        self._things = things
        self._examples = examples
        self._sent = 0

    def of(self, operation: Any) -> None:
        """Try one operation."""

        @hypothesis.settings(
            max_examples=self._examples, derandomize=True, deadline=None, database=None,
            suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate],
        )  # fmt: skip
        @hypothesis.given(case=operation.as_strategy())
        def run(case: Any) -> None:
            self._send(case, f"{operation.method.upper()} {operation.path}")

        run()

    def _send(self, case: Any, name: str) -> None:
        self._sent += 1
        if self._sent % 4:  # most concern existing objects
            case.path_parameters.update({one: self._things[one] for one in case.path_parameters})
        if self._sent % 2 and isinstance(case.body, dict):
            case.body |= {one: FITTING[one] for one in case.body.keys() & FITTING.keys()}
        answer = case.call(base_url=self._url, headers=AUTH)
        if found := violation(case.method, case.operation.path, answer):
            self.wrong.setdefault(name, f"{found} for {case.formatted_path} {case.query} {case.body!r}")
        if answer.status_code < 400:
            self.succeeded.add(name)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("examples", EXAMPLES)
def test_the_sandbox_keeps_to_the_description(examples: int, tmp_path: Path) -> None:
    with served(tmp_path / "s", institution=True, review="approve") as sandbox:
        trial = Trial(sandbox.url, sandbox.portal.call(populate, sandbox.api), examples)
        for operation in operations():
            trial.of(operation)
    assert trial.wrong == {}
    assert len(trial.succeeded) > 100, "most operations must have been tried with something that they take"
