"""Every error a user can meet, each with a stable code and an exit status.

Errors are split by who must act: the user (`UserError`), the server's side (`ServerError`), or time
(`TransientError`: the same call continues). Code below the command line raises these and nothing else for
anything that a user can cause or see; the command line turns them into one line and an exit status.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from enum import IntEnum
from typing import ClassVar, Self


class ExitStatus(IntEnum):
    """How a command ended. Job scripts rely on these numbers."""

    meaning: str
    """One line for people."""

    def __new__(cls, number: int, meaning: str) -> Self:
        status = int.__new__(cls, number)
        status._value_ = number
        status.meaning = meaning
        return status

    OK = 0, "everything is on Figshare and verified"
    SOME_FAILED = 1, "some files or records failed, the others are done; the summary names them"
    USAGE = 2, "invalid command line, metadata or configuration; nothing further was sent"
    NOT_PERMITTED = 3, "no token, or not permitted"
    NOT_FOUND = 4, "a source, item or project does not exist"
    INTEGRITY = 5, "a source changed, MD5s differ, or an answer does not match the request"
    LIMIT = 6, "the quota or the maximum file size is exceeded"
    PENDING = 7, "everything was sent; Figshare has not computed the MD5 in time"
    BUSY = 8, "another process is working on this job"
    RESUMABLE = 75, "interrupted or temporary failure; run the same command again to continue"
    INTERRUPTED = 130, "interrupted by Ctrl-C; run the same command again to continue"


@dataclass(frozen=True)
class Facts:
    """What a front end needs to give advice of its own, such as which option to use.

    `situation` tells apart what a code does not; it is the code itself for an error that was raised without a hint, and
    "" where the hint says all. The other facts are None where the situation does not need them.
    """

    situation: str = ""
    _: KW_ONLY
    job: str | None = None
    item_id: int | None = None
    account: int | None = None
    author_id: int | None = None
    reasons: tuple[str, ...] = ()
    """Why everything was skipped: see `uploader.sources.models.Reason`."""


class FigupError(Exception):
    """Base of all errors of figup.

    `message` is one line: what happened, to which file. `hint` says what to do, None where there is nothing to add;
    `facts` let a front end say it in its own terms.
    `path` is the source concerned as the user gave it, None where no single file is concerned. `causes` are the errors
    that this one sums up.
    """

    code: str = "error"
    exit_status: ExitStatus = ExitStatus.SOME_FAILED
    default_hint: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        path: str | None = None,
        causes: Sequence[FigupError] = (),
        facts: Facts | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is not None else self.default_hint
        self.facts = facts or Facts(self.code if hint is None else "")
        self.path = path
        self.causes = tuple(causes)

    def __str__(self) -> str:
        return self.message

    def with_context(
        self,
        *,
        prefix: str | None = None,
        suffix: str | None = None,
        path: str | None = None,
        hint: str | None = None,
        situation: str | None = None,
    ) -> Self:
        """Return this error as seen by a caller that knows more, for `raise error.with_context(...) from error`.

        `prefix` and `suffix` are set off from the message by a colon; a `path`, `hint` or
        `situation` replaces what was there.
        """
        known = copy.copy(self)
        known.message = ": ".join(part for part in (prefix, self.message, suffix) if part)
        known.path = path if path is not None else self.path
        known.hint = hint if hint is not None else self.hint
        if hint is not None or situation is not None:
            known.facts = replace(self.facts, situation=situation or "")
        return known


class UserError(FigupError):
    """Something that the user can put right."""


class ServerError(FigupError):
    """The server did or said something that neither the user nor waiting will mend by itself."""


class TransientError(FigupError):
    """It may pass: the same command, run again, goes on."""

    exit_status = ExitStatus.RESUMABLE
    default_hint = "Repeat the call to continue; what was sent is kept."


# --- the user ---------------------------------------------------------------------------------------------------


class UsageError(UserError):
    """The command line, or a value given to the library, is wrong; nothing was sent."""

    code = "usage"
    exit_status = ExitStatus.USAGE


class MetadataInvalid(UserError):
    """What an item is to say of itself is wrong; nothing was created.

    `field` is the one concerned, "" for the file as a whole or several (then `causes` has them); `line` is where it
    stands, from 1, None where that is not known.
    """

    code = "metadata"
    exit_status = ExitStatus.USAGE

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        path: str | None = None,
        causes: Sequence[FigupError] = (),
        facts: Facts | None = None,
        field: str = "",
        line: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint, path=path, causes=causes, facts=facts)
        self.field = field
        self.line = line


class InsecureEndpoint(UserError):
    """Plain http to anything but loopback: the token would travel in the clear."""

    code = "insecure-endpoint"
    exit_status = ExitStatus.USAGE


class TlsFailure(UserError):
    """The server's certificate does not check out, or there is no common TLS: nothing was sent to it."""

    code = "tls"
    exit_status = ExitStatus.USAGE
    default_hint = "If the network or server has its own certificate authority, name its certificate file."


