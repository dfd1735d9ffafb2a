"""Commands inside sentences and tables of README.md and the manual are run as written: code spans that begin with
`figup `, with values for their placeholders. `test_manual` runs the blocks of these pages.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable

import click
import pytest

from tests.integration.test_manual import PAGES, blocks
from tests.support.command import Figup
from tests.support.control import add_faults, drop_faults
from tests.support.invariants import ask, md5_of
from tests.support.sandbox import Sandbox
from uploader.cli.main import main
from uploader.sandbox.seeds import FIRST_ITEM, orcid

NOT_RUN = {
    "figup sandbox": "runs until it is stopped; every test here uses one",
    "figup demo": "sends 1 GB; test_cli_demo runs a smaller one",
    "figup auth login --oauth1 --client-id KEY": "needs a person at a browser; test_cli_oauth plays one",
    "figup auth login --oauth2 --client-id ID --redirect http://127.0.0.1:8765/": "likewise, and a fixed port",
    "figup v1 list": "needs a token of OAuth 1; test_cli_oauth signs in for one",
    "figup v1 search WORDS": "likewise",
    "figup upload results --dask tls://scheduler:8786": "needs a pool of Dask; test_dask_pool starts one",
}
"""Why each is not run here. Their options are checked against the command's."""

MORE = {
    "figup author search": "Doe",
    "figup item create": "--title Beavers",
    "figup records update --key id": "records.csv",
    "figup report author NAME": "--output a.csv",
    "figup report author NAME --orcid ID --stats": "--output b.csv",
    "figup report own --collections --stats": "--output c.csv",
    "figup verify --checksums": "survey.md5 ONE",
    "figup item files rm 1234567 FILE": "--yes",
    "figup item delete 1234567": "--yes",
    "figup item publish 1234567": "--yes",
    "figup jobs rm JOB": "--yes",
    "figup jobs --prune": "--yes",
    "figup jobs --prune --older-than 30d": "--yes",
    "figup records undo JOB": "--yes",
}
"""What else a command needs that its sentence leaves out."""

LAST = ("figup item publish 1234567", "figup item thumbnail 1234567 FILE_ID", "figup jobs --prune")
"""In this order, as the others need a draft and the jobs."""


def spans() -> list[str]:
    """Commands inside sentences and tables: code spans that begin with `figup `."""
    text = "\n".join(
        re.sub(r"^ *```.*?^ *```$", "", p.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE) for p in PAGES
    )
    return sorted({" ".join(span.split()) for span in re.findall(r"`(figup [^`]+)`", text)})


def command_of(span: str) -> tuple[click.Command, list[str]]:
    """The command that a span names, and the words after its name."""
    command: click.Command = main
    words = shlex.split(span)[1:]
    while words and isinstance(command, click.Group) and re.fullmatch(r"[a-z][a-z0-9-]*", words[0]):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, span
        command, words = found, words[1:]
    return command, words


def is_name(span: str) -> bool:
    """Whether a span only names a group, or a command that needs arguments: it is run with `--help`."""
    command, words = command_of(span)
    group = isinstance(command, click.Group) and not command.invoke_without_command
    return not words and (group or any(param.required for param in command.params))


