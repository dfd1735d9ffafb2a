"""Faults as data: what goes wrong, with which request, which time. Reads them from text and TOML, and counts. No I/O.

In one line: `REQUEST[@PART][:WHEN]=FAULT[,OPTION=VALUE]...`, such as `put-part@3:2..=503,retry-after=5`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from uploader.sandbox.operations import FILE_REQUESTS, PART_REQUESTS, REQUESTS, UPLOAD_REQUESTS


class Stage(Enum):
    """When a fault acts, and what it takes the place of."""

    STATE = "before the request is served, which then goes on"
    ANSWER = "instead of the honest answer; one a request"


@dataclass(frozen=True, slots=True)
class Spec:
    """A kind of fault: its options with how they are read, the requests it fits (None: all), and words for the help."""

    stage: Stage
    words: str
    options: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)
    requests: frozenset[str] | None = None


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
        Stage.ANSWER, "that status, and nothing done; written as the bare number",
        {"code": _status, "retry-after": _retry_after, "body": _one_of("json", "html", "empty")},
    ),
    "html": Spec(Stage.ANSWER, "200 with a page of HTML, and nothing done"),
    "waf-202": Spec(Stage.ANSWER, "empty 202 with x-amzn-waf-action: challenge"),
    "waf-403": Spec(Stage.ANSWER, "403 of a firewall", {"body": _one_of("empty", "html")}),
    "redirect": Spec(Stage.ANSWER, "to another address", {"to": _url, "code": _status}),
    "reset": Spec(Stage.ANSWER, "connection reset before the body is read"),
    "reset-mid-body": Spec(Stage.ANSWER, "connection reset after half the body, or so many bytes", {"bytes": _count}),
    "lost-answer": Spec(Stage.ANSWER, "everything is done, then the connection is reset"),
    "stall": Spec(Stage.ANSWER, "nothing is read for so long, then all goes on", {"seconds": _seconds}),
    "late": Spec(Stage.ANSWER, "done after so long, also where the client has gone by then", {"seconds": _seconds}),
    "hang": Spec(Stage.ANSWER, "everything is done, the answer waits so long", {"seconds": _seconds}),
    "hang-mid-answer": Spec(Stage.ANSWER, "done, half the answer, then silence", {"seconds": _seconds}),
    "cut-answer": Spec(Stage.ANSWER, "done, half the answer, then a reset"),
    "trickle": Spec(Stage.ANSWER, "done, the answer byte by byte, a pause after each", {"seconds": _seconds}),
    "truncated-json": Spec(Stage.ANSWER, "done, half of the JSON as if it were all"),
    "invalid-json": Spec(Stage.ANSWER, "done, an answer that is no JSON and says it is"),
    "flip-bit": Spec(
        Stage.ANSWER, "the part is stored with one bit wrong and acknowledged", {"byte": _count},
        frozenset({"put-part"}),
    ),
    "lock": Spec(Stage.STATE, "the part is locked for so long from now on", {"seconds": _seconds}, PART_REQUESTS),
    "abort-upload": Spec(Stage.STATE, "the upload turns ABORTED", {}, UPLOAD_REQUESTS | FILE_REQUESTS),
    "lose-upload": Spec(Stage.STATE, "the upload is 404 from now on", {}, UPLOAD_REQUESTS | FILE_REQUESTS),
    "hide": Spec(Stage.STATE, "the new file is invisible for so long", {"seconds": _seconds}, frozenset({"initiate"})),
    "wrong-md5": Spec(Stage.STATE, "computed_md5 will be a wrong one", {}, frozenset({"complete"})),
    "no-md5": Spec(Stage.STATE, "computed_md5 will never come", {}, frozenset({"complete"})),
    "quota-full": Spec(Stage.STATE, "the account's quota is used up from now on"),
    "revoke-token": Spec(Stage.STATE, "the token is good for nothing from now on"),
}  # fmt: skip
_NEEDED = {"status": "code", "redirect": "to"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong; `options` are read already, and hold only what was given."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stage(self) -> Stage:
        return SPECS[self.name].stage

    @property
    def seconds(self) -> float:
        """The time option; an hour, which outlasts every client's patience, where none was given."""
        return float(self.options.get("seconds", 3600.0))


@dataclass(frozen=True, slots=True)
class Window:
    """Which of the requests that fit, counted from 1: `first` to `last`, both included; `last` None is no end."""

    first: int = 1
    last: int | None = 1

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number and (self.last is None or number <= self.last)


