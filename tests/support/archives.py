"""Folders to archive, and the results of unpacking with other programs."""

from __future__ import annotations

import io
import os
import random
import subprocess
import tarfile
import zipfile
from pathlib import Path

from tests.support.programs import require_program
from uploader.sources.archive.layout import Format
from uploader.sources.archive.members import Kind, Member, Members
from uploader.sources.archive.plan import Plan
from uploader.sources.archive.reader import ArchiveSource
from uploader.text import composed

BLOCK = 65535
"""Bytes of a stored block of a zip file."""
MTIME = 1_700_000_001


def make_tree(top: Path) -> Path:
    """A folder with everything that is hard to pack; its modification times are fixed."""
    random_bytes = random.Random(1).randbytes
    sizes = {
        "a/table.csv": 10,
        "a/b/image.bin": 300_000,
        "a.b/sorts before a": 1,
        "empty": 0,
        "a/one\nline": BLOCK,
        "a/tab\tand\\backslash": BLOCK + 1,
        "a/" + "ü" * 127: 2 * BLOCK,
        "c" * 255: 1,
        "e\u0301 combining": 3,
        "d" * 90 + "/" + "e" * 90: 512,
        "run.sh": 513,
    }
    for name, size in sizes.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random_bytes(size))
        os.utime(path, (MTIME, MTIME))
    (top / "run.sh").chmod(0o755)
    (top / "nothing in it").mkdir()
    os.utime(top / "nothing in it", (MTIME, MTIME))
    return top


def plan_of(top: Path, format: Format, *, manifest: bool = True, reverse: bool = False) -> Plan:
    """The plan of a folder's archive; members can be found in either order."""
    found = []
    for folder, folders, names in os.walk(top):
        found += [(Path(folder) / name, False) for name in names]
        if not folders and not names and Path(folder) != top:
            found.append((Path(folder), True))
    members = Members()
    for path, is_folder in sorted(found, reverse=reverse):
        status = path.stat()
        kind = Kind.FOLDER if is_folder else Kind.EXECUTABLE if status.st_mode & 0o100 else Kind.FILE
        member = os.fsencode(f"{top.name}/{path.relative_to(top)}")
        size = 0 if is_folder else status.st_size
        members.append(Member(member, str(path), kind, size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
    return Plan.of(format, members.sorted(), manifest=manifest)


def whole(plan: Plan, step: int = 100_000) -> bytes:
    """All bytes of an archive, read in order."""
    source = ArchiveSource(plan, "archive")
    try:
        reader, size = source.in_order(), plan.layout.size
        return b"".join(bytes(reader.read(at, min(step, size - at))) for at in range(0, size, step))
    finally:
        source.close()


UNPACKERS = {
    "zip": ("unzip", "7z", "bsdtar", "bsdtar from a pipe", "jar from a pipe"),
    "tar": ("tar", "7z", "bsdtar", "bsdtar from a pipe"),
}


def unpack(program: str, archive: Path, target: Path) -> None:
    """Unpack an archive into a new folder. Fails if the program complains."""
    target.mkdir()
    commands = {
        # -^: keep control characters, such as the newline, in names
        "unzip": ("unzip", "unzip", ["-q", "-^", str(archive), "-d", str(target)]),
        "7z": ("7z", "p7zip-full", ["x", "-bd", "-y", f"-o{target}", str(archive)]),
        "tar": ("tar", "tar", ["-xf", str(archive), "-C", str(target)]),
        "bsdtar": ("bsdtar", "libarchive-tools", ["-xf", str(archive), "-C", str(target)]),
        "bsdtar from a pipe": ("bsdtar", "libarchive-tools", ["-xf", "-", "-C", str(target)]),
        "jar from a pipe": ("jar", "default-jdk-headless", ["-x"]),
    }
    name, package, arguments = commands[program]
    command = [require_program(name, package), *arguments]
    if "pipe" in program:
        with subprocess.Popen(["cat", str(archive)], stdout=subprocess.PIPE) as pipe:
            # Java takes the encoding of names from the locale.
            env = os.environ | {"LC_ALL": "C.UTF-8"}
            done = subprocess.run(command, stdin=pipe.stdout, cwd=target, env=env, capture_output=True, check=False)
    else:
        done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


def read_members(archive: bytes) -> dict[str, bytes]:
    """The files in a zip or tar file."""
    if archive.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            assert opened.testzip() is None
            return {name: opened.read(name) for name in opened.namelist() if not name.endswith("/")}
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        return {file.name: packed.extractfile(file).read() for file in packed if file.isfile()}  # type: ignore[union-attr]


def tree(top: Path) -> dict[str, bytes | None]:
    """The files below a folder with their contents, and the empty folders (None), by their composed paths."""
    found: dict[str, bytes | None] = {}
    for folder, folders, names in os.walk(top):
        here = Path(folder).relative_to(top)
        for name in names:
            # libarchive composes names.
            found[composed(str(here / name))] = (Path(folder) / name).read_bytes()
        if not folders and not names:
            found[composed(str(here))] = None
    return found
