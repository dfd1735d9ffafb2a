"""The rules of the repository: its files, what its checker finds, and the cost of starting the command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
HEAVY = {"aiohttp", "anyio", "asyncio", "msgspec", "tqdm"}


def house(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, CHECKOUT / "scripts" / "house.py", checkout], capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that follows all rules."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for name, text in {
        "uploader/a.py": '"""Says what `figup upload --item` does."""\n',
        "uploader/cli/b.py": '"""B."""\nHINT = "add --sandbox"\n',
        "README.md": "See ~/project/x.\n",
        ".dot": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize("package", ["cluster", "records", "sandbox", "transfer"])
def test_the_layout_names_every_module_and_no_other(package: str) -> None:
    folder = CHECKOUT / "uploader" / package
    layout = (folder / "README.md").read_text("utf-8").partition("| module | contents |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)/?`", layout))
    modules = {path.stem for path in folder.rglob("*.py")} - {"__init__"}
    first = {name for row in layout.splitlines()[2:] for name in re.findall(r"`(\w+)/?`", row.split("|")[1])}
    assert modules - named == set()
    assert first - modules - {path.name for path in folder.iterdir()} == set()


def test_a_checkout_that_keeps_the_rules_passes(checkout: Path) -> None:
    found = house(checkout)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("extra.txt", "", "extra.txt does not belong at the top level"),
        ("docs/page.md", "", "docs does not belong at the top level"),
        ("uploader/b.py", "x = 1\n", "no docstring"),
        ("uploader/b.py", '"""B."""\nHINT = "add --sandbox"\n', "b.py:2: names an option or a command"),
        ("uploader/b.py", '"""B."""\nHINT = f"run `figup {1}`"\n', "b.py:2: names an option or a command"),
        ("uploader/b.py", '"""B."""\nHINT = "figup resume goes on"\n', "b.py:2: names an option or a command"),
        ("uploader/b.py", '"""B."""\n' + "x = 1\n" * 400, "b.py:1: has 401 lines, more than 400"),
        ("scripts/pins.txt", "--index" + "-url somewhere\n", "pins.txt:1: names a package index"),
        ("README.md", "\nfrom files.python" + "hosted.org\n", "README.md:2: names a package index"),
        ("tests/a.py", "P = '/" + "home/someone/x'\n", "a.py:1: names a place on one particular machine"),
        (".ci/run", "cd /" + "work/main\n", "names a place on one particular machine"),
    ],
)
def test_each_rule_is_held(checkout: Path, name: str, text: str, words: str) -> None:
    path = checkout / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    found = house(checkout)
    assert found.returncode == 1
    assert words in found.stdout
    assert len(found.stdout.splitlines()) == 1


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after running `code`."""
    report = "import sys; print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"import atexit\natexit.register(lambda: exec({report!r}))\n{code}"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


def test_importing_the_package_does_no_work() -> None:
    modules = modules_after("import uploader")
    assert "uploader" in modules
    assert not modules & (HEAVY | {"click"})


def test_the_version_is_printed_fast() -> None:
    modules = modules_after("import sys; sys.argv = ['figup', '--version']; from uploader.cli.main import main; main()")
    assert "click" in modules
    assert not modules & HEAVY
