"""figup as one file: on every Python here, eight at once, and wherever it can be unpacked."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import clean_environment
from tests.support.hosts import require_hosts
from tests.support.programs import require_program

ROOT = Path(__file__).parents[2]
NEW = re.compile(r"Python 3\.1[1-4]\.")
NOBODY, SCRATCH = "65534", "/var/tmp"  # noqa: S108 - in a private namespace


def _pythons() -> dict[str, Path]:
    """The first interpreter of each version here, by what it says of itself ("Python 3.11"). Every test process asks
    them all, so the slow scripts that pyenv has in PATH are left out.
    """
    names = [f"python3.{minor}" for minor in range(6, 15)]
    found = [Path(known) for name in names if (known := shutil.which(name)) is not None]
    programs = [python for python in found if python.parent.name != "shims"]
    pythons: dict[str, Path] = {}
    for python in [Path(sys.executable), *programs, *sorted(Path.home().glob(".pyenv/versions/*/bin/python"))]:
        done = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
        version = (done.stdout or done.stderr).strip()
        if done.returncode == 0:
            pythons.setdefault(version.rpartition(".")[0], python)
    return pythons


PYTHONS = _pythons()
USABLE = {version: path for version, path in PYTHONS.items() if NEW.match(f"{version}.")}


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """figup.pyz for the usable Pythons here, built once for all workers."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    output = folder / "figup.pyz"
    with (folder / "figup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not output.exists():
            versions = ",".join(version.split()[1] for version in USABLE)
            build: list[str | Path] = [sys.executable, ROOT / "scripts/build_zipapp.py", "--python", versions,
                     "--machine", platform.machine(), "--output", output]  # fmt: skip
            done = subprocess.run(build, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    return output


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment whose HOME cannot be written to, not even by root; unpacked in `unpacked`."""
    return clean_environment(Path("/dev/null/home")) | {"TMPDIR": str(tmp_path / "unpacked")}


def run(command: list[str | Path], env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("version", sorted(USABLE))
def test_it_uploads(version: str, zipapp: Path, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    done = run([USABLE[version], zipapp, "upload", "a.txt", "--sandbox", "--state-dir", "state"], env, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "5d41402abc4b2a76b9719d911017c592, verified" in done.stdout


@pytest.mark.parametrize("version", sorted(PYTHONS.keys() - USABLE.keys()) or ["none"])
def test_an_old_python_is_refused(version: str, zipapp: Path, env: dict[str, str], tmp_path: Path) -> None:
    if version == "none":
        # Where no old Python is installed, one is imitated.
        program = f"import sys, runpy; sys.version_info = (3, 9, 1); runpy.run_path({str(zipapp)!r})"
        done = run([sys.executable, "-c", program], env, tmp_path)
    else:
        done = run([PYTHONS[version], zipapp, "--version"], env, tmp_path)
    assert done.returncode == 2
    assert "module load python/3.11" in done.stderr
    assert "Traceback" not in done.stderr


def test_eight_at_once_unpack_one_folder(zipapp: Path, env: dict[str, str], tmp_path: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, zipapp, "--version"], env=env, stdout=subprocess.PIPE) for _ in range(8)
    ]
    assert [(one.communicate()[0][:5], one.returncode) for one in started] == [(b"figup", 0)] * 8
    (folder,) = (tmp_path / "unpacked").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_files_that_the_host_removed_are_unpacked_again(zipapp: Path, env: dict[str, str], tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, zipapp, "help", "clusters"]
    first = run(command, env, tmp_path)
    (folder,) = (tmp_path / "unpacked").iterdir()
    for removed in (folder / "uploader/manual/clusters.md", *folder.glob("msgspec/_core*"), folder / "click/core.py"):
        removed.unlink()
    again = run(command, env, tmp_path)
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")


def test_a_folder_that_others_can_write_to_is_not_used(zipapp: Path, env: dict[str, str], tmp_path: Path) -> None:
    run([sys.executable, zipapp, "--version"], env, tmp_path)
    (folder,) = (tmp_path / "unpacked").iterdir()
    folder.chmod(0o777)
    env["FIGUP_UNPACK"] = str(tmp_path / "unpacked")
    env["TMPDIR"] = str(tmp_path / "other")
    assert run([sys.executable, zipapp, "--version"], env, tmp_path).returncode == 0
    assert len(list((tmp_path / "other").iterdir())) == 1


def in_namespace(script: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script whose mounts nobody else sees."""
    return run(["unshare", "--mount", "--propagation", "private", "sh", "-euc", script], env, cwd)


def test_it_goes_from_place_to_place(zipapp: Path, env: dict[str, str], tmp_path: Path) -> None:
    require_hosts("mounts")
    for name in ("noexec", "full", "good"):
        (tmp_path / name).mkdir()
    mounts = "mount -t tmpfs -o noexec none noexec\nmount -t tmpfs -o size=1m none full\n"
    figup = f"{shlex.quote(sys.executable)} {shlex.quote(str(zipapp))} --version\n"
    env |= {"FIGUP_UNPACK": str(tmp_path / "noexec"), "SLURM_TMPDIR": str(tmp_path / "full")}
    done = in_namespace(f"{mounts}{figup}ls full", env | {"TMPDIR": str(tmp_path / "good")}, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["figup, version 0.1.0"]
    assert len(list((tmp_path / "good").iterdir())) == 1


def test_without_any_place_it_says_why(zipapp: Path, env: dict[str, str], tmp_path: Path) -> None:
    require_hosts("mounts")
    for name in ("noexec", "full"):
        (tmp_path / name).mkdir()
    env |= {"FIGUP_UNPACK": str(tmp_path / "noexec"), "TMPDIR": str(tmp_path / "full")}
    own = f"/tmp/figup-{os.geteuid()}"  # noqa: S108 - the place that figup would use
    script = f"""
mkdir -p {own}
for place in noexec {own}; do mount -t tmpfs -o noexec none $place; done
mount -t tmpfs -o size=1m none full
status=0
{shlex.quote(sys.executable)} {shlex.quote(str(zipapp))} --version || status=$?
umount {own}
rmdir --ignore-fail-on-non-empty {own}
exit $status
"""
    done = in_namespace(script, env, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "No space left on device" in done.stderr
    assert "set FIGUP_UNPACK to a folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_container_can_be_built_and_runs_for_anybody(zipapp: Path, tmp_path: Path) -> None:
    """Apptainer is in no Debian release: its steps are run in a chroot of this system, read-only afterwards."""
    require_hosts("mounts")
    text = (ROOT / "scripts/hpc/figup.def").read_text("utf-8")
    sections = dict(re.findall(r"^%(\w+)\n((?:    .*\n|\n)+)", text, re.MULTILINE))
    assert sections["files"].split() == ["dist/figup.pyz", "/opt/figup.pyz"]
    root = tmp_path / "root"
    root.mkdir()
    require_program("python3", "python3")
    script = f"""
mount --rbind / {root}
mount -t tmpfs none {root}/opt
mount -t tmpfs none {root}/usr/local
mount -t tmpfs none {root}{SCRATCH}
mkdir {root}/usr/local/bin
cp {zipapp} {root}/opt/figup.pyz
chroot {root} sh -euc {shlex.quote(sections["post"])}
mount -o remount,ro,bind {root}/opt
mount -o remount,ro,bind {root}/usr/local
chroot {root} setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups env -i PATH=/usr/local/bin:/usr/bin:/bin \\
  HOME=/nonexistent TMPDIR={SCRATCH} sh -euc {shlex.quote(sections["runscript"].replace('"$@"', "--version"))}
"""
    done = in_namespace(script, {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["figup, version 0.1.0"] * 2