class NoToken(UserError):
    """No token was found anywhere."""

    code = "no-token"
    exit_status = ExitStatus.NOT_PERMITTED
    default_hint = "Set FIGSHARE_TOKEN, or name a token file."


class TokenFileExposed(UserError):
    """A token file that other people can read."""

    code = "token-file-exposed"
    exit_status = ExitStatus.NOT_PERMITTED


class TokenRejected(UserError):
    """Figshare does not accept the token (wrong, expired, or its account is disabled)."""

    code = "token-refused"
    exit_status = ExitStatus.NOT_PERMITTED
    default_hint = "Make a new token at figshare.com/account/applications."


class PermissionDenied(UserError):
    """The token is good, but not for this."""

    code = "not-allowed"
    exit_status = ExitStatus.NOT_PERMITTED
    default_hint = "Use the token of an account that may do this."


class SourceNotFound(UserError):
    """A source does not exist (any more)."""

    code = "source-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check the path, or put the file back."


class SourceUnreadable(UserError):
    """A source exists and cannot be read."""

    code = "source-unreadable"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Make it readable."


class SourcesUnusable(UserError):
    """Several of the sources cannot be sent as they are, for the reasons that `causes` give; nothing was sent."""

    code = "sources-unusable"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Fix them, or leave them out; nothing was sent."


class ItemNotFound(UserError):
    """The item does not exist, or this account may not see it."""

    code = "item-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check the number; a draft is visible only to its owner."


class ProjectNotFound(UserError):
    """The project does not exist, or this account may not see it."""

    code = "project-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check the number, and whose token this is."


class AccountNotFound(UserError):
    """The account that is to be acted for does not exist, or is not one of the institution's."""

    code = "account-missing"
    exit_status = ExitStatus.NOT_FOUND
    default_hint = "Check the number: it is the id of an account in your institution, not that of an author."


class JobNotFound(UserError):
    """No such job on this machine."""

    code = "job-missing"
    exit_status = ExitStatus.NOT_FOUND


class SourceChanged(UserError):
    """The source is not what was sent, or what was planned."""

    code = "source-changed"
    exit_status = ExitStatus.INTEGRITY
    default_hint = "Put the old file back, or allow the new one to be sent."


class ChecksumWrong(UserError):
    """The source does not have the MD5 that the user says it has; it was not completed."""

    code = "checksum-wrong"
    exit_status = ExitStatus.INTEGRITY
    default_hint = "Put the right file, or the right MD5, in its place."


class QuotaExceeded(UserError):
    """The account has no room for this."""

    code = "quota-exceeded"
    exit_status = ExitStatus.LIMIT


class FileTooLarge(UserError):
    """The account takes no file of this size."""

    code = "file-too-large"
    exit_status = ExitStatus.LIMIT


class SomeFilesFailed(UserError):
    """Several files were to be sent, and not all of them could be; the report names them."""

    code = "some-files-failed"
    exit_status = ExitStatus.SOME_FAILED
    default_hint = "Fix what the messages report; the other files are not sent again."


