"""The hints of the command line, by situation (see `uploader.errors.Facts`). Data only."""

from __future__ import annotations

import msgspec


class Hint(msgspec.Struct, frozen=True):
    """`text` may contain facts in braces, `{hint}` (the library's) and `{path}`, which is quoted for a shell.

    A command in it ends with the options to repeat: `{options}` if it asks Figshare, `{job_options}` if it is about
    jobs, `{login_options}` for `figup auth login`.

    `complete` is True if the text already says how to continue, or continuing makes no sense.
    """

    text: str
    complete: bool = False


_RERUN = "run the same command again"
_REPLACE_OR_KEEP = "replace that file with --on-conflict replace, or keep both with --on-conflict keep."
_CONTINUE = Hint("Run the same command again to continue; what was done is kept.")
TRANSIENT = frozenset(
    {"unreachable", "server-failing", "upload-failing", "output-lost", "interrupted", "sandbox-failed"}
)
"""Situations in which the only advice is to continue."""
_METADATA_FORMAT = "`figup metadata template` documents every field."

HINTS: dict[str, Hint] = {
    **dict.fromkeys(TRANSIENT, _CONTINUE),
    # Codes: errors that were raised without a hint of their own.
    "filter-ignored": Hint("Leave the filter out, or narrow the search; --explain shows what is asked.", complete=True),
    "output-exists": Hint("Choose another name, or replace it with --force.", complete=True),
    "catalog-busy": Hint("Let it finish, or stop it where it runs.", complete=True),
    "catalog-newer": Hint("Update figup, or read everything again with --fresh.", complete=True),
    "catalog-damaged": Hint("Read everything again with --fresh.", complete=True),
    "values-unread": Hint("{hint}", complete=True),
    "no-xlsx": Hint("Install it: pip install 'figup[xlsx]'; or use CSV.", complete=True),
    "batch-format": Hint("Use the file as Figshare sent it: spreadsheets change numbers and cells."),
    "records-format": Hint("`figup records template` shows the columns; `figup help records` explains them."),
    "some-records-failed": Hint(
        "Fix what the messages report, and run the same command again; completed work is not repeated.", complete=True
    ),
    "records-failed": Hint("Run the same command again to read them once more.", complete=True),
    "records-missing": Hint("Narrow the search, for example with --since and --until, or by --type.", complete=True),
    "rows-unread": Hint("{hint}", complete=True),
    "name-missing": Hint("Check its spelling, or give its id."),
    "statistics-login": Hint("{hint} Store them with `figup stats login INST{login_options}`.", complete=True),
    "unknown-scope": Hint("{hint}", complete=True),
    "not-statistics": Hint("Check --stats-endpoint (FIGSHARE_STATS_ENDPOINT).", complete=True),
    "no-statistics-endpoint": Hint("Give its address with --stats-endpoint or FIGSHARE_STATS_ENDPOINT.", complete=True),
    "no-numbers": Hint("Add --stats.", complete=True),
    "no-ids": Hint("Name some, or a file of them with --from-file.", complete=True),
    "password-file-exposed": Hint("Run `chmod 600` on it.", complete=True),
    "unknown-institution": Hint("`figup institution list WORD{options}` searches them.", complete=True),
    "throttled": Hint(
        "Run the same command again in an hour; with a token (`figup auth login{login_options}`) Figshare may allow "
        "more.",
        complete=True,
    ),
    "tls": Hint("If your network or server has its own certificate authority, give its file with --ca-file."),
    "no-token": Hint("Set FIGSHARE_TOKEN, give --token-file, or run `figup auth login{login_options}`.", complete=True),
    "token-refused": Hint(
        "Create a new token at figshare.com/account/applications and run `figup auth login{login_options}`.",
        complete=True,
    ),
    "sign-in-again": Hint("Sign in again: `figup auth login --oauth2 --client-id ID{login_options}`.", complete=True),
    "sign-in-again-v1": Hint(
        "Sign in again: `figup auth login --oauth1 --client-id ID{login_options}`.", complete=True
    ),
    "clock-wrong": Hint("Set this computer's clock, then run the same command again.", complete=True),
    "no-v1": Hint("Sign in first: `figup auth login --oauth1 --client-id ID{login_options}`.", complete=True),
    "v1-incomplete": Hint("`figup item list{options}` lists all of them.", complete=True),
    "sign-in-failed": Hint(
        "Sign in once more; check the application's id and secret, and that it knows the address of --redirect.",
        complete=True,
    ),
    "no-consent": Hint(
        "Run the same command again, and consent in time; or use --paste (--pin with --oauth1) and a browser "
        "of any computer.",
        complete=True,
    ),
    "wrong-application": Hint(
        "Compare --client-id and --redirect with figshare.com/account/applications; --paste skips this check.",
        complete=True,
    ),
    "redirect-port": Hint(
        "Free the port, name another address that the application knows with --redirect, or use --paste "
        "(--pin with --oauth1).",
        complete=True,
    ),
    "same-output": Hint("Name another file with --failed-to.", complete=True),
    "no-oauth": Hint("Install it: pip install 'figup[oauth]'.", complete=True),
    "token-refused-reading": Hint(
        "Public records need no token: unset FIGSHARE_TOKEN or run `figup auth logout{options}` to read them "
        "without. For your own, create a new one at figshare.com/account/applications.",
        complete=True,
    ),
    "not-allowed": Hint(
        f"`figup auth status{{options}}` shows whose token this is; use one that may do this, then {_RERUN}.",
        complete=True,
    ),
    "source-missing": Hint(f"Check the path, or put the file back; then {_RERUN}.", complete=True),
    "source-unreadable": Hint(f"Make it readable, then {_RERUN}.", complete=True),
    "sources-unusable": Hint("Fix them, or leave them out with --exclude; nothing was sent."),
    "item-missing": Hint(
        "Check the number. A draft is visible only to its owner; `figup auth status{options}` shows whose token is "
        "used.",
        complete=True,
    ),
    "item-of-job-missing": Hint(
        "If it was deleted, run the `figup upload` again with --new-job to send everything to a new item. A draft is "
        "visible only to its owner; `figup auth status{options}` shows whose token is used.",
        complete=True,
    ),
    "created-by-other-account": Hint(
        f"With a token of account {{account}}, {_RERUN}; or add --new-job to send everything as this account. "
        "`figup auth status{options}` shows whose token is used.",
        complete=True,
    ),
    "perhaps-published": Hint(
        "If it is this job's, run the `figup upload` again with --item {item_id} instead of its title; otherwise with "
        "--new-job.",
        complete=True,
    ),
    "project-missing": Hint("Check the number; `figup auth status{options}` shows whose token this is.", complete=True),
    "account-missing": Hint("{hint} Without --impersonate you act for yourself."),
    "file-missing": Hint("Check its name on the item's page.", complete=True),
    "file-not-in-item": Hint("Patterns are given with --include; --output is the folder to write to.", complete=True),
    "target-unusable": Hint("Choose another folder with --output, or remove the obstacle.", complete=True),
    "target-exists": Hint("Move it away, or replace it with --on-conflict replace.", complete=True),
    "target-full": Hint(f"Free space there, then {_RERUN}; what was downloaded is kept.", complete=True),
    "job-missing": Hint("`figup jobs{job_options}` lists the jobs on this machine.", complete=True),
    "source-changed": Hint(
        "Put the old file back and run the same command again, or add --restart-changed to send the new one.",
        complete=True,
    ),
    "checksum-wrong": Hint(f"Correct the file or its MD5; then {_RERUN}.", complete=True),
    "some-files-failed": Hint(
        f"Fix what the messages report and {_RERUN}; the other files are not sent again.", complete=True
    ),
    "job-busy": Hint(
        "Let it finish (`figup status {job} --watch{job_options}` follows it), or stop it where it runs.", complete=True
    ),
    "state-unusable": Hint("Use another directory with --state-dir or FIGUP_STATE_DIR."),
    "journal-newer": Hint("Update figup, or start a new job with --new-job."),
    "sources-lost": Hint(
        f"Put back what was removed or excluded since, then {_RERUN}; or start over with --new-job.",
        complete=True,
    ),
    "begun-source-lost": Hint(
        "Put back what was removed or excluded since, and run the job's `figup upload` command again; or add "
        "--forget-missing to do without it.",
        complete=True,
    ),
    "journal-damaged": Hint(
        "Run the `figup upload` command of this job again: it asks Figshare for what is missing.", complete=True
    ),
    "not-figshare": Hint("Check --endpoint (FIGSHARE_ENDPOINT); the public API is https://api.figshare.com/v2."),
    "refused": Hint(f"Fix what Figshare reports; then {_RERUN}.", complete=True),
    "state-full": Hint(f"Free space on the disk of the state directory, then {_RERUN}.", complete=True),
    "storage-unavailable": Hint(
        f"Mount it again, or wait until it answers; then {_RERUN}. What was sent is kept.", complete=True
    ),
    "storage-fails": Hint(f"Check its disk or mount; then {_RERUN}. What was sent is kept.", complete=True),
    "out-of-resources": Hint(f"When more resources are free, {_RERUN}; what was sent is kept.", complete=True),
    "out-of-memory": Hint(f"Give the process more memory, then {_RERUN}; what was sent is kept.", complete=True),
    "out-of-descriptors": Hint(
        f"Raise the limit (ulimit -n), or lower --connections and --api-rate; then {_RERUN}; what was sent is kept.",
        complete=True,
    ),
    "state-lost": Hint(f"Make it writable, then {_RERUN}; what was sent is kept.", complete=True),
    "sandbox-busy": Hint("Stop it, or use another directory with --dir."),
    "protocol-violation": Hint(
        "Run the same command again later; if that does not help, send this message to Figshare's support.",
        complete=True,
    ),
    # Situations.
    "redirected": Hint(
        "Something in between, such as a proxy or a login page, may answer in Figshare's place: check the network and "
        f"HTTPS_PROXY, then {_RERUN}.",
        complete=True,
    ),
    "upload-refused": Hint(
        "Run the same command again, which requests the upload's address again. If it is still refused, something in "
        "between may refuse it: try another network, or without HTTPS_PROXY.",
        complete=True,
    ),
    "refused-unexplained": Hint(
        "Run the same command again later; if it is still refused, send this message to Figshare's support.",
        complete=True,
    ),
    "refused-of-many": Hint(
        f"Fix what Figshare reports, or leave the file out with --exclude; then {_RERUN}.", complete=True
    ),
    "empty-file": Hint(f"Figshare does not seem to accept empty files. Add content, then {_RERUN}.", complete=True),
    "empty-file-of-many": Hint(
        "Figshare does not seem to accept empty files. Add content or leave the file out with --exclude, then "
        f"{_RERUN}.",
        complete=True,
    ),
    "number-as-path": Hint("To send files to that item, use --item {path}.", complete=True),
    "no-part-finished": Hint(
        "A part takes longer than that: allow more time, raise --limit-rate, or give each part more of the bandwidth "
        "with --connections 1."
    ),
    "put-back": Hint(f"Put it back and {_RERUN}.", complete=True),
    "put-back-to-compare": Hint(f"Put it back and {_RERUN} to compare it; the item holds it.", complete=True),
    "select-again": Hint("Run the same `figup upload` again: it chooses again what is packed.", complete=True),
    "member-gone": Hint(
        "Put it back and run the same command again, or add --restart-changed --forget-missing to make the archive "
        "without it.",
        complete=True,
    ),
    "member-moved": Hint(
        f"Move it back and {_RERUN}, or add --follow-symlinks to follow links; --restart-changed --forget-missing "
        "makes the archive without it.",
        complete=True,
    ),
    "put-back-or-forget": Hint(
        f"Put it back and {_RERUN} to send it again, or add --forget-missing to do without it.", complete=True
    ),
    "changed-since-verified": Hint("Add --restart-changed to send it in its place, or use another item to keep both."),
    "no-longer-held": Hint("Add --new-job to send it again."),
    "lost-in-item": Hint("Run the same command again to send it again.", complete=True),
    "md5-differs-twice": Hint(f"Check this machine's disk and memory; {_RERUN} to try once more.", complete=True),
    "verify-later": Hint("Later: figup verify {item_id} {path}{options}", complete=True),
    "verify-packed-later": Hint("Later: figup verify {item_id} {path} --packed{options}", complete=True),
    "several-of-that-name": Hint(
        f"Remove all others on the item's page, then {_RERUN} with --on-conflict replace; or add --on-conflict keep.",
        complete=True,
    ),
    "being-sent": Hint(f"Wait until it ends, then {_RERUN}.", complete=True),
    "replace-or-keep": Hint(f"{_REPLACE_OR_KEEP[0].upper()}{_REPLACE_OR_KEEP[1:]}"),
    "same-perhaps": Hint("Run the same command again later, or choose with --on-conflict.", complete=True),
    "different": Hint(f"Rename the source; or {_REPLACE_OR_KEEP}"),
    "perhaps-own": Hint(f"If so, {_RERUN} with --on-conflict replace, else with --on-conflict keep.", complete=True),
    "started-here": Hint(
        "Continue it: `figup resume {job}{job_options}`. Or give it up: `figup cancel {job}{job_options}`. "
        "Then run this command again.",
        complete=True,
    ),
    "started-elsewhere": Hint(
        "Finish it where it was started, or delete it on Figshare; or choose --on-conflict replace, which removes it "
        "once this file is verified, or --on-conflict keep."
    ),
    "too-large": Hint("Leave out larger files with --exclude, or split them."),
    "too-large-and-full": Hint(
        "Leave out larger files with --exclude, or split them. Free some space, ask Figshare for more, or publish "
        "items (published files do not count)."
    ),
    "not-regular": Hint(
        "Figshare needs the size in advance: write the data to a file first, or leave it out with --exclude."
    ),
    "all-skipped": Hint("{skipped}"),
    "nul-separated": Hint("If they separate the paths, add -0."),
    "no-pack-name": Hint("Give one with --pack-name."),
    "two-manifests": Hint("Rename the source, or add --no-pack-manifest."),
    "pack-limit": Hint("Raise --pack-limit, or send such files as they are with --pack-below."),
    "many-files": Hint("--pack zip sends all of them as one file, made while it is sent.", complete=True),
    "no-title": Hint("Give --title, or --item."),
    "title-length": Hint("Give one with --title."),
    "publish-lacks": Hint("Give them in a file, with --metadata; `figup metadata template` writes one to start from."),
    "unknown-doi": Hint("Check it, or give the number or the address of the page.", complete=True),
    "lacks-fields": Hint("`figup item update {item_id} --metadata FILE{options}` adds them.", complete=True),
    "published-before": Hint("`figup item publish {item_id}{options}` publishes it."),
    "created-unfinished": Hint(
        "`figup item update {item_id} --metadata FILE{options}` sets it once it is corrected; "
        "`figup item delete {item_id}{options}` deletes the item.",
        complete=True,
    ),
    "unfinished-files": Hint(
        "Finish them (`figup resume{job_options}`), or remove them: figup item files rm {item_id} FILE{options}", True
    ),
    "unfinished-kept": Hint("If nobody needs it: figup item files rm {item_id} FILE{options}", complete=True),
    "another-author": Hint(
        "Compare the ORCID iDs. If it is the same person: figup item authors add {item_id} {author_id}{options}", True
    ),
    "metadata-format": Hint(_METADATA_FORMAT, complete=True),
    "found-metadata": Hint("{hint} --metadata names your own file, --no-found-metadata ignores sidecar files."),
    "unknown-category": Hint("`figup metadata categories WORD{options}` searches them.", complete=True),
    "token-store": Hint("Make it writable, or set XDG_CONFIG_HOME; FIGSHARE_TOKEN needs no file.", complete=True),
    "token-store-damaged": Hint("Remove it and run `figup auth login{login_options}`.", complete=True),
    "no-token-for-loopback": Hint(
        "Set FIGSHARE_TOKEN, give --token-file, or run `figup auth login{login_options}`. For the local Figshare of "
        "this machine, add --sandbox.",
        complete=True,
    ),
    "may-not-impersonate": Hint("{hint} Without --impersonate you act for yourself."),
    "other-account": Hint("Add --impersonate {account}."),
    "own-account": Hint("Leave --impersonate out."),
    "job-cancelled": Hint("To send its files after all, run its `figup upload` command again.", complete=True),
    "state-not-shared": Hint(
        "Name a directory that all of them share with --state-dir or FIGUP_STATE_DIR. If they are all on one machine, "
        "it may be on a local disk.",
        complete=True,
    ),
    "new-job-joined": Hint("Leave out --new-job, or --join and --shard.", complete=True),
    "alone": Hint("Check --state-dir. Tasks that start later still join.", complete=True),
    "no-workers": Hint("They may wait in the queue, or not reach this host.", complete=True),
    "pool-or-join": Hint("Give --dask, or --join.", complete=True),
    "pool-unusable": Hint("Check the address that --dask gives, and that the pool is running.", complete=True),
    "no-slurm": Hint("Run it where Slurm's commands work, or give --dask the address of a pool.", complete=True),
    "no-dask": Hint("Install it: pip install 'figup[dask]'.", complete=True),
    "join-which": Hint("Name it: `figup resume JOB --join{job_options}`.", complete=True),
    "no-jobs": Hint("`figup upload` starts one.", complete=True),
    "no-unfinished-job": Hint("`figup jobs{job_options}` lists all jobs.", complete=True),
    "several-unfinished": Hint(
        "Resume one of them: `figup resume JOB{job_options}`. Give up the others: `figup cancel JOB{job_options}`.",
        complete=True,
    ),
}

SKIP_HINTS = {
    "hidden": "--hidden includes names that begin with a dot.",
    "link": "--follow-symlinks includes the targets of links.",
    "excluded": "Check --exclude and .figupignore.",
    "not-included": "Check --include.",
    "folder": "Name folders on the command line.",
}
