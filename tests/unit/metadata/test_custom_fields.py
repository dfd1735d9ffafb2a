"""Values of custom fields: accepted values of each kind, their form for Figshare, and errors."""

from __future__ import annotations

import pytest

from uploader.figshare.models import CustomField
from uploader.metadata.custom_fields import FieldError, validate
from uploader.metadata.model import Value

KNOWN = (
    CustomField(name="Instrument", kind="text", min_length=2, max_length=10),
    CustomField(name="Remark", kind="text"),
    CustomField(name="Site", kind="dropdown", options=("North", "South", "Loch Ness")),
    CustomField(name="Grade", kind="dropdown"),
    CustomField(name="Recorded on", kind="date"),
    CustomField(name="Protocol", kind="url"),
    CustomField(name="Contact", kind="email"),
    CustomField(name="Department", kind="dropdown_large_list"),
    CustomField(name="Shape", kind="of a kind that is new"),
)


@pytest.mark.parametrize(
    ("name", "value", "fitting"),
    [
        ("Instrument", "GPS", "GPS"),
        ("Site", "north", "North"),
        ("Site", ["Loch-Ness", "South"], ["Loch Ness", "South"]),
        ("Grade", "anything", "anything"),
        ("Department", ["Botany"], ["Botany"]),
        ("Recorded on", "2024-05-17T10:00:00", "2024-05-17"),
        ("Protocol", "10.1234/abc", "https://doi.org/10.1234/abc"),
        ("Contact", "a@example.org", "a@example.org"),
        ("Shape", ["a", "b"], ["a", "b"]),
    ],
)
def test_values_are_converted_to_the_fields_type(name: str, value: Value, fitting: Value) -> None:
    assert validate({name: value}, KNOWN) == ({name: fitting}, [])


def test_a_field_is_found_in_any_spelling() -> None:
    assert validate({"recorded_on": "2024-05-17"}, KNOWN)[0] == {"Recorded on": "2024-05-17"}
    _, faults = validate({"Remark": "a", "remark": "b"}, KNOWN)
    assert faults == [FieldError(name="remark", value=None, message="duplicates Remark")]


def test_all_problems_are_reported() -> None:
    given: dict[str, Value] = {
        "Sight": "x", "Instrument": "x", "Remark": "r" * 251, "Site": ["North", "Loch Nes", "West Coast"],
        "Recorded on": "17.5.2024", "Protocol": "example.org", "Contact": ["a@example.org", "b"],
    }  # fmt: skip
    _, faults = validate(given, KNOWN)
    assert [(one.name, one.value and one.value[:10], one.message, one.hint) for one in faults] == [
        ("Sight", None, "unknown custom field 'Sight'", 'Did you mean "Site"?'),
        ("Instrument", "x", "has 1 characters; this field allows 2 to 10", None),
        ("Remark", "r" * 10, "has 251 characters; this field allows 0 to 250", None),
        ("Site", "Loch Nes", "unknown value 'Loch Nes'", 'Did you mean "Loch Ness"?'),
        ("Site", "West Coast", "unknown value 'West Coast'", "Known values: North, South, Loch Ness."),
        ("Recorded on", "17.5.2024", "invalid date '17.5.2024'; use e.g. 2024-05-17", None),
        ("Protocol", "example.or", "invalid web address 'example.org'; use e.g. https://example.org", None),
        ("Contact", None, "takes one value, not a list", None),
    ]


def test_an_account_without_custom_fields() -> None:
    _, (fault,) = validate({"Site": "North"}, [])
    assert fault.message == "unknown custom field 'Site'; this account and group have none"