@pytest.mark.parametrize("span", NOT_RUN)
def test_commands_that_are_not_run_exist(span: str) -> None:
    assert span in spans()
    command, words = command_of(span)
    known = {option for param in command.params for option in param.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_commands_in_sentences_work(bare_figup: Figup, start_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = start_sandbox("--institution", "--seed-items", "60", "--control")
    figup = bare_figup
    figup.env |= {"FIGSHARE_ENDPOINT": sandbox.url, "FIGSHARE_STATS_ENDPOINT": sandbox.stats_url}
    figup.cwd /= "data"
    inputs = {"figup auth login": sandbox.token, "figup stats login INST": "statistics"}
    values = prepare(figup, sandbox)
    written = [span for span in spans() if span not in NOT_RUN]
    assert {*MORE, *LAST} <= {*written}
    for span in (*(span for span in written if span not in LAST), *LAST):
        _, words = command_of(span)
        name = " ".join(shlex.split(span)[1 : -len(words) or None])
        words += shlex.split("--help" if is_name(span) else MORE.get(span, ""))
        words = [values.get(f"{name} {word}", values.get(word, word)) for word in words]
        figup.run(*name.split(), *words, input=inputs.get(span)).expect(0)
        if span == "figup auth logout":
            figup.env["FIGSHARE_TOKEN"] = sandbox.token


def prepare(figup: Figup, sandbox: Sandbox) -> dict[str, str]:
    """Make what the sentences are about; return what replaces each placeholder, in some commands another."""
    for name in ("survey.tar", "results.h5", "new.csv", "results/a.csv", "survey/b.csv"):
        (figup.cwd / name).parent.mkdir(parents=True, exist_ok=True)
        (figup.cwd / name).write_bytes(os.urandom(3_000))
    figup.run("auth", "login", input=sandbox.token).expect(0)
    (figup.cwd / "dataset.yaml").write_text(*blocks("metadata", "yaml"))
    (figup.cwd / "survey.md5").write_text(f"{md5_of(figup.cwd / 'survey.tar')}  survey.tar\n")
    (figup.cwd / "users.csv").write_text("email,last_name\nnew@example.org,New\n")

    def made(*words: str) -> str:
        return figup.run(*words).expect(0).stdout.split()[0]

    item = made("item", "create", "--metadata", "dataset.yaml")
    collection, project = made("collection", "create", "Rivers"), made("project", "create", "Rivers")
    (figup.cwd / "records.csv").write_text(f"id,keywords\n{item},dam\n")
    (figup.cwd / "new-records.csv").write_text("title,doi,metadata_only\nA dam,10.1234/dam,Kept elsewhere\n")
    records = figup.run("records", "create", "new-records.csv", "--json").expect(0).summary["records"]["job"]
    job = figup.run("upload", "survey.tar", "new.csv", "--item", item, "--json").expect(0).summary["job"]
    one = figup.run("upload", "survey.tar", "--json").expect(0).summary["item_id"]
    figup.run("upload", "survey", "--pack", "zip", "--item", item).expect(0)
    add_faults(sandbox, "put-part:every=400")
    _, cancelled = [
        figup.run("upload", name, "--item", item, "--json").expect(1).summary["job"]
        for name in ("results.h5", "results")
    ]
    drop_faults(sandbox)
    files = ask(sandbox, f"/account/articles/{item}/files")
    return {
        "COMMAND": "upload",
        "1234567": item,
        "ITEM": item,
        "ONE": str(one),
        "item update ID": item,
        "item delete 1234567": made("item", "create", "--title", "Spare"),
        "FILE_ID": next(str(file["id"]) for file in files if file["name"] == "survey.tar"),
        "[FILE...]": "survey.tar",
        "item files rm FILE": "new.csv",
        "item update FILE": "dataset.yaml",
        "status FILE": "report.html",
        "PATH": "survey.tar",
        "PATH...": "survey.tar",
        "…": "survey.tar",
        "collection show ID": collection,
        "COLLECTION": collection,
        "project show ID": project,
        "upload ID": project,
        "ACCOUNT": "member@sandbox.invalid",
        "ROLE": "Curator",
        "G": "Library",
        "author search NAME": "Doe",
        "report author NAME": "Jane Doe",
        "report author ID": orcid(0),
        "institution list WORD": "Harbour",
        "metadata categories WORD": "Ecology",
        "TOPIC": "metadata",
        "[TOPIC]": "metadata",
        "REPORT": "public",
        "GROUP...": "2100",
        "INST": "sandbox",
        "ID...": str(FIRST_ITEM),
        "JOB": job,
        "[JOB]": job,
        "cancel JOB": cancelled,
        "jobs rm JOB": cancelled,
        "records undo JOB": records,
    }
