"""Faults as data: what fails, in which request, at which occurrence. Parses and counts. No I/O.

In one line: `REQUEST[@PART][:WHEN]=FAULT[,OPTION=VALUE]...`, such as `put-part@3:2..=503,retry-after=5`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from uploader.sandbox.operations import (
    FILE_REQUESTS,
    LIST_REQUESTS,
    PART_REQUESTS,
    READINGS,
    RECORD_REQUESTS,
    REQUESTS,
    UPLOAD_REQUESTS,
)


class Stage(Enum):
    """When a fault acts, and what it replaces."""

    STATE = "before the request, which is then served"
    ANSWER = "instead of the normal response; one per request"


@dataclass(frozen=True, slots=True)
class Spec:
    """A kind of fault: its options with their parsers, the requests it applies to (None: all), and its help text."""

    stage: Stage
    words: str
    options: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)
    requests: frozenset[str] | None = field(default=None, kw_only=True)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 10**9:
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return read


def _retry_after(text: str) -> str:
    _count(text.removeprefix("date:"))
    return text


def _status(text: str) -> int:
    value = _count(text)
    if not 200 <= value <= 599:
        raise ValueError(text)
    return value


def _url(text: str) -> str:
    if re.fullmatch(r"https?://[!-~]+", text) is None:
        raise ValueError(text)
    return text


SPECS: dict[str, Spec] = {
    "status": Spec(
        Stage.ANSWER, "this status instead of a response; written as a number",
        {"code": _status, "retry-after": _retry_after, "body": _one_of("json", "html", "empty")},
    ),
    "html": Spec(Stage.ANSWER, "200 with an HTML page, without processing the request"),
    "error-object": Spec(Stage.ANSWER, "200 with an error object, without processing the request"),
    "waf-202": Spec(Stage.ANSWER, "empty 202 with x-amzn-waf-action: challenge"),
    "waf-403": Spec(Stage.ANSWER, "403 of a firewall", {"body": _one_of("empty", "html")}),
    "redirect": Spec(Stage.ANSWER, "redirect to another URL", {"to": _url, "code": _status}),
    "reset": Spec(Stage.ANSWER, "connection reset before the body is read"),
    "reset-mid-body": Spec(Stage.ANSWER, "connection reset after half the body, or after `bytes`", {"bytes": _count}),
    "lost-answer": Spec(Stage.ANSWER, "request processed, then connection reset"),
    "stall": Spec(Stage.ANSWER, "nothing is read at first, then the request is processed", {"seconds": _seconds}),
    "late": Spec(Stage.ANSWER, "processed after a delay, even after a disconnect", {"seconds": _seconds}),
    "hang": Spec(Stage.ANSWER, "request processed, response delayed", {"seconds": _seconds}),
    "hang-mid-answer": Spec(Stage.ANSWER, "request processed, half the response, then silence", {"seconds": _seconds}),
    "cut-answer": Spec(Stage.ANSWER, "request processed, half the response, then a reset"),
    "trickle": Spec(Stage.ANSWER, "request processed, response byte by byte with pauses", {"seconds": _seconds}),
    "truncated-json": Spec(Stage.ANSWER, "request processed, response truncated to half its JSON"),
    "invalid-json": Spec(Stage.ANSWER, "request processed, invalid JSON in the response"),
    "flip-bit": Spec(
        Stage.ANSWER, "the part is stored with one bit flipped and acknowledged", {"byte": _count},
        requests=frozenset({"put-part"}),
    ),
    "lock": Spec(Stage.STATE, "the part is locked for a while", {"seconds": _seconds}, requests=PART_REQUESTS),
    "abort-upload": Spec(Stage.STATE, "the upload becomes ABORTED", requests=UPLOAD_REQUESTS | FILE_REQUESTS),
    "lose-upload": Spec(Stage.STATE, "the upload responds 404 from now on", requests=UPLOAD_REQUESTS | FILE_REQUESTS),
    "stale": Spec(
        Stage.ANSWER, "an earlier response to it, at most `seconds` old",
        {"seconds": _seconds}, requests=READINGS,
    ),
    "hide": Spec(
        Stage.STATE, "the new file is invisible for a while", {"seconds": _seconds}, requests=frozenset({"initiate"})
    ),
    "insert-record": Spec(Stage.STATE, "another item has just been published", requests=LIST_REQUESTS),
    "remove-record": Spec(Stage.STATE, "the newest public item has just been unpublished", requests=LIST_REQUESTS),
    "wrong-md5": Spec(Stage.STATE, "computed_md5 will be wrong", requests=frozenset({"complete"})),
    "no-md5": Spec(Stage.STATE, "computed_md5 stays empty", requests=frozenset({"complete"})),
    "quota-full": Spec(Stage.STATE, "the account's quota is used up from now on"),
    "revoke-token": Spec(Stage.STATE, "the token is rejected from now on"),
}  # fmt: skip
_REQUIRED_OPTIONS = {"status": "code", "redirect": "to"}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault; `options` are parsed and hold only those given."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stage(self) -> Stage:
        return SPECS[self.name].stage

    @property
    def seconds(self) -> float:
        """The option `seconds`; by default an hour, longer than any client waits."""
        return float(self.options.get("seconds", 3600.0))


@dataclass(frozen=True, slots=True)
class Window:
    """Which of the matching requests, counted from 1: `first` to `last`, inclusive; `last` None: no end."""

    first: int = 1
    last: int | None = 1

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number and (self.last is None or number <= self.last)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A fault and when it occurs. `part` None: any part. `text` is the rule as written."""

    request: str
    part: int | None
    when: Window
    fault: Fault
    text: str

    def fits(self, request: str, part: int | None) -> bool:
        """Return whether a request counts for this rule."""
        if self.request not in {request, "any"} or request not in REQUESTS:
            return False
        return self.part is None or self.part == part


