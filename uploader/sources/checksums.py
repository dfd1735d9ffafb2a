r"""Lists of MD5s in the formats of common programs, as accepted by `md5sum -c`. Pure. Supported are lines of md5sum
(with text and binary marks, `--tag`, `--zero`, escaped names), BSD's and macOS' md5 (also with -r), OpenSSL, md5summer
and other programs for Windows that write the same lines with backslashes, certutil in many languages, PowerShell's
Get-FileHash (as it is shown, as a list, as CSV; also of the columns Hash and Path alone), hashdeep, and md5deep (also
with -c and -z). Files are in UTF-8, or in UTF-16 as PowerShell redirects.
"""

from __future__ import annotations

import ntpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from uploader.errors import UsageError
from uploader.sources.lists import as_utf8, decoded, remote_location
from uploader.text import printable

_HEX = r"[0-9a-fA-F]"
_PLAIN = re.compile(rf"[ \t]*(\\?)({_HEX}{{32}})[ \t][ *]?(.+)", re.DOTALL)
_MD5DEEP = re.compile(rf"()[ \t]*(?:[0-9]+[ \t]+)?({_HEX}{{32}})(?:,|[ \t]{{2}})(.+)", re.DOTALL)
_TAGGED = re.compile(rf"[ \t]*(\\?)MD5 ?\((.+)\)[ \t]*=[ \t]*({_HEX}{{32}})", re.DOTALL)
_OTHER_SUM = re.compile(
    rf"\\?(?:{_HEX}{{40}}|{_HEX}{{56}}|{_HEX}{{64}}|{_HEX}{{96}}|{_HEX}{{128}})[ \t].+"
    rf"|\\?(?:SHA|RMD|RIPEMD|BLAKE|SM3)[-\w/]* ?\(.+\) ?= ?{_HEX}+|(?:SHA|RIPEMD)\w*[- ]hash .+:"
    rf'|"?(?:SHA|RIPEMD)\w+"?(?:\s+|,)"?{_HEX}{{40,}}.*',
    re.DOTALL | re.IGNORECASE,
)
_CERTUTIL = re.compile(
    r"(?:MD5[- ]hash|(?:hachage|hash|skr\u00f3t) MD5) "
    r"(?:of file|of|von|van|du fichier|del file|del archivo|do arquivo|do ficheiro|pliku|de|di) (.+?) ?:",
    re.IGNORECASE,
)
_CERTUTIL_OTHER = re.compile(r"\W*[^(]*\bMD5\b.*?((?:[A-Za-z]:[\\/]|\\\\).+?)(?: ?\)| [^\\/:.]+)? ?[:\uff1a]")
"""The line in another language: the name is known only where it begins with a drive or a host."""
_CERTUTIL_SUM = re.compile(rf"{_HEX}{{32}}|(?:{_HEX}{{2}} ){{15}}{_HEX}{{2}}")
_TABLE_HEAD = re.compile(r"(?:Algorithm\s+)?Hash\s+Path\s*|-+\s+(?:-+\s+)?-+\s*")
_TABLE_ROW = re.compile(rf"(?:MD5\s+)?({_HEX}{{32}})\s+(\S.*?)\s*", re.IGNORECASE)
_CSV_HEAD = re.compile(r'"?(?:Algorithm"?,"?)?Hash"?,"?Path"?')
_CSV_ROW = re.compile(rf'(?:"?MD5"?,)?"?({_HEX}{{32}})"?,(?:"(.+)"|([^"].*))', re.IGNORECASE)
_FIELD = re.compile(r"(Algorithm|Hash|Path)\s*: (.*?)\s*")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_UNESCAPED = {"n": "\n", "r": "\r", "\\": "\\"}
_COMMENTS = ("#", ";", "//")
_HOW = "Make the list with: md5sum FILE... > LIST"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChecksumEntry:
    """A listed file. `path` is as written in the list; `folder` and `name` are the remote ones."""

    path: str
    folder: str
    name: str
    md5: str


def parse_checksums(data: bytes, base: str, origin: str, *, given_base: str = "") -> list[ChecksumEntry]:
    r"""Return the files of a list, which keep their folders below `base` (absolute), as listed paths do.

    `given_base` is that folder as the user wrote it: below it are paths with a drive, such as C:\data. Raises
    UsageError naming `origin` and a line in none of the forms, or with the checksum of another algorithm.
    """
    data = as_utf8(data, origin)
    found = []
    for where, name, md5 in _zero_separated(data, origin) if b"\0" in data else _Lines(origin=origin).read(data):
        if not name.rstrip("/"):
            raise UsageError(f"{where}: file name missing")
        folder, last = _windows_location(name, given_base) if _DRIVE.match(name) else remote_location(name, base)
        found.append(ChecksumEntry(path=printable(name), folder=folder, name=last, md5=md5.lower()))
    if not found:
        raise UsageError(f"{origin}: contains no checksums")
    return found


def _zero_separated(data: bytes, origin: str) -> Iterator[tuple[str, str, str]]:
    """Read what `md5sum --zero` writes: names as they are. Returns where each is named, the name and the MD5."""
    for number, entry in enumerate(data.split(b"\0"), start=1):
        where = f"{origin}: entry {number}"
        if entry:
            _, name, md5 = _fields(decoded(entry, where, "Rename the file (convmv can do it)."), where)
            yield where, name, md5


