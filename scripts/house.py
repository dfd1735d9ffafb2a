"""The repository's rules beyond linters: `python scripts/house.py [CHECKOUT]`. The allowed top level; no package index
and no local path in any file; every module of the package has a docstring and at most 400 lines. Prints one line per
violation and exits with 1 if there are any.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TOP_LEVEL = frozenset(
    {"uploader", "tests", "benchmarks", "scripts", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"}
)

# A letter of each is in brackets, so that this file does not break its own rule.
INDEX_ADDRESS = re.compile(
    r"p[y]pi\.|python[h]osted|n[p]mjs|d[e]b\.debian|--(?:extra-)?i[n]dex-url|--f[i]nd-links", re.IGNORECASE
)
COMMAND_LINE = re.compile(
    r"--[a-z]|`figup |\bfigup (?:account|auth|author|batch|cancel|collection|completion|demo|doctor|download|group|"
    r"help|institution|item|jobs|metadata|project|records|report|resume|sandbox|search|slurm|stats|status|upload|verify)\b"
)
KNOWS_OPTIONS = frozenset({"cli", "manual"})
"""Packages of `uploader` whose strings may name options and commands."""
MAX_LINES = 400
"""Lines of one module of `uploader`; a longer one has two concerns."""
PLACE = re.compile(r"(?<![\w.~}-])/(?:h[o]me|U[s]ers|r[o]ot|w[o]rk)/\w")


def files_of(checkout: Path) -> list[Path]:
    """All files that are, or would be, committed; relative to the checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checkout,
        check=True,
        capture_output=True,
    )
    names = {Path(name) for name in listing.stdout.decode().split("\0") if name}
    return sorted(name for name in names if (checkout / name).is_file())


def breaches_of(checkout: Path, name: Path) -> Iterator[str]:
    """One line for each rule that this file breaks."""
    top = name.parts[0]
    if not top.startswith(".") and top not in TOP_LEVEL:
        yield f"{name}: {top} does not belong at the top level"
    try:
        text = (checkout / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if INDEX_ADDRESS.search(line):
            yield f"{name}:{number}: names a package index"
        if PLACE.search(line):
            yield f"{name}:{number}: names a place on one particular machine"
    if top == "uploader" and name.suffix == ".py":
        lines = text.count("\n")
        if lines > MAX_LINES:
            yield f"{name}:1: has {lines} lines, more than {MAX_LINES}"
        yield from _breaches_of_module(name, ast.parse(text))


def _breaches_of_module(name: Path, module: ast.Module) -> Iterator[str]:
    if ast.get_docstring(module) is None:
        yield f"{name}:1: has no docstring"
    if name.parts[1] in KNOWS_OPTIONS:
        return
    docstrings = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in docstrings:
            continue
        if COMMAND_LINE.search(node.value):
            yield f"{name}:{node.lineno}: names an option or a command, which only the command line knows"


def main(checkout: Path) -> int:
    breaches = [breach for name in files_of(checkout) for breach in breaches_of(checkout, name)]
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent))
