"""README.md and the manual are correct: every command and snippet in them is run as written against the sandbox.

Each test covers all blocks of its page, so that a new block needs a test. `test_manual_commands` runs the commands
inside sentences and tables.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.command import Figup, write_forking_program, write_program
from tests.support.invariants import check_exactly_once, files, items, md5_of
from tests.support.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "uploader" / "manual"
PAGES = [ROOT / "README.md", *sorted(MANUAL.glob("*.md"))]


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of one language on a page: `README`, or the name of a page of the manual."""
    path = ROOT / "README.md" if page == "README" else MANUAL / f"{page}.md"
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(text) for _, text in found]


def shell(command: str, env: dict[str, str], cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a block as a user's shell would."""
    return subprocess.run(
        ["bash", "-c", command], env=env, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=300, check=False
    )


def item_in(text: str, item: int) -> str:
    """A block with the id of a real item."""
    return text.replace("1234567", str(item))


@pytest.fixture
def here(figup: Figup, tmp_path: Path) -> tuple[dict[str, str], Path]:
    """A shell's environment with `figup` on its path, and a folder with the files that the pages name."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("survey.tar", "results.h5"):
        (folder / name).write_bytes(os.urandom(30_000))
    for name in ("survey/raw/a.csv", "survey/raw/b.tmp", "survey/scratch/c", "out/run-07.nc", "last-time", "new.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    os.utime(folder / "last-time", (1e9, 1e9))
    (description,) = blocks("metadata", "yaml")
    (folder / "dataset.yaml").write_text(description)
    tools = tmp_path / "bin"
    write_forking_program(tools)
    programs = {
        "scontrol": 'echo scontrol "$@"',
        "sbatch": 'echo sbatch "$@"',
        "srun": 'shift; exec "$@"',
        "squeue": "exit 1",
        "sleep": "exit 0",
    }
    for name, script in programs.items():
        write_program(tools, name, script)
    env = {**figup.env, "PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_ID": "1"}
    return env, folder


def run(block: str, env: dict[str, str], folder: Path, *, status: int = 0, stdin: str = "") -> str:
    """Run a block, and return what it wrote to stdout; fails the test when the exit status differs."""
    done = shell(f"set -e\n{block}", env, folder, stdin)
    assert done.returncode == status, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_readme(here: tuple[dict[str, str], Path], sandbox: Sandbox) -> None:
    env, folder = here
    first, demo, tests, everyday = blocks("README", "sh")
    assert (demo, tests) == ("./scripts/demo\n", "./scripts/test\n")
    for script in ("demo", "test", "check", "bench", "live-smoke"):
        assert os.access(ROOT / "scripts" / script, os.X_OK)
    install, login, upload, verify = first.splitlines()
    assert install == "pipx install ."
    token = env.pop("FIGSHARE_TOKEN")
    run(login, env, folder, stdin=f"{token}\n")
    printed = run(upload, env, folder)
    check_exactly_once(sandbox, folder / "survey.tar")
    (item,) = items(sandbox)
    assert item["title"] == "survey.tar"
    compared = run(item_in(verify, item["id"]), env, folder)
    assert md5_of(folder / "survey.tar") in compared
    for shown, lines in zip(blocks("README", "text"), (printed, compared), strict=True):
        assert [pattern_of(line) for line in shown.replace("/data/", "").splitlines()] == [
            pattern_of(line) for line in lines.replace(f"{folder}/", "").splitlines()
        ]
    dry_run, sent, described, jobs, resume = everyday.splitlines()
    for command in (dry_run, sent, described, jobs):
        run(item_in(command, item["id"]), env, folder)
    assert (folder / "survey.html").exists()
    run(resume, env, folder, status=4)


def pattern_of(line: str) -> str:
    """The words of an output line, without names, sizes, numbers and addresses."""
    return re.sub(r"\S*\d\S*|\b(?:kB|MB|GB|bytes|min|s)\b|[().,]", "", line).split(":")[0].strip()


def test_datasets(here: tuple[dict[str, str], Path], sandbox: Sandbox) -> None:
    env, folder = here
    upload, pack, lists, verify, download, limit = blocks("datasets", "sh")
    (table,) = blocks("datasets", "csv")
    (folder / "files.csv").write_text(table.replace("0123456789abcdef" * 2, md5_of(folder / "out" / "run-07.nc")))
    assert "Nothing was sent" in run(upload, env, folder)
    (item,) = items(sandbox)
    assert [f["name"] for f in files(sandbox, item["id"])] == ["a.csv"]
    shutil.rmtree(folder / "survey" / "scratch")
    (folder / "survey" / "raw" / "b.tmp").unlink()
    run(item_in(lists, item["id"]), env, folder)
    assert sorted(f["name"] for f in files(sandbox, item["id"])) == ["a.csv", "files.csv", "new.csv"]
    other = next(i for i in items(sandbox) if i["title"] == "Survey 2024")
    assert [f["name"] for f in files(sandbox, other["id"])] == ["run.nc"]
    sent = ("survey/raw/a.csv", "files.csv", "new.csv")
    (folder / "survey.md5").write_text("".join(f"{md5_of(folder / name)}  {name}\n" for name in sent))
    run(item_in(verify, item["id"]), env, folder)
    whole, one, compare = item_in(download, item["id"]).splitlines()
    run(whole, env, folder)
    assert (folder / "copy/survey/raw/a.csv").read_bytes() == (folder / "survey/raw/a.csv").read_bytes()
    assert (folder / "copy/new.csv").read_bytes() == (folder / "new.csv").read_bytes()
    run(one, env, folder, status=4)
    assert "3 compared: 3 the same" in run(compare, env, folder)
    dry_run, send, compare = pack.splitlines()
    assert "1 member" in run(dry_run, env, folder)
    run(send, env, folder)
    packed = next(i for i in items(sandbox) if [f["name"] for f in files(sandbox, i["id"])] == ["survey.zip"])
    assert "the same" in run(item_in(compare, packed["id"]), env, folder)
    run(limit, env, folder)
    limited = next(i for i in items(sandbox) if i["title"] == "survey.tar")
    assert [f["computed_md5"] for f in files(sandbox, limited["id"])] == [md5_of(folder / "survey.tar")]


def test_metadata(here: tuple[dict[str, str], Path], sandbox: Sandbox) -> None:
    env, folder = here
    first, publish = blocks("metadata", "sh")
    run(first, env, folder)
    assert "Published: http" in run(publish, env, folder)
    (item,) = items(sandbox)
    assert item["title"] == "Beavers of the north"


def test_records(here: tuple[dict[str, str], Path]) -> None:
    env, folder = here
    commands, creating, updating = blocks("records", "sh")
    (mapped,) = blocks("records", "yaml")
    result = run(commands, env, folder)
    assert result.count("records.csv is valid: 1 record (csv).") == 2
    (folder / "map.yaml").write_text(mapped)
    entry = '{"response": {"docs": [{"number": 1, "name": "A dam", "url": "https://a.org/", "year": 2020}]}}'
    (folder / "works.json").write_text(entry)
    assert "1 record" in run("figup records check works.json --map map.yaml", env, folder)
    result = run(creating, env, folder)
    assert result.count("1 record: 1 created") == 2
    (folder / "dam.csv").write_text("title,doi,metadata_only\nA dam,10.1234/dam,Kept elsewhere\n")
    run("figup records create dam.csv", env, folder)
    (folder / "changes.csv").write_text("doi,keywords\n10.1234/dam,beaver\n")
    assert "1 record: 1 updated" in run(updating, env, folder)


def test_the_configuration_file(here: tuple[dict[str, str], Path]) -> None:
    env, folder = here
    (block,) = blocks("reference", "toml")
    config = folder / "config/figup/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(block.replace("/scratch/jane/figup", str(folder / "jobs")))
    env |= {"XDG_CONFIG_HOME": str(folder / "config")}
    del env["FIGUP_STATE_DIR"]
    assert str(folder / "jobs") in run("figup jobs --profile work", env, folder)


def test_items(here: tuple[dict[str, str], Path]) -> None:
    env, folder = here
    (block,) = blocks("items", "sh")
    made = run("figup item create --metadata dataset.yaml", env, folder)
    assert "is under embargo until 2090-01-01" in run(item_in(block, int(made.split()[0])), env, folder)


def test_catalog(here: tuple[dict[str, str], Path], sandbox: Sandbox) -> None:
    env, folder = here
    block, tables, batch = blocks("catalog", "sh")
    made = int(run("figup item create --metadata dataset.yaml", env, folder).split()[0])
    assert "Beavers of the north" in run(item_in(block, made), env, folder)
    run(f"figup item publish {made} --yes", env, folder)  # a report on an author needs a public record
    assert (folder / "jane.csv").exists()
    env |= {"FIGSHARE_STATS_ENDPOINT": sandbox.stats_url}
    run(tables.replace('"Iowa State University"', "2000"), env, folder)
    assert (folder / "doe.csv").exists()
    assert (folder / "mine.csv").read_text("utf-8-sig").count("\nitem,") == 1
    assert (folder / "public.xlsx").exists()
    with zipfile.ZipFile(folder / "metadata.zip", "w") as archive:
        archive.writestr("metadata.csv", "article_id,title,status\n5,A draft,draft\n")
    run(batch, env, folder)
    assert "<svg" in (folder / "summary.html").read_text("utf-8")
    assert (folder / "records.xlsx").exists()


def test_reports(here: tuple[dict[str, str], Path]) -> None:
    env, folder = here
    (block,) = blocks("reports", "sh")
    printed = run(block, env, folder)
    assert md5_of(folder / "survey.tar") in (folder / "survey.html").read_text("utf-8")
    assert md5_of(folder / "survey.tar") in (folder / "survey.json").read_text("utf-8")
    assert (folder / "failed.txt").read_bytes() == b""
    assert "survey.tar" in printed


def test_clusters(here: tuple[dict[str, str], Path], sandbox: Sandbox) -> None:
    env, folder = here
    chain, script, requeue, many = blocks("clusters", "sh")
    run("figup upload survey.tar", env, folder)
    (item,) = items(sandbox)
    assert run(chain, env, folder).count("sbatch --job-name=upload-results --dependency=singleton") == 5
    run(item_in(script, item["id"]), env, folder)
    assert run(item_in(requeue, item["id"]), env, folder).endswith("sbatch job.sh\n")
    assert "scontrol" not in run("bash job.sh", env, folder)
    env["SLURM_ARRAY_JOB_ID"], env["SLURM_ARRAY_TASK_ID"] = "7", "3"
    sandbox.kill()
    again = "sed -i 's/--deadline/--retry-timeout 0 --deadline/' job.sh && bash job.sh"
    assert run(again, env, folder, status=75).endswith("scontrol requeue 7_3\n")
    env["SLURM_RESTART_COUNT"] = "20"
    assert "scontrol" not in run("bash job.sh", env, folder, status=75)
    sandbox.start()
    (folder / "results").mkdir()
    (folder / "results" / "a.h5").write_bytes(b"results")
    both = many.replace("/project/me", str(folder)).replace("figup upload", "exec figup upload")
    run(f"({both}) & ({both}) && wait", env, folder)
    assert len(items(sandbox)) == 2


def test_python(here: tuple[dict[str, str], Path], sandbox: Sandbox) -> None:
    env, folder = here
    plain, inside_a_loop, reading = blocks("python", "python")
    script = folder / "snippet.py"
    script.write_text(plain)
    printed = run(f"{shlex.quote(sys.executable)} -W error snippet.py", env, folder)
    (item,) = items(sandbox)
    assert printed.split() == [item["url_private_html"], md5_of(folder / "survey.tar")]
    body = textwrap.indent(item_in(inside_a_loop, item["id"]).replace("survey.tar", "results.h5"), "    ")
    script.write_text(
        f"import asyncio, uploader\nasync def main():\n{body}    return report\nprint(asyncio.run(main()))"
    )
    run(f"{shlex.quote(sys.executable)} -W error snippet.py", env, folder)
    check_exactly_once(sandbox, folder / "survey.tar", folder / "results.h5")
    body = textwrap.indent(item_in(reading, item["id"]), "    ")
    script.write_text(f"import asyncio, uploader\nasync def main():\n{body}asyncio.run(main())")
    assert run(f"{shlex.quote(sys.executable)} -W error snippet.py", env, folder) == "Survey 2024 []\n"


def test_troubleshooting(here: tuple[dict[str, str], Path]) -> None:
    env, folder = here
    (block,) = blocks("troubleshooting", "sh")
    run(block, env, folder)


def test_every_block_of_every_page_has_a_test() -> None:
    tested = {
        *(
            "README",
            "datasets",
            "metadata",
            "items",
            "catalog",
            "reports",
            "clusters",
            "python",
            "troubleshooting",
            "records",
        ),
    }
    for page in PAGES:
        if page.stem not in tested:
            assert not re.search(r"^ *```(sh|python)$", page.read_text("utf-8"), re.MULTILINE), page


PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


def run_pip(*words: str | Path) -> None:
    """Run pip without its index: figup's dependencies are installed already."""
    done = subprocess.run([*PIP, *map(str, words)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def installed(tmp_path: Path, source: str) -> Path:
    """Install from a source into a separate environment, as pipx does; return its `figup`."""
    home = tmp_path / "venv"
    venv.create(home, symlinks=True)
    packages = next(home.glob("lib/python*/site-packages"))
    # Behind the environment's own packages: the dependencies, and an editable figup that must not be found first.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    run_pip("--python", home / "bin/python", "install", "--no-deps", "--no-build-isolation", "--no-index",
            "--ignore-installed", source)  # fmt: skip
    return home / "bin/figup"


def check_installed(figup: Path, folder: Path) -> None:
    """Check that the installed command works from anywhere, with its manual and the local Figshare."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "FIGUP_STATE_DIR": str(folder / "state"), "LANG": "C.UTF-8"}
    where = "import uploader; print(uploader.__file__)"
    found = subprocess.run(
        [figup.with_name("python"), "-c", where], capture_output=True, text=True, cwd="/", env=env, check=True
    )
    assert found.stdout.startswith(str(figup.parents[1])), found.stdout
    (folder / "a.txt").write_text("hello")
    for words in (["--version"], ["help", "datasets"], ["upload", "a.txt", "--sandbox"], ["metadata", "template"]):
        done = subprocess.run(
            [figup, *words], capture_output=True, text=True, cwd=folder, env=env, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr


def test_a_wheel_installs_and_has_everything(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("figup-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.startswith("uploader/manual/images")]
    assert {"uploader/py.typed", "uploader/manual/datasets.md", "uploader/metadata/template.yaml"} <= set(names)
    check_installed(installed(tmp_path, str(wheel)), tmp_path)


def test_it_installs_from_a_git_url(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "uploader", checkout / "uploader", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, checkout)
    git = ("git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "All"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    check_installed(installed(tmp_path, f"git+file://{checkout}"), tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)|src=\"([^\"]+)\"", text):
        assert (page.parent / (target[0] or target[1])).exists(), target


def test_the_front_page_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150
