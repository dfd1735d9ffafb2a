"""The HTML report in a real browser: escaping and printing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support.pages import parse
from tests.support.programs import require_program
from tests.unit.cli.test_report_html import EVIL, file, job_report, run
from uploader.cli.report_html import report_html
from uploader.text import printable


def browse(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open the page in a headless browser."""
    browser = require_program("chromium", "chromium")
    headless = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    return subprocess.run(
        [browser, *headless, profile, "--enable-logging=stderr", *options, page.as_uri()],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip


def test_a_browser_parses_external_text_as_text(tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    job = job_report(file(1, name=EVIL, path=f"/data/{EVIL}"), title=EVIL, runs=(run(host=EVIL),))
    page.write_text(report_html(job), "utf-8")
    seen = browse(page, "--dump-dom")
    assert "CONSOLE" not in seen.stderr, "the page must not violate its own policy"
    dom = parse(seen.stdout)
    assert not {element.tag for element in dom.all()} & {"script", "img"}
    assert dom.one("h1").text == printable(EVIL)
    assert dom.one("head").one("title").text.startswith(printable(EVIL))
    assert len(list(dom.one("svg").all("path"))) == 1


def test_prints_on_several_pages(tmp_path: Path) -> None:
    page, paper = tmp_path / "r.html", tmp_path / "r.pdf"
    page.write_text(report_html(job_report(*(file(number) for number in range(200)))), "utf-8")
    browse(page, f"--print-to-pdf={paper}")
    counted = re.search(rb"/Type /Pages\s/Count (\d+)", paper.read_bytes())
    assert counted is not None
    assert 4 <= int(counted[1]) <= 8