@dataclass(kw_only=True)
class _Lines:
    """Parser of a list: some programs write a file's name and its MD5 on several lines."""

    origin: str
    fields: dict[str, str] = field(default_factory=dict)
    """The fields read so far of such a file: `Algorithm`, `Hash`, `Path`."""
    where: str = ""
    """The line of its last field."""
    in_table: bool = False
    """The heading of a table by PowerShell was read: blanks around a path are not part of it."""
    columns: list[str] = field(default_factory=list)
    """The columns of a list by hashdeep: `size`, `md5`, `filename` and others; empty for other lists."""

    def read(self, data: bytes) -> Iterator[tuple[str, str, str]]:
        """Return where each file is named, its name and its MD5."""
        for number, line in enumerate(data.split(b"\n"), start=1):
            where = f"{self.origin}: line {number}"
            text = decoded(line.removesuffix(b"\r"), where, "Save the list as UTF-8.")
            if text.strip() and not self._continues(text) and not text.startswith(_COMMENTS):
                yield from self._line(text, where)
            elif not text.strip():
                yield from self._end_of_fields()
        yield from self._end_of_fields()

    def _line(self, text: str, where: str) -> Iterator[tuple[str, str, str]]:
        if match := _FIELD.fullmatch(text):
            if match[1] in self.fields:
                yield from self._end_of_fields()
            self.fields[match[1]], self.where = match[2], where
        elif match := _CERTUTIL.fullmatch(text) or _CERTUTIL_OTHER.fullmatch(text):
            self.fields, self.where = {"Path": match[1]}, where
        elif self.columns or text.startswith("%%%% "):
            yield from self._hashdeep(text, where)
        elif "Path" in self.fields and _CERTUTIL_SUM.fullmatch(text):
            yield where, _with_slashes(self.fields.pop("Path")), text.replace(" ", "")
        elif (match := _TABLE_ROW.fullmatch(text)) and (self.in_table or text[:3].upper() == "MD5"):
            yield where, _whole(match[2], where), match[1]
        elif match := _CSV_ROW.fullmatch(text):
            yield where, _with_slashes(match[2].replace('""', '"') if match[2] else match[3]), match[1]
        elif _TABLE_HEAD.fullmatch(text):
            self.in_table = True
        elif not (_CSV_HEAD.fullmatch(text) or text.startswith("CertUtil: ")):
            escaped, name, md5 = _fields(text, where)
            yield where, _unescaped(name) if escaped else _with_slashes(name), md5

    def _hashdeep(self, text: str, where: str) -> Iterator[tuple[str, str, str]]:
        """Read a line of the header, which names the columns, or of a file."""
        if text.startswith("%%%% "):
            columns = text.removeprefix("%%%% ").strip().split(",")
            if columns[-1] == "filename":
                self.columns = columns
                if "md5" not in columns:
                    raise _other_algorithm(where)
            return
        values = dict(zip(self.columns, text.split(",", len(self.columns) - 1), strict=False))
        if len(values) < len(self.columns) or not re.fullmatch(rf"{_HEX}{{32}}", values["md5"]):
            raise UsageError(f"{where}: not a line in hashdeep's format", hint=_HOW)
        yield where, _with_slashes(values["filename"]), values["md5"]

    def _continues(self, text: str) -> bool:
        """Append the rest of a path that PowerShell wrapped."""
        if "Hash" not in self.fields or "Path" not in self.fields or not text.startswith("            "):
            return False
        self.fields["Path"] += text.strip()
        return True

    def _end_of_fields(self) -> Iterator[tuple[str, str, str]]:
        fields, self.fields = self.fields, {}
        if "Hash" not in fields:
            if "Path" in fields:
                raise UsageError(f"{self.where}: names a file without its MD5")
            return
        if fields.get("Algorithm", "MD5").upper() != "MD5":
            raise _other_algorithm(self.where)
        yield self.where, _with_slashes(fields.get("Path", "")), fields["Hash"]


def _fields(line: str, where: str) -> tuple[bool, str, str]:
    """Return whether the name is escaped, the name and the MD5."""
    if match := _PLAIN.fullmatch(line) or _MD5DEEP.fullmatch(line):
        return bool(match[1]), match[3], match[2]
    if match := _TAGGED.fullmatch(line):
        return bool(match[1]), match[2], match[3]
    if _OTHER_SUM.fullmatch(line):
        raise _other_algorithm(where)
    raise UsageError(f"{where}: not a line in md5sum's format", hint=_HOW)


def _other_algorithm(where: str) -> UsageError:
    return UsageError(f"{where}: is a SHA checksum; Figshare only has MD5s", hint="Make the list with md5sum.")


def _unescaped(name: str) -> str:
    return _ESCAPED.sub(lambda match: _UNESCAPED.get(match[1], match[0]), name)


def _with_slashes(name: str) -> str:
    r"""Convert a Windows path to slashes; md5sum escapes backslashes in names, so a single one is a separator."""
    return name if "/" in name else name.replace("\\", "/")


def _whole(name: str, where: str) -> str:
    if name.endswith(("...", "\u2026")):
        raise UsageError(
            f"{where}: the path is cut off",
            hint="Let PowerShell write the list with: Get-FileHash -Algorithm MD5 ... | Export-Csv LIST",
        )
    return _with_slashes(name)


def _windows_location(name: str, given_base: str) -> tuple[str, str]:
    """Return the remote folder and name of a path with a drive; case does not matter to Windows."""
    whole = ntpath.normpath(name).replace("\\", "/")
    base = ntpath.normpath(given_base).replace("\\", "/").rstrip("/") + "/" if given_base else "/"
    inner = whole[len(base) :] if whole.lower().startswith(base.lower()) else ""
    folder, _, last = (inner or whole.rpartition("/")[2]).rpartition("/")
    return folder, last
