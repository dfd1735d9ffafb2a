"""Format records of lists and searches for a terminal."""

from __future__ import annotations

from uploader.figshare.records import AccountRecord, AuthorRecord, Record
from uploader.text import printable
from uploader.units import format_bytes


def record_line(row: Record) -> str:
    """Format a record: id, day of publication, type, title."""
    day = f"{row.published:%Y-%m-%d}" if row.published is not None else "-"
    kind = f"{row.type:<20}  " if row.type else ""
    return f"{row.id:>10}  {day:<10}  {kind}{printable(' '.join(row.title.split()))}"


def author_line(row: AuthorRecord) -> str:
    """Format an author: id, ORCID iD, name, job title."""
    job = f"  ({row.job_title})" if row.job_title else ""
    return printable(f"{row.id:>10}  {row.orcid or '-':<19}  {row.full_name}{job}")


def account_line(row: AccountRecord) -> str:
    """Format an account: id, state, used space, e-mail, name."""
    state = "active" if row.active else "inactive"
    used = format_bytes(row.used_quota) if row.used_quota is not None else "-"
    return printable(f"{row.id:>10}  {state:<8}  {used:>9}  {row.email}  {row.name}")