class FaultRules:
    """The active rules, and how many requests each has matched."""

    def __init__(self, rules: list[Rule]) -> None:
        self._entries: list[tuple[Rule, list[int]]] = []
        self.add(rules)

    def add(self, rules: list[Rule]) -> None:
        """Append rules; they count from now."""
        self._entries += [(rule, [0]) for rule in rules]

    def clear(self) -> None:
        """Remove all rules."""
        self._entries.clear()

    def may_cause(self, fault: str, request: str) -> bool:
        """Return whether an active rule causes this fault in such requests."""
        return any(rule.fault.name == fault and rule.request in {request, "any"} for rule, _ in self._entries)

    def listing(self) -> list[dict[str, Any]]:
        """Return each rule with the number of matched requests."""
        return [{"fault": rule.text, "seen": seen[0]} for rule, seen in self._entries]

    def decide(self, request: str, part: int | None) -> list[Fault]:
        """Count a request and return its faults: all of stage STATE and the first of stage ANSWER."""
        found: list[Fault] = []
        for rule, seen in self._entries:
            if rule.fits(request, part):
                seen[0] += 1
                if seen[0] in rule.when:
                    found.append(rule.fault)
        answers = [fault for fault in found if fault.stage is Stage.ANSWER]
        return [fault for fault in found if fault.stage is not Stage.ANSWER] + answers[:1]


_LINE = re.compile(r"(?P<request>[a-z-]+)(@(?P<part>[0-9]+))?(:(?P<when>[^=]+))?=(?P<fault>.+)", re.DOTALL)


