"""`figup upload` and `figup resume`."""

from __future__ import annotations

from dataclasses import replace

import click

from uploader.cli.context import open_context, recorded_job
from uploader.cli.errors import exit_status_table
from uploader.cli.metadata_options import Item, item_options, take_item
from uploader.cli.options import ENVIRONMENT, FigupCommand, GlobalOptions, common_options, grouped
from uploader.cli.report_files import ReportOptions, check_list, repeated, report_options
from uploader.cli.runner import Session, run
from uploader.cli.source_options import LINK, read_stdin, source_options
from uploader.cli.transfer_options import given, transfer_options, with_recorded
from uploader.cli.transfers import send
from uploader.sources.models import Sources
from uploader.transfer.options import Options, RequestOptions

UPLOAD_HELP = f"""\b
Examples:
  figup upload survey.tar                      a new item called "survey.tar"
  figup upload survey                          a folder: its files become survey/...
  figup upload . --exclude '*.tmp'             what is in this folder, some of it not
  figup upload '**/*.csv' --title "Survey"     a quoted pattern, in all folders
  figup upload more.csv --item 1234567         one more file for an item
  figup upload survey --metadata dataset.yaml  an item that says what the file says
  find . -newer last | figup upload --from-file - --item 1234567
  figup upload -- -odd-name.csv                a name that begins with a dash

\b
Exit status:
{exit_status_table()}

"""

RESUME_HELP = """\b
Examples:
  figup resume             the one job that is unfinished
  figup resume k3v9        the job whose id begins so (`figup jobs` lists them)

"""


@click.command("upload", cls=FigupCommand, epilog=UPLOAD_HELP + ENVIRONMENT)
@source_options()
@LINK
@item_options
@grouped("What to send")("--new-job", is_flag=True, help="Start afresh, though the same command was run before.")
@grouped("What to send")("--dry-run", is_flag=True, help="Show what would be done; sends nothing, creates nothing.")
@transfer_options
@report_options
@common_options
def upload(
    sources: Sources,
    about: Item,
    new_job: bool,
    dry_run: bool,
    accounting: ReportOptions,
    options: Options,
    requests: RequestOptions,
    common: GlobalOptions,
) -> int:
    """Send files and folders to Figshare: to a new item, or to the one given with --item.

    A folder keeps its name and its files their folders below it, as with cp -r; "." or "folder/." stands for what is
    in it. Files whose names begin with a dot, and symbolic links, are skipped, and named in the summary.

    The same command is the same job. Whatever interrupts it, run it again until its exit status is 0: it goes on
    where it was, and then every byte is on Figshare exactly once, verified by its MD5. Run once more, it sends
    nothing.
    """
    sources = replace(sources, stdin=read_stdin(sources))
    if about.item is None and about.title is None:
        check_list(sources)
    accounting = replace(accounting, nul=sources.nul, repeated=repeated(options, common))
    recorded = given(options, requests, accounting)
    with open_context(common) as at:
        client = at.client(options, requests) if not dry_run else None

        async def work(session: Session) -> int:
            title, orders = await take_item(session, about, sources)
            orders = replace(orders, options=recorded)
            if client is None:
                from uploader.cli.dry_run import Request, show_plan

                wanted = Request(
                    sources=sources,
                    item=about.item,
                    title=title,
                    project=about.project,
                    orders=orders,
                    new_job=new_job,
                    options=options,
                    requests=requests,
                )
                return await show_plan(session, at, wanted)
            return await send(
                session,
                client,
                options.grace,
                lambda tell: client.upload(
                    sources,
                    item=about.item,
                    title=title,
                    project=about.project,
                    item_options=orders,
                    new_job=new_job,
                    on_event=tell,
                ),
                accounting,
                say_title=about.item is None and title is None,
            )

        return run(common, work)


@click.command("resume", cls=FigupCommand, epilog=RESUME_HELP + ENVIRONMENT)
@click.argument("job", required=False)
@transfer_options
@report_options
@common_options
def resume(
    job: str | None,
    accounting: ReportOptions,
    options: Options,
    requests: RequestOptions,
    common: GlobalOptions,
) -> int:
    """Go on with an interrupted job; without JOB, with the one that is unfinished.

    It talks to the endpoint that the job was begun with, unless --endpoint is given, and takes the options that its
    command was given and this one is not (all but --restart-changed). Running the same `figup upload` again does the
    same.
    """
    recorded = recorded_job(common, job)
    restored = with_recorded(options, requests, accounting, recorded.options)
    with open_context(common, recorded=recorded.endpoint) as at:
        client = at.client(restored.options, restored.requests)

        async def work(session: Session) -> int:
            if restored.names:
                session.console.note(f"using the job's {', '.join(restored.names)}")
            return await send(
                session,
                client,
                restored.options.grace,
                lambda tell: client.resume(recorded.job, on_event=tell),
                restored.accounting,
            )

        return run(common, work)
