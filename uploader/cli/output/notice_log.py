"""The log of a run: what `-v` and `--log-file` record of a job without errors. Errors and retries are logged where
they occur; parts and requests only at DEBUG."""

from __future__ import annotations

import logging

from uploader import units
from uploader.text import printable
from uploader.transfer import notices as no

log = logging.getLogger("uploader.cli")


def log_notice(notice: no.AnyNotice) -> None:
    """Log a notice at INFO, if it is worth a line."""
    if log.isEnabledFor(logging.INFO) and (text := _job_text(notice) or _file_text(notice)) is not None:
        log.info("%s", text)


def _job_text(notice: no.AnyNotice) -> str | None:
    """Describe what concerns the job or its item; not the address of a private link, which is a secret."""
    match notice:
        case no.JobStarted():
            amount = f"{units.format_count(notice.files, 'file')}, {units.format_bytes(notice.bytes_total)}"
            done = f", {notice.files_done} of them verified before" if notice.files_done else ""
            return f"job {notice.job} {'continues' if notice.resumed else 'begins'}: {amount}{done}"
        case no.Joined():
            return f"job {notice.job}: joined; {notice.leader or 'no process'} leads it"
        case no.ItemKnown():
            return f"item {notice.item_id} {'created' if notice.created else 'found'}: {notice.item_url}"
        case no.Described():
            return f"item {notice.item_id}: metadata set: {', '.join(notice.fields)}"
        case no.FinalStepCompleted():
            secret = notice.step == "private_link"
            return f"{notice.step.replace('_', ' ')}: {'done' if secret else printable(notice.value)}"
        case no.Warned():
            return printable(notice.message)
    return None


def _file_text(notice: no.AnyNotice) -> str | None:
    match notice:
        case no.FileStarted():
            found = f", {notice.parts_found} of them there" if notice.parts_found else ""
            parts = f"{units.format_count(notice.parts_total, 'part')}{found}"
            size = units.format_bytes(notice.size)
            return f"{printable(notice.path)}: begun as file {notice.file_id}: {size}, {parts}"
        case no.FileSent():
            return f"{printable(notice.path)}: sent; Figshare computes its MD5"
        case no.FileVerified():
            return f"{printable(notice.path)}: verified, MD5 {notice.md5}"
        case no.LinkConfirmed():
            return f"{printable(notice.path)}: linked as file {notice.file_id}"
        case no.FileRestarted():
            return f"{printable(notice.path)}: sent again from its beginning: {notice.reason}"
        case no.FileFailed():
            return printable(notice.message)
    return None
