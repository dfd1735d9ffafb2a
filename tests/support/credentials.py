"""Whether any request bore the credential of another host: checked of the sandboxes that fixtures start."""

from __future__ import annotations

from pathlib import Path


def check_credentials(log: Path) -> None:
    """Assert that names and passwords went to the statistics service only, and no token there.

    Reads the text of the log, which may be long and have torn lines.
    """
    for line in log.read_text("utf-8").splitlines() if log.exists() else ():
        if '"service": "statistics"' in line:
            assert '"scheme": null' in line or '"scheme": "basic"' in line, line
        else:
            assert '"scheme": "basic"' not in line, line