def read_rule(text: str) -> Rule:
    """Parse a rule. Raises ValueError with a readable message."""
    match = _LINE.fullmatch(text.strip())
    if match is None:
        message = f"invalid fault {text!r}; use REQUEST[@PART][:WHEN]=FAULT[,OPTION=VALUE]"
        raise ValueError(message)
    name, *pairs = match["fault"].split(",")
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            message = f"invalid option {pair!r} in {text!r}; use OPTION=VALUE"
            raise ValueError(message)
        options[key.strip()] = value.strip()
    part = None if match["part"] is None else int(match["part"])
    return _rule(match["request"], part, match["when"] or "1", name.strip(), options, text)


def read_toml(text: str) -> list[Rule]:
    """Parse TOML: `faults`, a list of lines, and tables [[fault]] with request, part, when, fault and options."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"not TOML: {error}"
        raise ValueError(message) from error
    unknown = document.keys() - {"fault", "faults"}
    lines, tables = document.get("faults", []), document.get("fault", [])
    if unknown or not isinstance(lines, list) or not isinstance(tables, list):
        message = "only a list `faults` and tables [[fault]] are allowed"
        raise ValueError(message)
    return [read_rule(str(line)) for line in lines] + [_from_table(table) for table in tables]


def _from_table(table: Any) -> Rule:
    if not isinstance(table, dict):
        message = "[[fault]] must be a table"
        raise ValueError(message)  # noqa: TRY004 - one error class for everything wrong in a file
    rest = {name: str(value) for name, value in table.items()}
    request, name, when = rest.pop("request", ""), rest.pop("fault", ""), rest.pop("when", "1")
    part = rest.pop("part", None)
    head = request + ("" if part is None else f"@{part}")
    return read_rule(",".join([f"{head}:{when}={name}", *(f"{key}={value}" for key, value in rest.items())]))


def _rule(request: str, part: int | None, when: str, name: str, options: dict[str, str], text: str) -> Rule:
    if name.isascii() and name.isdigit():
        name, options = "status", {"code": name, **options}
    spec = SPECS.get(name)
    if spec is None:
        message = f"unknown fault {name!r}; use a status or one of {', '.join(one for one in SPECS if one != 'status')}"
        raise ValueError(message)
    if request not in REQUESTS | {"any"}:
        message = f"unknown request {request!r}; use any, {', '.join(sorted(REQUESTS))}"
        raise ValueError(message)
    if spec.requests is not None and request not in spec.requests:
        message = f"{name} applies to {', '.join(sorted(spec.requests))}, not {request}"
        raise ValueError(message)
    if part is not None and request not in PART_REQUESTS | RECORD_REQUESTS:
        message = f"{request} takes no part number or id; only {', '.join(sorted(PART_REQUESTS | RECORD_REQUESTS))} do"
        raise ValueError(message)
    needed = _REQUIRED_OPTIONS.get(name)
    if needed is not None and needed not in options:
        message = f"{name} needs {needed}="
        raise ValueError(message)
    return Rule(
        request=request, part=part, when=_occurrences(when), fault=Fault(name, _options(name, spec, options)), text=text
    )


def _options(name: str, spec: Spec, given: dict[str, str]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for key, value in given.items():
        if key not in spec.options:
            message = f"{name} has no option {key!r}" + (f"; it has {', '.join(spec.options)}" if spec.options else "")
            raise ValueError(message)
        try:
            read[key] = spec.options[key](value)
        except ValueError:
            message = f"invalid {key} {value!r} for {name}"
            raise ValueError(message) from None
    return read


def _occurrences(text: str) -> Window:
    if text == "every":
        return Window(1, None)
    match = re.fullmatch(r"(\d*)(\.\.)?(\d*)", text, re.ASCII)
    if match is None or not (match[1] or match[3]) or (match[3] and not match[2]):
        message = f"invalid WHEN {text!r}; use 2, 2.., ..3, 2..4 or every"
        raise ValueError(message)
    first = int(match[1] or 1)
    last = None if match[2] and not match[3] else int(match[3] or first)
    if first < 1 or (last is not None and last < first):
        message = f"invalid WHEN {text!r}: it never occurs"
        raise ValueError(message)
    return Window(first, last)
