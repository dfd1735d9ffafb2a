"""The options of a run: what a program may pass, and how invalid values are reported."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from uploader.errors import UsageError
from uploader.figshare.settings import RetryPolicy, Settings
from uploader.transfer.options import Options, RequestOptions, Timetable


@pytest.mark.parametrize(
    "wrong",
    [
        {"connections": 0},
        {"connections": 33},
        {"connections": "33"},
        {"connections": "many"},
        {"limit_rate": 0},
        {"limit_rate": -1.0},
        {"limit_rate": math.nan},
        {"limit_rate": math.inf},
        {"limit_rate": "fast"},
        {"limit_rate": "25:00,1M"},
        {"limit_rate": "08:00,1M 08:00,2M"},
        {"on_conflict": "ask"},
        {"on_conflict": None},
        {"on_conflict": ["skip"]},
        {"max_errors": -1},
        *({name: 10**5000} for name in ("connections", "limit_rate", "max_errors", "grace", "deadline")),
        {"verify_timeout": -1},
        {"verify_timeout": "-1s"},
        {"verify_timeout": "later"},
        {"grace": math.inf},
        {"settle_timeout": math.nan},
    ],
)
def test_an_invalid_value_is_rejected_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Options(**wrong)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"connections": 2.0}, "connections must be a number from 1 to 32, 'auto' or None, not float"),
        ({"connections": True}, "connections must be a number from 1 to 32, 'auto' or None, not bool"),
        ({"limit_rate": b"20M"}, "limit_rate must be bytes per second, a string such as '20M', .* not bytes"),
        ({"limit_rate": True}, "limit_rate must be bytes per second, .* not bool"),
        ({"hash_first": "yes"}, "hash_first must be True or False, not str"),
        ({"restart_changed": 1}, "restart_changed must be True or False, not int"),
        ({"max_errors": "3"}, r"max_errors must be a number of files \(int\) or None, not str"),
        ({"verify_timeout": None}, "verify_timeout must be seconds, or a string such as '90s' or '15min', not None"),
        ({"grace": True}, "grace must be seconds, .* not bool"),
        ({"settle_timeout": (3,)}, "settle_timeout must be seconds, .* not tuple"),
    ],
)
def test_a_wrong_type_is_a_type_error_that_names_the_expected_one(wrong: dict[str, Any], expected: str) -> None:
    with pytest.raises(TypeError, match=expected):
        Options(**wrong)


def test_the_smallest_valid_values() -> None:
    Options(connections=32, limit_rate=1, max_errors=0, verify_timeout=0, grace=0, settle_timeout=0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ({"connections": "auto"}, {"connections": None}),
        ({"connections": "8"}, {"connections": 8}),
        ({"limit_rate": "20M"}, {"limit_rate": 20e6}),
        ({"limit_rate": "400mbit"}, {"limit_rate": 50e6}),
        ({"limit_rate": "off"}, {"limit_rate": None}),
        ({"limit_rate": "08:00,20M 19:00,off"}, {"limit_rate": Timetable(((8 * 3600, 20e6), (19 * 3600, None)))}),
        ({"verify_timeout": "15min"}, {"verify_timeout": 900}),
        ({"grace": "90"}, {"grace": 90}),
        ({"settle_timeout": "1h30min"}, {"settle_timeout": 5400}),
    ],
)
def test_strings_are_read_as_on_the_command_line(text: dict[str, Any], value: dict[str, Any]) -> None:
    options = Options(**text)
    assert options == Options(**value)
    name = next(iter(value))
    assert getattr(options, name) == value[name]


def test_options_are_values_given_by_name() -> None:
    options = Options(connections=3)
    assert dataclasses.replace(options, grace=60) == Options(connections=3, grace="1min")
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.grace = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        Options(3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "wrong", [{"api_rate": 0}, {"api_rate": "0"}, {"api_rate": "fast"}, {"retry_timeout": -1}, {"stall_timeout": "x"}]
)
def test_an_invalid_request_option_is_rejected_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        RequestOptions(**wrong)


def test_request_options_change_the_settings_of_a_session_and_nothing_else() -> None:
    settings = Settings("https://x/v2", ca_file=Path("ca.pem"), retry=RetryPolicy(first_delay=2))
    options = RequestOptions(api_rate="0.5", retry_timeout="1h", stall_timeout="2min", settle_timeout=5)
    assert options.applied_to(settings) == Settings(
        "https://x/v2",
        ca_file=Path("ca.pem"),
        retry=RetryPolicy(first_delay=2, elapsed_cap=3600),
        throttled=settings.throttled,
        api_rate=0.5,
        stall_timeout=120,
        visibility_timeout=5,
    )
    assert RequestOptions().applied_to(Settings("https://x/v2")) == Settings("https://x/v2")
    assert RequestOptions().applied_to(Settings("https://x/v2", api_rate=None)).api_rate is None
