"""The HTML report: its contents, escaping and size, and the layout of its plot."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.support.pages import Element, parse
from uploader.cli.report_html import report_html
from uploader.cli.report_plot import RunRates, plot, run_rates, sent_until
from uploader.transfer.history.build_report import Described, Incident, JobReport, RetrySummary, RunEntry
from uploader.transfer.report import FileReport, Problem, SkipReport

MD5 = "0123456789abcdef0123456789abcdef"
AT = "2026-03-01T12:00:01+00:00"
EVIL = "</title></style></code><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;\x1b[2J\n\udcff"


def file(number: int, **fields: Any) -> FileReport:
    made = FileReport(
        path=f"/data/set/{number}.csv",
        name=f"{number}.csv",
        size=1000,
        status="verified",
        md5=MD5,
        file_id=7_000_000 + number,
        verified_at="2026-03-01T12:00:02+00:00",
    )
    return msgspec.structs.replace(made, **fields)


def run(seconds: float = 10.0, sent: int = 1000, **fields: Any) -> RunEntry:
    samples = tuple((seconds * step / 10, sent * step // 10) for step in range(11))
    made = RunEntry(
        began="2026-03-01T12:00:00+00:00",
        ended="2026-03-01T12:00:10+00:00",
        seconds=seconds,
        outcome="verified",
        message=None,
        version="0.1.0",
        host="node7",
        pid=12,
        sent=sent,
        samples=samples,
    )
    return msgspec.structs.replace(made, **fields)


def job_report(*files: FileReport, **fields: Any) -> JobReport:
    made = JobReport(
        figup_report=1,
        changed=datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC),
        made="2026-03-01T13:00:00+00:00",
        made_by="0.1.0",
        job="k3f9",
        state="done",
        endpoint="https://api.figshare.com/v2",
        item_id=1234,
        item_url="https://figshare.com/account/articles/1234",
        title="Survey",
        planned="2026-03-01T11:59:59+00:00",
        version="0.1.0",
        bytes_total=sum(f.size for f in files),
        bytes_sent=1000,
        seconds=10.0,
        counts={"verified": len(files)},
        files=files,
        skipped=(),
        runs=(run(),),
        faults=(),
        incidents=(),
    )
    return msgspec.structs.replace(made, **fields)


def tables(page: Element) -> dict[str, list[list[str]]]:
    """Map each heading to the rows of the table below it."""
    found, heading = {}, ""
    for element in page.one("body").all():
        if element.tag == "h2":
            heading = element.text
        elif element.tag == "table":
            found[heading] = element.rows()
    return found


def test_shows_files_runs_and_retried_errors() -> None:
    page = parse(
        report_html(
            job_report(file(1), file(2, found=True), faults=(RetrySummary(reason="503", times=5, first=AT, last=AT),))
        )
    )
    text = page.text
    for wanted in ("Survey", "1234", "https://figshare.com/account/articles/1234", "figup 0.1.0", "k3f9", "node7"):
        assert wanted in text
    assert "All 2 files are on Figshare and verified" in text
    known = tables(page)
    assert known["Files"][1:] == [
        ["1.csv", "1,000", MD5, "7000001", "2026-03-01 12:00:02"],
        ["2.csv", "1,000", MD5, "7000002", "2026-03-01 12:00:02, already on Figshare"],
    ]
    assert known["Runs"][1][-2:] == ["all verified", "process 12 on node7, figup 0.1.0"]
    assert known["Retried errors"][1][:2] == ["503", "5"]
    assert [e.text for e in page.one("svg").all("desc")] == ["1 run, up to 100 bytes/s"]
    assert "figup verify 1234 PATH..." in text


def test_failed_files_come_first_with_their_reason() -> None:
    job = job_report(
        file(1), file(2, status="failed", md5=None, verified_at=None,
            error=Problem(code="conflict", message="2.csv: other file")),
        counts={"verified": 1, "failed": 1}, state="failed",
        incidents=(Incident(at=AT, kind="restarted", path="/data/set/1.csv", message="/data/set/1.csv: lost"),),
    )  # fmt: skip
    page = parse(report_html(job))
    assert "1 of 2 files verified; 1 failed. Job state: failed." in page.text
    assert tables(page)["Files that failed"][1] == ["/data/set/2.csv", "1.00 kB", "failed", "other file"]
    assert tables(page)["Incidents"][1] == ["2026-03-01 12:00:01", "sent again", "/data/set/1.csv", "lost"]


def test_shows_publication_and_how_the_job_was_run() -> None:
    job = job_report(
        file(1), doi="10.6084/m9.figshare.1234", published="public", published_version=2,
        published_at="2026-03-01T12:00:12+00:00", account=77, manifest="/state/manifest.md5",
        options={"on_conflict": "replace", "hash_first": True, "limit_rate": 4e5, "grace": 60.0, "nul": False},
        description=Described(mark="5ab", fields=("title", "tags"), done=False),
    )  # fmt: skip
    page = parse(report_html(job))
    facts = dict(zip([e.text for e in page.all("dt")], [e.text for e in page.all("dd")], strict=True))
    wanted = {
        "DOI": "10.6084/m9.figshare.1234",
        "Published": "yes, version 2, 2026-03-01 12:00:12 UTC",
        "Started": "2026-03-01 11:59:59 UTC",
        "On behalf of": "account 77",
        "Options": "--on-conflict replace; --hash-first; --limit-rate 400 kB/s; --grace 1 min 00 s",
        "Metadata": "title, tags (fingerprint 5ab); not applied yet",
        "List of MD5s": "/state/manifest.md5",
    }
    assert {name: facts[name] for name in wanted} == wanted
    plain = {e.text for e in parse(report_html(job_report(file(1)))).all("dt")}
    assert not plain & (wanted.keys() - {"Started"})


def test_lists_replaced_files_by_id() -> None:
    page = parse(report_html(job_report(file(1), file(2, folder="a", replaced=(11, 12)))))
    heading = "Replaced files, removed from the item"
    assert tables(page)[heading][1:] == [["a/2.csv", "11", "7000002"], ["a/2.csv", "12", "7000002"]]
    assert heading not in tables(parse(report_html(job_report(file(1)))))


def test_folders_links_and_skipped_files() -> None:
    inside = file(1, path="/data/set/a/1.csv", folder="set/a")
    renamed = file(2, path="/data/set/2.csv", folder="tables", name="two.csv")
    link = file(3, path="https://example.org/3.csv", name="3.csv", size=0, status="linked", md5=None, verified_at=None)
    skipped = (SkipReport("/data/set/.git/", "hidden"), SkipReport("/data/set/x", "excluded"))
    page = parse(report_html(job_report(inside, renamed, link, skipped=skipped, counts={"verified": 2, "linked": 1})))
    assert "All 2 files are on Figshare and verified" in page.text
    assert "1 more file linked" in page.text
    known = tables(page)
    assert [row[0] for row in known["Files"][1:]] == [
        "set/a/1.csv",
        "tables/two.csvfrom 2.csv",
        "3.csvfrom https://example.org/3.csv",
    ]
    assert known["Files"][3][1:3] == ["-", "linked"]
    assert known["Skipped"][1:] == [
        ["/data/set/.git/", "hidden (--hidden includes it)"],
        ["/data/set/x", "excluded by --exclude or .figupignore"],
    ]
    alone = parse(report_html(job_report(link, counts={"linked": 1})))
    assert "Sources are in" not in alone.text


def test_external_text_is_escaped_everywhere() -> None:
    job = job_report(
        file(1, path=f"/data/{EVIL}/a", name=EVIL, md5=EVIL, status=EVIL, error=Problem(code=EVIL, message=EVIL)),
        skipped=(SkipReport(EVIL, EVIL),), title=EVIL, job=EVIL, endpoint=EVIL, item_url=EVIL, version=EVIL,
        faults=(RetrySummary(reason=EVIL, times=1, first=AT, last=AT),),
        incidents=(Incident(at=AT, kind="warning", path=EVIL, message=EVIL),),
        runs=(run(outcome=EVIL, message=EVIL, host=EVIL, version=EVIL),),
    )  # fmt: skip
    page = parse(report_html(job))
    tags = {element.tag for element in page.all()}
    assert not tags & {"script", "img", "iframe", "object", "link", "form"}
    attributes = {name for element in page.all() for name in element.attributes}
    assert not {name for name in attributes if name.startswith("on")}
    assert "\x1b" not in page.text
    assert page.text.count("<script>alert(1)</script>") >= 12
    (policy,) = [e for e in page.all("meta") if e.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy.attributes["content"]).startswith("default-src 'none'")


def test_only_http_urls_become_links() -> None:
    page = parse(report_html(job_report(file(1), item_url="javascript:alert(1)")))
    assert list(page.all("a")) == []
    assert "javascript:alert(1)" in page.text


@pytest.mark.search
def test_ten_thousand_files_render_quickly_and_small() -> None:
    started = time.process_time()
    text = report_html(job_report(*(file(number) for number in range(10_000))))
    assert time.process_time() - started < 10
    assert len(text) < 4_000_000
    assert len(tables(parse(text))["Files"]) == 10_001


def test_no_plot_without_samples() -> None:
    page = parse(report_html(job_report(file(1), runs=())))
    assert list(page.all("svg")) == []
    assert "No run of this job was recorded." in page.text
    assert run_rates([run(sent=0, samples=((0.0, 0),))]) == []


# --- the plot -------------------------------------------------------------------------------------------------------


def test_the_curve_accounts_for_every_byte() -> None:
    curve = run_rates([run(10.0, 1000), run(0.0, 5, samples=((0.0, 0),)), run(300.0, 90_000)])
    assert [segment.run.sent for segment in curve] == [1000, 90_000]
    for segment in curve:
        held = sum(segment.rates) * segment.seconds / len(segment.rates)
        assert held == pytest.approx(segment.run.sent)


def test_bytes_between_samples_are_interpolated() -> None:
    samples = ((0.0, 0), (2.0, 100), (4.0, 500))
    assert [sent_until(samples, at) for at in (0.0, 1.0, 2.0, 3.0, 4.0, 9.0)] == [0, 50, 100, 300, 500, 500]


@pytest.mark.parametrize("runs", [1, 2, 7, 300])
def test_the_plot_stays_within_its_view_box(runs: int) -> None:
    curve = run_rates([run(10.0 + number, 1000 * number + 1) for number in range(runs)])
    picture = plot(curve)
    points = [
        (float(x), float(y)) for area in picture.runs for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", area.outline)
    ]
    assert len(picture.runs) == runs
    assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in points)
    lefts = [area.x for area in picture.runs]
    assert lefts == sorted(lefts)
    assert all(0 <= tick.x <= picture.width for area in picture.runs for tick in area.ticks)


def test_plot_of_a_single_very_short_run() -> None:
    picture = plot([RunRates(run=run(), seconds=0.01, rates=(1e12,))])
    assert picture.peak == picture.grid[-1].rate == 1e12
    assert [(area.pause_x, area.label) for area in picture.runs] == [(None, "")]
