"""Make the sandbox's table of categories: `python scripts/categories.py FIELDS.csv`.

FIELDS.csv is the ANZSRC 2020 classification of fields of research as Stats NZ publishes it (New Zealand Research
Information System, codesets), with the columns Code, Description, Two_Digit_Code … Four_Digit_Description.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

TABLE = Path(__file__).parents[1] / "uploader" / "sandbox" / "categories.tsv"
EXPECTED = 2203
CORRECTED = {"3999": "Other education"}
"""Titles that only the source prints in title case."""


def titles(source: Path) -> dict[str, str]:
    """Return code → title for divisions (two digits), groups (four) and fields (six)."""
    found: dict[str, str] = {}
    with source.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            found[row["Two_Digit_Code"]] = row["Two_Digit_Description"].capitalize()  # printed in title case
            found[row["Four_Digit_Code"]] = row["Four_Digit_Description"]
            found[row["Code"]] = row["Description"]
    return {code: " ".join(title.split()) for code, title in (found | CORRECTED).items()}


def main(source: Path) -> int:
    found = titles(source)
    if len(found) != EXPECTED:
        print(f"{source}: {len(found)} codes instead of {EXPECTED}", file=sys.stderr)
        return 1
    lines = (f"{code}\t{title}\n" for code, title in sorted(found.items()))
    TABLE.write_text("".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
