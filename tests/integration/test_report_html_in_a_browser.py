"""The lab page in a real browser, which has its own idea of what is text and what is not, and what fits on paper."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support.pages import parse
from tests.support.programs import require_program
from tests.unit.cli.test_report_html import EVIL, dossier, file, run
from uploader.cli.report_html import report_html
from uploader.text import printable


def browse(page: Path, *what: str) -> subprocess.CompletedProcess[str]:
    """Open the page in a browser without a window."""
    browser = require_program("chromium", "chromium")
    alone = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    kept = f"--user-data-dir={page.parent / 'profile'}"
    return subprocess.run(
        [browser, *alone, kept, "--enable-logging=stderr", *what, page.as_uri()],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip


def test_a_browser_sees_text_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    job = dossier(file(1, name=EVIL, path=f"/data/{EVIL}"), title=EVIL, runs=(run(host=EVIL),))
    page.write_text(report_html(job), "utf-8")
    seen = browse(page, "--dump-dom")
    assert "CONSOLE" not in seen.stderr, "it may complain of what the page's policy forbids"
    dom = parse(seen.stdout)
    assert not {element.tag for element in dom.all()} & {"script", "img"}
    assert dom.one("h1").text == printable(EVIL)
    assert dom.one("head").one("title").text.startswith(printable(EVIL))
    assert len(list(dom.one("svg").all("path"))) == 1


def test_it_is_printed_on_pages(tmp_path: Path) -> None:
    page, paper = tmp_path / "r.html", tmp_path / "r.pdf"
    page.write_text(report_html(dossier(*(file(number) for number in range(200)))), "utf-8")
    browse(page, f"--print-to-pdf={paper}")
    counted = re.search(rb"/Type /Pages\s/Count (\d+)", paper.read_bytes())
    assert counted is not None
    assert 4 <= int(counted[1]) <= 8
