"""Build figup as one file: pure packages once, compiled ones for each version of Python, and a stub that unpacks them.

Needs the package index, for the wheels of scripts/requirements-runtime.txt.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
PINS = ROOT / "scripts" / "requirements-runtime.txt"
STUB = ROOT / "scripts" / "zipapp"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
GLIBC = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
"""Platforms whose wheels run on Enterprise Linux 8 and newer."""
_EPOCH = (2020, 1, 1, 0, 0, 0)
"""The time of every file in the archive, so that the same input makes the same file."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/build-zipapp", description="Build figup as one file.")
    parser.add_argument("-o", "--output", type=Path, help="default: dist/figup.pyz, or figup-aarch64.pyz")
    parser.add_argument("--machine", choices=MACHINES, default="x86_64", help="default: x86_64")
    parser.add_argument(
        "--python", default=",".join(VERSIONS), help=f"versions of CPython; default: {','.join(VERSIONS)}"
    )
    options = parser.parse_args()
    name = "figup.pyz" if options.machine == MACHINES[0] else f"figup-{options.machine}.pyz"
    output = options.output or ROOT / "dist" / name
    output.parent.mkdir(parents=True, exist_ok=True)
    build(output, machine=options.machine, versions=options.python.split(","))
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


def build(output: Path, *, machine: str, versions: list[str]) -> None:
    """Write the file. Raises CalledProcessError if a wheel cannot be had."""
    tags = [f"cp{version.replace('.', '')}" for version in versions]
    with TemporaryDirectory() as scratch:
        wheels = {
            tag: download(version, machine, Path(scratch) / tag) for tag, version in zip(tags, versions, strict=True)
        }
        # A wheel that all versions share is a pure one, or uses the stable ABI.
        shared = set.intersection(*({wheel.name for wheel in found} for found in wheels.values()))
        files: dict[str, bytes] = {}
        for tag, found in wheels.items():
            for wheel in found:
                files |= unzipped(wheel, "common" if wheel.name in shared else tag)
    for path in sorted((ROOT / "uploader").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and "images" not in path.parts:
            files[f"common/{path.relative_to(ROOT).as_posix()}"] = path.read_bytes()
    for path in sorted(STUB.glob("*.py")):
        files[path.name] = path.read_bytes()
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    about = {"id": digest.hexdigest()[:16], "machine": machine, "tags": tags}
    files["build.json"] = json.dumps(about).encode()
    write(output, files)


def download(version: str, machine: str, folder: Path) -> list[Path]:
    """Download the pinned wheels for a version of CPython."""
    platforms = [word for name in GLIBC for word in ("--platform", f"{name}_{machine}")]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wanted = ["--no-deps", "--only-binary=:all:", "--python-version", version, *platforms, "--requirement", str(PINS)]
    subprocess.run([*pip, "download", *wanted, "--dest", str(folder)], check=True)
    return sorted(folder.glob("*.whl"))


def unzipped(wheel: Path, place: str) -> dict[str, bytes]:
    """Return a wheel's files by their names in the archive."""
    with zipfile.ZipFile(wheel) as packed:
        return {f"{place}/{name}": packed.read(name) for name in packed.namelist() if not name.endswith("/")}


def write(output: Path, files: dict[str, bytes]) -> None:
    """Write an executable zip file."""
    with output.open("wb") as stream:
        stream.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in sorted(files.items()):
                packed.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    output.chmod(0o755)


if __name__ == "__main__":
    main()
