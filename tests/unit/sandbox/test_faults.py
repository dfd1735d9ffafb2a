"""The grammar of faults, and when they occur."""

from __future__ import annotations

import pytest

from uploader.sandbox import fault_actions, statistics_routes, upload_routes
from uploader.sandbox.faults import SPECS, FaultRules, Stage, Window, read_rule, read_toml
from uploader.sandbox.operations import REQUESTS
from uploader.sandbox.server import API


def test_every_operation_has_a_name_for_faults() -> None:
    kinds = {route.kind for module in (*API, upload_routes, statistics_routes) for route in module.routes()}
    assert kinds - {"page"} == REQUESTS


def test_every_answer_fault_has_an_action() -> None:
    assert {name for name, spec in SPECS.items() if spec.stage is Stage.ANSWER} == set(fault_actions.ACTIONS)


def test_a_complete_rule() -> None:
    rule = read_rule("put-part@3:2..=503,retry-after=5,body=html")
    assert (rule.request, rule.part, rule.when) == ("put-part", 3, Window(2, None))
    assert (rule.fault.name, rule.fault.options) == ("status", {"code": 503, "retry-after": "5", "body": "html"})


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("initiate=reset", Window(1, 1)),
        ("initiate:3=reset", Window(3, 3)),
        ("initiate:3..=reset", Window(3, None)),
        ("initiate:..3=reset", Window(1, 3)),
        ("initiate:2..3=reset", Window(2, 3)),
        ("initiate:every=reset", Window(1, None)),
    ],
)
def test_when_expressions(text: str, when: Window) -> None:
    assert read_rule(text).when == when


def test_urls_may_contain_equals_signs() -> None:
    assert read_rule("get-file=redirect,to=http://x/?a=b").fault.options == {"to": "http://x/?a=b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid fault"),
        ("put-part", "invalid fault"),
        ("put-part=", "invalid fault"),
        ("put-part=explode", "unknown fault 'explode'"),
        ("putpart=reset", "unknown request 'putpart'"),
        ("put-part=99", "invalid code '99'"),
        ("put-part=600", "invalid code '600'"),
        ("put-part=status", "status needs code="),
        ("put-part=503,retry-after=soon", "invalid retry-after 'soon'"),
        ("put-part=503,after=1", "status has no option 'after'; it has code, retry-after, body"),
        ("put-part=reset,now=1", "reset has no option 'now'"),
        ("put-part=reset,now", "'now' in"),
        ("put-part=hang,seconds=-1", "invalid seconds '-1'"),
        ("put-part:0=reset", "it never occurs"),
        ("put-part:3..2=reset", "it never occurs"),
        ("put-part:x=reset", "invalid WHEN 'x'"),
        ("put-part:..=reset", "invalid WHEN '..'"),
        ("initiate@1=reset", "initiate takes no part number or id"),
        ("any@1=reset", "any takes no part number or id"),
        ("initiate=flip-bit", "flip-bit applies to put-part, not initiate"),
        ("any=wrong-md5", "wrong-md5 applies to complete, not any"),
        ("get-file=redirect", "redirect needs to="),
        ("get-file=redirect,to=elsewhere", "invalid to 'elsewhere'"),
    ],
)
def test_invalid_rules(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_rule(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_toml() -> None:
    rules = read_toml(
        """
        faults = ["initiate=lost-answer"]
        [[fault]]
        request = "put-part"
        part = 3
        when = "2.."
        fault = 503
        retry-after = 1
        [[fault]]
        request = "complete"
        when = 2
        fault = "wrong-md5"
        """
    )
    assert [rule.request for rule in rules] == ["initiate", "put-part", "complete"]
    assert (rules[1].part, rules[1].when, rules[1].fault.options) == (
        3,
        Window(2, None),
        {"code": 503, "retry-after": "1"},
    )
    assert rules[2].when == Window(2, 2)


@pytest.mark.parametrize(
    "text", ["x", "x = 1", "faults = 1", "fault = [1]", "[[fault]]\nrequest = 'any'", "fault = {}"]
)
def test_bad_toml(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_toml(text)


def names(book: FaultRules, request: str, part: int | None = None) -> list[str]:
    return [fault.name for fault in book.decide(request, part)]


def test_each_rule_counts_matching_requests() -> None:
    book = FaultRules([read_rule("put-part@2:2=reset"), read_rule("put-part:3=html")])
    assert names(book, "put-part", 1) == []
    assert names(book, "put-part", 2) == []
    assert names(book, "get-part", 2) == []
    assert names(book, "put-part", 2) == ["reset"]
    assert names(book, "put-part", 2) == []
    assert [entry["seen"] for entry in book.listing()] == [3, 4]


def test_all_state_faults_and_the_first_answer_fault_apply() -> None:
    lines = ["put-part=html", "put-part=lock", "any=reset", "put-part=abort-upload"]
    book = FaultRules([read_rule(line) for line in lines])
    assert names(book, "put-part", 1) == ["lock", "abort-upload", "html"]


def test_any_matches_every_operation_but_no_page() -> None:
    book = FaultRules([read_rule("any:every=reset")])
    assert names(book, "page") == names(book, "control") == names(book, "other") == []
    assert names(book, "get-item") == ["reset"]


def test_rules_can_be_added_and_cleared() -> None:
    book = FaultRules([])
    assert names(book, "initiate") == []
    book.add([read_rule("initiate=reset")])
    assert names(book, "initiate") == ["reset"]
    book.clear()
    assert book.listing() == []