class Conflict(UserError):
    """The item already holds something else under this name; nothing was replaced."""

    code = "conflict"
    exit_status = ExitStatus.SOME_FAILED


class NotPublishable(UserError):
    """The item lacks something without which it cannot, or should not, be published."""

    code = "not-publishable"
    exit_status = ExitStatus.SOME_FAILED


class JobBusy(UserError):
    """Another process works on this job."""

    code = "job-busy"
    exit_status = ExitStatus.BUSY
    default_hint = "Let it finish, or stop it where it runs."


class StateUnusable(UserError):
    """The state directory cannot be used (read-only, not a directory, no permission)."""

    code = "state-unusable"
    exit_status = ExitStatus.USAGE
    default_hint = "Use another state directory (FIGUP_STATE_DIR)."


class JournalNewer(UserError):
    """The journal was written by a newer figup."""

    code = "journal-newer"
    exit_status = ExitStatus.USAGE
    default_hint = "Update figup, or start a new job."


class JournalDamaged(UserError):
    """The journal is damaged beyond what the server can tell."""

    code = "journal-damaged"
    exit_status = ExitStatus.USAGE
    default_hint = "Upload the same sources again: Figshare is asked for what is missing."


# --- the server -------------------------------------------------------------------------------------------------


class NotFigshare(ServerError):
    """The endpoint answers, but not as Figshare does."""

    code = "not-figshare"
    exit_status = ExitStatus.USAGE
    default_hint = "Check the endpoint (FIGSHARE_ENDPOINT); the public API is https://api.figshare.com/v2."


class ProtocolViolation(ServerError):
    """An answer that no honest Figshare gives (parts with gaps, an upload address that is none …)."""

    code = "protocol-violation"
    exit_status = ExitStatus.SOME_FAILED


class RequestRejected(ServerError):
    """Figshare refused a request for good; `message` carries its own words.

    `permanent` is True when the same request would be refused again: what it asks for is at fault.
    """

    code = "refused"
    exit_status = ExitStatus.SOME_FAILED
    default_hint = "Fix what Figshare reports."

    def __init__(
        self, message: str, *, hint: str | None = None, path: str | None = None, permanent: bool = False
    ) -> None:
        super().__init__(message, hint=hint, path=path)
        self.permanent = permanent


class Md5Mismatch(ServerError):
    """Figshare's MD5 differs from the source's."""

    code = "md5-mismatch"
    exit_status = ExitStatus.INTEGRITY


class Md5Pending(ServerError):
    """All sent and completed, but Figshare has not computed the MD5 in time."""

    code = "md5-pending"
    exit_status = ExitStatus.PENDING


# --- time -------------------------------------------------------------------------------------------------------


class _RetriesExhausted(TransientError):
    """A request that was retried until the retry time was used up.

    `isolated` is True when other requests were answered meanwhile: the service as such works.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, path: str | None = None, isolated: bool = False
    ) -> None:
        super().__init__(message, hint=hint, path=path)
        self.isolated = isolated


class Unreachable(_RetriesExhausted):
    """No connection, or none that lasts."""

    code = "unreachable"


class ServerFailing(_RetriesExhausted):
    """Figshare kept answering with transient errors until the retry time was used up."""

    code = "server-failing"


class UploadFailing(TransientError):
    """One file's upload was lost, or refused, again and again, while Figshare was there for others."""

    code = "upload-failing"


class StateDiskFull(TransientError):
    """The disk that holds the journal is full."""

    code = "state-full"
    default_hint = "Make room where the state directory is."


class OutputLost(TransientError):
    """What the command says cannot be written: the disk that its stdout goes to is full."""

    code = "output-lost"


class StateLost(TransientError):
    """The state directory could be used when the run began, and cannot be written any more."""

    code = "state-lost"
    default_hint = "Make it writable again; what was sent is kept."


class Interrupted(TransientError):
    """A signal or a deadline ended the run; it can go on."""

    code = "interrupted"
