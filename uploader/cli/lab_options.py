"""The options that a job was run with, as recorded, in words for the lab page. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uploader import units

_NOT_TOLD = {"nul", "repeated"}
"""What a command keeps for its lists, and is no choice of how to send."""
_SECONDS = {"retry_timeout", "stall_timeout", "verify_timeout", "grace", "settle_timeout"}


def options_words(options: Mapping[str, Any]) -> str:
    """Each option and what was said of it."""
    told = {name: value for name, value in options.items() if name not in _NOT_TOLD}
    return "; ".join(_option(name, value) for name, value in told.items()) or "none"


def _option(name: str, value: Any) -> str:
    option = f"--{name.removesuffix('s') if name == 'reports' else name}".replace("_", "-")
    return option if value is True else f"{option} {_value(name, value)}"


def _value(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if name == "limit_rate":
        return units.format_rate(value) if isinstance(value, int | float) else "by the time of day"
    if name in _SECONDS and isinstance(value, int | float):
        return units.format_duration(value)
    return str(value)
