"""Identifiers of related materials: inferred kinds, and mismatches with the given kind."""

from __future__ import annotations

import pytest

from uploader.metadata.materials import checked, kind_of
from uploader.metadata.vocabulary import IDENTIFIER_TYPES

GOOD = [
    ("https://doi.org/10.1234/a", "DOI", "10.1234/a"),
    ("10.1000.10/123", "DOI", "10.1000.10/123"),
    ("https://example.org/a", "URL", "https://example.org/a"),
    ("arXiv:2401.00001v2", "arXiv", "2401.00001v2"),
    ("https://arxiv.org/abs/math.GT/0309136", "arXiv", "math.GT/0309136"),
    ("hdl:20.500.12345/a-b", "Handle", "20.500.12345/a-b"),
    ("https://hdl.handle.net/10261/12345", "Handle", "10261/12345"),
    ("ISBN 978-3-16-148410-0", "ISBN", "978-3-16-148410-0"),
    ("isbn:0-8044-2957-X", "ISBN", "0-8044-2957-X"),
    ("issn: 2049-3630", "ISSN", "2049-3630"),
    ("pmid:30351857", "PMID", "30351857"),
    ("ark:/12148/btv1b8449691v", "ARK", "ark:/12148/btv1b8449691v"),
    ("urn:nbn:de:101:1-201102033592", "URN", "urn:nbn:de:101:1-201102033592"),
    ("urn:lsid:zoobank.org:pub:CDC8D258", "LSID", "urn:lsid:zoobank.org:pub:CDC8D258"),
]


@pytest.mark.parametrize(("text", "kind", "identifier"), GOOD)
def test_the_kind_follows_from_the_form(text: str, kind: str, identifier: str) -> None:
    assert kind_of(text) == kind
    assert checked(text, kind) == identifier


@pytest.mark.parametrize(
    ("text", "kind", "identifier"),
    [
        ("9783161484100", "ISBN", "9783161484100"),
        ("0378-5955", "EISSN", "0378-5955"),
        ("20493630", "LISSN", "20493630"),
        ("https://pubmed.ncbi.nlm.nih.gov/30351857/", "PMID", "30351857"),
        ("4006381333931", "EAN13", "4006381333931"),
        ("0 36000 29145 2", "UPC", "0 36000 29145 2"),
        ("1974AJ.....79..819H", "bibcode", "1974AJ.....79..819H"),
        ("https://w3id.org/a", "w3id", "https://w3id.org/a"),
        ("http://purl.org/a", "PURL", "http://purl.org/a"),
        ("10.1234/a", "URL", "https://doi.org/10.1234/a"),
    ],
)
def test_identifiers_of_a_given_kind(text: str, kind: str, identifier: str) -> None:
    assert checked(text, kind) == identifier


@pytest.mark.parametrize("text", ["foo", "swh:1:dir:d198bc9d7a6bcf6db04f476d29314f157507d505", "ftp://a.b/c", "10.1/x"])
def test_no_kind_follows_from_the_form(text: str) -> None:
    assert kind_of(text) is None


@pytest.mark.parametrize("kind", IDENTIFIER_TYPES)
def test_every_kind_rejects_other_text(kind: str) -> None:
    with pytest.raises(ValueError, match=r"^invalid .+ 'not one'; use e.g. "):
        checked("not one", kind)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("978-3-16-148410-1", "ISBN"), ("0-8044-2957-1", "ISBN"), ("2049-3631", "ISSN"), ("4006381333932", "EAN13")],
)
def test_a_wrong_check_digit(text: str, kind: str) -> None:
    with pytest.raises(ValueError, match=f"invalid {kind} '{text}': wrong check digit"):
        checked(text, kind)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("abc", "ISBN"),
        ("978316148410", "ISBN"),
        ("2401.1", "arXiv"),
        ("12345", "Handle"),
        ("a1", "PMID"),
        ("doi", "DOI"),
    ],
)
def test_invalid_identifiers_of_a_given_kind(text: str, kind: str) -> None:
    with pytest.raises(ValueError, match=f"invalid {kind} '{text}'; use e.g. "):
        checked(text, kind)
