"""`figup records template` and `check`: real commands, without an account and against the sandbox."""

from __future__ import annotations

import json

from tests.support.command import Figup

WORKS = [
    {"DOI": "10.1234/a", "title": ["A dam"], "author": [{"family": "Doe"}], "reference": [{"key": "1"}]},
    {"DOI": "10.1234/A", "title": ["B dam"], "author": [{"family": "Doe", "ORCID": "0000-0002-1825-0098"}]},
]


def test_a_file_of_records_is_checked_without_an_account(bare_figup: Figup) -> None:
    (bare_figup.cwd / "works.json").write_text(json.dumps(WORKS))
    done = bare_figup.run("records", "check", "works.json").expect(2)
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "figup: not used: reference (1)",
        "figup: works.json: record 2, authors[1].orcid: invalid ORCID iD '0000-0002-1825-0098': wrong check digit",
        "figup: works.json: record 2: 10.1234/a is in record 1 already",
        "figup: works.json: 2 problems; nothing was done. `figup records template` shows the columns; "
        "`figup help records` explains them.",
    ]
    (bare_figup.cwd / "works.json").write_text(json.dumps(WORKS[:1]))
    result = bare_figup.run("records", "check", "works.json", "--json").expect(0)
    assert {name: result.events[0][name] for name in ("event", "format", "records", "unused")} == {
        "event": "checked", "format": "crossref", "records": 1, "unused": {"reference": 1},
    }  # fmt: skip


def test_names_are_looked_up_online(figup: Figup) -> None:
    figup.run("records", "template", "--for", "datacite", "--output", "defaults.yaml").expect(0)
    (figup.cwd / "works.json").write_text(json.dumps(WORKS[:1]))
    done = figup.run("records", "check", "works.json", "--defaults", "defaults.yaml", "--online").expect(2)
    assert "contains no metadata" in done.stderr, "defaults that nobody filled in"
    (figup.cwd / "defaults.yaml").write_text("categories: [Animal behavior]\n")
    done = figup.run("records", "check", "works.json", "--defaults", "defaults.yaml", "--online").expect(2)
    assert "figup: defaults.yaml: line 1, categories[1]: unknown category 'Animal behavior'" in done.stderr
    (figup.cwd / "defaults.yaml").write_text("categories: [Animal behaviour]\n")
    figup.run("records", "check", "works.json", "--defaults", "defaults.yaml", "--online").expect(0)