@dataclass(frozen=True, slots=True)
class Rule:
    """A fault and when it strikes. `part` None: whichever part. `text` is how it was written."""

    request: str
    part: int | None
    when: Window
    fault: Fault
    text: str

    def fits(self, request: str, part: int | None) -> bool:
        """Whether a request counts for this rule."""
        if self.request not in {request, "any"} or request not in REQUESTS:
            return False
        return self.part is None or self.part == part


class FaultBook:
    """The rules that are in force, and how many requests each has seen."""

    def __init__(self, rules: list[Rule]) -> None:
        self._entries: list[tuple[Rule, list[int]]] = []
        self.add(rules)

    def add(self, rules: list[Rule]) -> None:
        """Put rules behind the present ones; they count from now."""
        self._entries += [(rule, [0]) for rule in rules]

    def clear(self) -> None:
        """Drop all rules."""
        self._entries.clear()

    def listing(self) -> list[dict[str, Any]]:
        """Each rule with the number of requests it has seen."""
        return [{"fault": rule.text, "seen": seen[0]} for rule, seen in self._entries]

    def decide(self, request: str, part: int | None) -> list[Fault]:
        """Count a request and return its faults: all that change the state, and the first that spoils the answer."""
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
    """A rule from one line; ValueError with words for a person."""
    match = _LINE.fullmatch(text.strip())
    if match is None:
        message = f"{text!r} is no fault; write REQUEST[@PART][:WHEN]=FAULT[,OPTION=VALUE]"
        raise ValueError(message)
    name, *pairs = match["fault"].split(",")
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            message = f"{pair!r} in {text!r} is no OPTION=VALUE"
            raise ValueError(message)
        options[key.strip()] = value.strip()
    part = None if match["part"] is None else int(match["part"])
    return _rule(match["request"], part, match["when"] or "1", name.strip(), options, text)


def read_toml(text: str) -> list[Rule]:
    """Rules from TOML: `faults`, a list of lines, and tables [[fault]] with request, part, when, fault and options."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"not TOML: {error}"
        raise ValueError(message) from error
    unknown = document.keys() - {"fault", "faults"}
    lines, tables = document.get("faults", []), document.get("fault", [])
    if unknown or not isinstance(lines, list) or not isinstance(tables, list):
        message = "only a list `faults` and tables [[fault]] belong there"
        raise ValueError(message)
    return [read_rule(str(line)) for line in lines] + [_from_table(table) for table in tables]


def _from_table(table: Any) -> Rule:
    if not isinstance(table, dict):
        message = "[[fault]] is a table"
        raise ValueError(message)  # noqa: TRY004 - one kind of error for all that is wrong in a file
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
        message = f"{name!r} is no fault; they are a status or {', '.join(one for one in SPECS if one != 'status')}"
        raise ValueError(message)
    if request not in REQUESTS | {"any"}:
        message = f"{request!r} is no request; they are any, {', '.join(sorted(REQUESTS))}"
        raise ValueError(message)
    if spec.requests is not None and request not in spec.requests:
        message = f"{name} fits {', '.join(sorted(spec.requests))}, not {request}"
        raise ValueError(message)
    if part is not None and request not in PART_REQUESTS:
        message = f"{request} has no part number; {', '.join(sorted(PART_REQUESTS))} have"
        raise ValueError(message)
    needed = _NEEDED.get(name)
    if needed is not None and needed not in options:
        message = f"{name} needs {needed}="
        raise ValueError(message)
    return Rule(request, part, _occurrences(when), Fault(name, _options(name, spec, options)), text)


def _options(name: str, spec: Spec, given: dict[str, str]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for key, value in given.items():
        if key not in spec.options:
            message = f"{name} has no option {key!r}" + (f"; it has {', '.join(spec.options)}" if spec.options else "")
            raise ValueError(message)
        try:
            read[key] = spec.options[key](value)
        except ValueError:
            message = f"{value!r} is no {key} for {name}"
            raise ValueError(message) from None
    return read


def _occurrences(text: str) -> Window:
    if text == "every":
        return Window(1, None)
    match = re.fullmatch(r"(\d*)(\.\.)?(\d*)", text, re.ASCII)
    if match is None or not (match[1] or match[3]) or (match[3] and not match[2]):
        message = f"{text!r} is no WHEN; write 2, 2.., ..3, 2..4 or every"
        raise ValueError(message)
    first = int(match[1] or 1)
    last = None if match[2] and not match[3] else int(match[3] or first)
    if first < 1 or (last is not None and last < first):
        message = f"{text!r} is no WHEN: it never comes"
        raise ValueError(message)
    return Window(first, last)
