"""Unpack figup.pyz and run what was unpacked: shared objects cannot be loaded from within a zip file.

No locks: each process unpacks into its own folder and renames it. Of several, one succeeds, and all use that. A
place that is full, not private, or does not allow programs is passed over. Never storage that is shared with other
hosts: a hundred tasks would create as many times a thousand files there.
"""

from __future__ import annotations

import json
import os
import platform
import runpy
import secrets
import shutil
import signal
import stat
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

_COMPILED = ("msgspec", "xxhash", "nh3", "multidict")
"""Packages with shared objects: those that can be imported, can be used."""


class Unusable(Exception):
    """A place cannot be used, for the reason in the message."""


def main() -> None:
    """Run figup as `python -m uploader` does, unpacked in the first place that can be used."""
    # Until the command is loaded there is nothing to stop gracefully: Ctrl-C ends the process without a traceback.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    archive = Path(__file__).parent
    with zipfile.ZipFile(archive) as packed:
        build = json.loads(packed.read("build.json"))
        tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
        if tag not in build["tags"]:
            _give_up(f"it is made for {_versions(build['tags'])}, and this is Python {platform.python_version()}")
        if platform.machine() != build["machine"]:
            _give_up(f"it is made for {build['machine']} processors, and this is {platform.machine()}")
        reasons = []
        for place in _places():
            try:
                _use(_unpacked(packed, place, tag, build["id"]))
                break
            except (OSError, Unusable) as fault:
                reason = (fault.strerror if isinstance(fault, OSError) else None) or str(fault)
                reasons.append(f"{place}: {reason}")
        else:
            _give_up(f"it cannot be unpacked ({'; '.join(reasons)}); set FIGUP_UNPACK to a folder of yours with 30 MB")
    signal.signal(signal.SIGINT, handler)
    runpy.run_module("uploader", run_name="__main__", alter_sys=True)


def _places() -> Iterator[Path]:
    """Yield the folders to try, in this order; they need not exist."""
    for name in ("FIGUP_UNPACK", "SLURM_TMPDIR", "TMPDIR"):
        if value := os.environ.get(name):
            yield Path(value)
    yield Path(f"/tmp/figup-{os.geteuid()}")  # noqa: S108 - it is used only if it belongs to this user
    if cache := os.environ.get("XDG_CACHE_HOME"):
        yield Path(cache) / "figup"
    if home := os.environ.get("HOME"):
        yield Path(home) / ".cache" / "figup"


def _unpacked(packed: zipfile.ZipFile, place: Path, tag: str, build: str) -> Path:
    """Return the folder in `place` with what this Python needs. Raises OSError, Unusable."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = place / f"figup-{os.geteuid()}-{build}-{tag}"
    if not folder.exists():
        trial = place / f"{folder.name}.{os.getpid()}-{secrets.token_hex(4)}"
        try:
            trial.mkdir(mode=0o700)
            _extract(packed, trial, tag)
            try:
                trial.rename(folder)
            except OSError:
                if not folder.exists():  # else another process was first
                    raise
        finally:
            shutil.rmtree(trial, ignore_errors=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise Unusable("the folder belongs to another user, or others can write to it")
    # Hosts remove files in /tmp that were not used for days, one by one.
    _extract(packed, folder, tag)
    return folder


def _extract(packed: zipfile.ZipFile, folder: Path, tag: str) -> None:
    """Extract the files that are missing; other processes may be using the folder."""
    for name in packed.namelist():
        part, _, inner = name.partition("/")
        target = folder / inner
        if part in ("common", tag) and inner and not name.endswith("/") and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            trial = target.with_name(f".{target.name}.{os.getpid()}")
            trial.write_bytes(packed.read(name))
            trial.replace(target)


def _use(folder: Path) -> None:
    """Import from this folder from now on, child processes included. Raises Unusable where nothing may be executed."""
    sys.path.insert(0, str(folder))
    try:
        for name in _COMPILED:
            __import__(name)
    except ImportError as fault:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] in _COMPILED]:
            del sys.modules[name]
        raise Unusable(f"its programs cannot be loaded: {fault}") from None
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{others}" if others else str(folder)


def _versions(tags: list[str]) -> str:
    names = [f"3.{tag.removeprefix('cp3')}" for tag in tags]
    return f"Python {names[0]}" if len(names) == 1 else f"Python {names[0]} to {names[-1]}"


def _give_up(reason: str) -> None:
    sys.stderr.write(f"figup: this file cannot be run: {reason}\n")
    sys.exit(2)
