"""figup as a library: what can be imported, what arguments are accepted, and how events and errors are delivered."""

from __future__ import annotations

import asyncio
import inspect
import io
import pydoc
import re
import subprocess
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import uploader
from tests.fakes.figshare import Fault
from tests.fakes.world import ENDPOINT, World
from uploader import Packing, RetryPolicy, Settings, Sources, errors, events
from uploader.catalog.statistics.session import Statistics
from uploader.transfer import client as client_module
from uploader.transfer import notices
from uploader.transfer.blocking import ClientArguments

pytestmark = pytest.mark.anyio

SOURCES: Any = Sources
PACKING: Any = Packing
BLOCKING = ["upload", "resume", "verify", "preview", "download"]


# --- what can be imported -----------------------------------------------------------------------------------------


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    program = "import sys, uploader; print(sorted(m for m in sys.modules if m.startswith('uploader')))"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert found.stdout == "['uploader', 'uploader._version']\n"


def test_every_public_name_is_there() -> None:
    assert set(uploader.__all__) <= set(dir(uploader))
    for name in uploader.__all__:
        assert getattr(uploader, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        uploader.nothing  # noqa: B018


def test_help_shows_every_class_and_function_with_its_docstring() -> None:
    page = pydoc.plain(pydoc.render_doc(uploader))
    assert "Upload large files to Figshare reliably" in page
    for name in uploader.__all__:
        value = getattr(uploader, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name
            assert f"    {value.__name__}(" in page or f"class {value.__name__}" in page, name
            assert (inspect.getdoc(value) or "").splitlines()[0] in page, name


def docstrings(value: object) -> Iterator[str]:
    """The docstring of a public object, and those of its public attributes, however they are defined."""
    yield inspect.getdoc(value) or ""
    if inspect.isclass(value):
        for name, member in inspect.getmembers(value):
            if name == "__init__" or not name.startswith("_"):
                yield inspect.getdoc(member) or ""


NO_ERRORS = {"Client"}
"""Other names in sentences about errors."""


def test_every_error_that_a_docstring_says_is_raised_can_be_imported() -> None:
    public = [getattr(uploader, name) for name in uploader.__all__]
    texts = [
        text
        for value in (uploader, *public, *(getattr(errors, name) for name in errors.__all__))
        for text in docstrings(value)
    ]
    sentences = [sentence for text in texts for sentence in re.findall(r"\b[Rr]aises? ([^.]*)", text)]
    raised = {word for sentence in sentences for word in re.findall(r"\b[A-Z]\w+", sentence)} - NO_ERRORS
    assert {"JobNotFound", "TokenRejected", "RunFailed", "Interrupted", "UsageError", "TypeError"} <= raised
    assert {word for word in raised if not hasattr(errors, word)} == {"RunFailed", "TypeError"}
    assert issubclass(uploader.RunFailed, uploader.FigupError)


def classes_in(annotation: Any) -> Iterator[type]:
    """The classes of the package in an annotation, also as arguments of others."""
    if inspect.isclass(annotation) and annotation.__module__.startswith("uploader."):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from classes_in(argument)


def test_every_class_that_a_method_returns_is_public() -> None:
    public = {name: getattr(uploader, name) for name in uploader.__all__}
    returned: set[type] = set()
    for owner, internal in ((uploader.Client, {"figshare"}), (Statistics, {"open", "portal"})):
        for name, method in inspect.getmembers(owner, inspect.isfunction):
            if not name.startswith("_") and name not in internal:
                names = vars(sys.modules[method.__module__]) | public
                returned.update(classes_in(eval(inspect.get_annotations(method)["return"], names)))  # noqa: S307
    assert {uploader.Report, uploader.Record, uploader.ReportResult, uploader.Totals} <= returned
    assert {kind for kind in returned if getattr(uploader, kind.__name__, None) is not kind} == set()


def test_every_error_class_is_public() -> None:
    defined = [value for module in vars(errors).values() if inspect.ismodule(module) for value in vars(module).values()]
    kinds = {value.__name__ for value in defined if inspect.isclass(value) and issubclass(value, errors.FigupError)}
    assert {"Conflict", "Throttled"} <= kinds
    assert {name for name in kinds if not name.startswith("_")} - set(errors.__all__) == set()


def test_every_event_class_is_public() -> None:
    for kind in typing.get_args(notices.AnyNotice):
        assert getattr(events, kind.__name__) is kind
        assert kind.__name__ in events.__all__
        assert issubclass(kind, uploader.Notice)


# --- arguments ----------------------------------------------------------------------------------------------------

WRONG_ARGUMENTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"paths": None}, TypeError, r"paths must be a path .* not None"),
    ({"paths": b"x"}, TypeError, r"paths must be a path .* not bytes"),
    ({"paths": 1}, TypeError, r"paths must be a path .* not int"),
    ({"paths": {"a": "b"}}, TypeError, r"paths must be a path .* not dict"),
    ({"paths": [1]}, TypeError, "paths must contain only str or os.PathLike, not int"),
    ({"paths": ["a", None]}, TypeError, "paths must contain only str or os.PathLike, not None"),
    ({"paths": [b"a"]}, TypeError, "paths must contain only str or os.PathLike, not bytes"),
    ({"item": "abc"}, errors.UsageError, "^'abc' is not an item"),
    ({"item": ""}, errors.UsageError, "'' is not an item"),
    ({"item": -1}, errors.UsageError, "'-1' is not an item"),
    ({"item": 0}, errors.UsageError, "'0' is not an item"),
    ({"item": 1.0}, TypeError, r"item must be an id, an address or a DOI \(int or str\), not float"),
    ({"item": True}, TypeError, r"item must be an id, .* not bool"),
    ({"project": "abc"}, errors.UsageError, "'abc' is not a project"),
    ({"project": [1]}, TypeError, r"project must be an id, .* not list"),
    ({"title": 5}, TypeError, "title must be a string or None, not int"),
    ({"new_job": "yes"}, TypeError, "new_job must be True or False, not str"),
    ({"on_event": "print"}, TypeError, "on_event must be a function or None, not str"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), WRONG_ARGUMENTS)
@pytest.mark.parametrize("call", ["upload", "preview"])
async def test_wrong_arguments_are_rejected_before_anything_is_done(
    call: str, wrong: dict[str, Any], kind: type[Exception], message: str, world: World
) -> None:
    arguments = {"paths": world.source("a", b"a"), "title": "title", **wrong}
    async with world.client() as client:
        with pytest.raises(kind, match=message):
            await getattr(client, call)(**arguments)
    assert world.figshare.stored_items == {}
    assert not (world.folder / "state").exists()


async def test_a_job_of_another_endpoint(world: World) -> None:
    async with world.client() as client:
        job = (await client.upload(world.source("a", b"a"), title="A title")).job
    other = "https://example.org/v2"
    async with uploader.Client("t0ken", endpoint=other, state_dir=world.folder / "state") as client:
        with pytest.raises(errors.UsageError, match=f"job {job} belongs to {ENDPOINT}, not to {other}") as refused:
            await client.resume(job)
    assert refused.value.hint == "Continue it with its own endpoint."


def test_an_empty_endpoint_is_not_the_default(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIGSHARE_ENDPOINT", "")
    with pytest.raises(errors.UsageError, match="not an http"):
        uploader.Client("t0ken", endpoint="", state_dir=world.folder)
    with pytest.raises(errors.UsageError, match="not an http"):
        uploader.Client("t0ken", settings=Settings(""), state_dir=world.folder)
    assert uploader.Client("t0ken", state_dir=world.folder).endpoint == "https://api.figshare.com/v2"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda client: client.upload("a", item_options={"publish": True}), "item_options must be .*ItemOptions"),
        (lambda client: client.resume(5), "job must be a string or None, not int"),
        (lambda client: client.cancel(5), "job must be a string or None, not int"),
        (lambda client: client.verify(None, "a"), "item must be an id, .* not None"),
        (lambda client: client.verify(5, None), "paths must be a path"),
        (lambda client: client.verify(5, "a", checksums=5), "checksums must be a path"),
        (lambda client: client.verify(5, "a", on_result=5), "on_result must be a function"),
        (lambda client: client.account(on_event=5), "on_event must be a function"),
        (lambda client: client.verify(5, "a", packing={"format": "zip"}), "packing must be an uploader.Packing"),
        (lambda client: client.verify(5, "a", packing=PACKING(format="zip", below="5M")), r"below must be .* not str"),
        (lambda client: client.download(5, names="survey"), "names must be several strings, .* not str"),
        (lambda client: client.download(5, include="*.csv"), "include must be several strings, .* not str"),
        (lambda client: client.download(5, exclude=[1]), "exclude must contain only strings, not int"),
        (lambda client: client.download(5, version="2"), r"version must be the number of a version \(int\) or None"),
        (lambda client: client.download(5, published=1), "published must be True or False"),
        (lambda client: client.download(5, on_event=5), "on_event must be a function"),
        (lambda client: client.upload(SOURCES(paths="survey")), "paths must be several paths, .* not str"),
        (lambda client: client.upload(SOURCES(paths=(b"a",))), "paths must contain only .* not bytes"),
        (lambda client: client.upload(SOURCES(paths=("a",), exclude="*.tmp")), "exclude must be several strings"),
        (lambda client: client.upload(SOURCES(paths=("a",), hidden=1)), "hidden must be True or False, not int"),
        (lambda client: client.upload(SOURCES(manifest=5)), "manifest must be a path"),
        (lambda client: client.upload(io.StringIO("a")), "paths must be a path .* not StringIO"),
        (lambda client: client.item(5, version="2"), "version must be the number"),
        (lambda client: client.report("own", 5), "output must be a path"),
        (lambda client: client.report("own", "a.csv", columns=["id"]), "columns must be a string, not list"),
        (lambda client: client.report("own", "a.csv", columns=None), "columns must be a string, not None"),
        (lambda client: client.report("own", "a.csv", states="draft"), "states must be several strings"),
        (lambda client: client.report("own", "a.csv", max_requests="2"), "max_requests must be a number"),
        (lambda client: client.report("author", "a.csv", author_ids=5), "author_ids must be several ids"),
        (lambda client: anext(client.search(any_word="yes")), "any_word must be True or False"),
        (lambda client: anext(client.search(title=5)), "title must be a string or several strings, not int"),
        (lambda client: anext(client.search(doi=5)), "doi must be a string or None"),
        (lambda client: anext(client.search(group=True)), r"group must be an id \(int\), a name \(str\) or None"),
        (lambda client: client.item(5.0), "item must be an id, .* not float"),
        (lambda client: client.report("author", "a.csv", author_ids=[None]), "author_ids must be an id .* not None"),
        (lambda client: client.stats.totals("5"), r"number must be the id of a record \(int\), not str"),
        (lambda client: client.stats.places(None), "number must be the id of a record .* not None"),
        (lambda client: client.stats.timeline(5, kind=["article"]), "kind must be one of 'article', .* not list"),
        (lambda client: client.stats.timeline(5, since=2024), "since must be a date, or a string .* not int"),
        (lambda client: client.stats.top(count="10"), "count must be a number of records"),
        (lambda client: client.stats.count("2101"), "group must be the id of a group"),
        (lambda client: client.stats.portal(5), "institution must be its word"),
    ],
)
async def test_wrong_types_of_other_calls(call: Callable[[Any], Any], message: str, world: World) -> None:
    async with uploader.Client("t0ken", endpoint=ENDPOINT, state_dir=world.folder / "state") as client:
        with pytest.raises(TypeError, match=message):
            await call(client)


HUGE = 10**5000
"""Python does not convert it to text, nor to a float."""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda client: client.download(5, version=0), "invalid version=0; expected the number of a version from 1"),
        (lambda client: client.download(5, on_conflict="keep"), "invalid on_conflict='keep'; expected one of 'fail'"),
        (lambda client: client.verify(5, "a", packing=PACKING(format="rar")), "invalid format='rar'"),
        (lambda client: client.report("own", "a.csv", kinds=["page"]), "invalid kinds='page'"),
        (lambda client: client.report("own", "a.csv", deadline="soon"), "^deadline: invalid deadline 'soon'; use"),
        (lambda client: anext(client.own("page")), "invalid kind='page'"),
        (lambda client: client.verify(5), "nothing to compare"),
        (lambda client: client.stats.totals(5, "item"), "invalid kind='item'; expected one of 'article', 'collection'"),
        (lambda client: client.stats.top(counter="view"), "invalid counter='view'; expected one of 'views'"),
        (lambda client: client.stats.timeline(5, by="week"), "invalid by='week'; expected one of 'day', 'month'"),
        (lambda client: client.stats.places(5, counter="cites"), "invalid counter='cites'"),
        (lambda client: client.stats.top(count=0), "invalid count=0"),
        (lambda client: client.stats.totals(5, until="2024-02-30"), "^until: invalid date"),
        (lambda client: client.stats.portal("../total"), "invalid institution '../total'"),
        (lambda client: client.stats.count(HUGE), "invalid group=a number with too many digits"),
        (lambda client: client.item(HUGE), "'a number with too many digits' is not an item"),
        (lambda client: client.upload("a", item=-HUGE), "'a number with too many digits' is not an item"),
        (lambda client: client.upload(__file__, title=""), "a title has 3 to 1000 characters, and '' has 0"),
        (lambda client: client.preview(__file__, title=""), "a title has 3 to 1000 characters, and '' has 0"),
        (lambda client: client.report("own", "a.csv", max_requests=HUGE), "invalid max_requests=a number with"),
        (lambda client: client.report("own", "a.csv", deadline=HUGE), "invalid deadline=a number with"),
    ],
)
async def test_invalid_values_of_other_calls(call: Callable[[Any], Any], message: str, world: World) -> None:
    async with uploader.Client("t0ken", endpoint=ENDPOINT, state_dir=world.folder / "state") as client:
        with pytest.raises(errors.UsageError, match=message):
            await call(client)


async def test_statistics_need_an_open_client(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIGSHARE_STATS_ENDPOINT", "http://127.0.0.1:9")
    client = uploader.Client("t0ken", endpoint=ENDPOINT, state_dir=world.folder / "state")
    with pytest.raises(RuntimeError, match="inside `async with`"):
        _ = client.stats
    async with client:
        kept = client.stats
        (first, _), (second, _) = await asyncio.gather(kept.open(), kept.open())
        assert first is second
    with pytest.raises(RuntimeError, match="inside `async with`"):
        await kept.totals(5)


async def test_sources_may_have_any_paths(world: World) -> None:
    source = Path(world.source("a", b"a"))
    async with world.client() as client:
        report = await client.upload(Sources(paths=[source]), title="title")  # type: ignore[arg-type]
    assert [file.name for file in report.files] == ["a"]


async def test_an_object_with_a_coroutine_as_call_is_not_a_callback(world: World) -> None:
    class Callback:
        async def __call__(self, event: events.AnyNotice) -> None:
            raise AssertionError

    async with world.client() as client:
        with pytest.raises(TypeError, match="on_event must be a plain function, not a coroutine function"):
            await client.upload(world.source("a", b"a"), title="title", on_event=Callback())  # type: ignore[arg-type]


async def test_a_client_is_entered_once_at_a_time(world: World) -> None:
    async with world.client() as client:
        with pytest.raises(RuntimeError, match="already in use"):
            await client.__aenter__()
        assert (await client.upload(world.source("a", b"a"), title="title")).exit_status == 0
    async with client:
        assert (await client.upload(world.source("b", b"b"), title="title")).exit_status == 0


async def test_a_coroutine_function_is_not_a_callback(world: World) -> None:
    async def on_event(_: events.AnyNotice) -> None:
        raise AssertionError

    async with world.client() as client:
        with pytest.raises(TypeError, match="on_event must be a plain function, not a coroutine function"):
            await client.upload(world.source("a", b"a"), title="title", on_event=on_event)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"token": 5}, "token must be a string or None, not int"),
        ({"endpoint": 5}, "endpoint must be a string or None, not int"),
        ({"state_dir": 5}, "state_dir must be a path"),
        ({"token": None, "token_file": 5}, "token_file must be a path"),
        ({"options": {"grace": 5}}, "options must be an uploader.Options or None, not dict"),
        ({"settings": ENDPOINT}, "settings must be an uploader.Settings or None, not str"),
        ({"settings": Settings(ENDPOINT, api_rate="1")}, "api_rate must be .* not str"),  # type: ignore[arg-type]
        ({"settings": Settings(ENDPOINT, retry=5)}, "retry must be an uploader.RetryPolicy"),  # type: ignore[arg-type]
        ({"settings": Settings(5)}, "endpoint must be a string, not int"),  # type: ignore[arg-type]
        ({"settings": Settings(ENDPOINT, bind=5)}, "bind must be a string or None, not int"),  # type: ignore[arg-type]
        ({"settings": Settings(ENDPOINT, insecure_http="no")}, "insecure_http must be True"),  # type: ignore[arg-type]
        ({"settings": Settings(ENDPOINT, ca_file=5)}, "ca_file must be a path"),  # type: ignore[arg-type]
        (
            {"settings": Settings(ENDPOINT, retry=RetryPolicy(elapsed_cap="15min"))},  # type: ignore[arg-type]
            r"retry.elapsed_cap must be seconds \(float\), not str",
        ),
    ],
)
def test_wrong_types_of_the_client(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        uploader.Client(**{"token": "t0ken", **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        *({"api_rate": 0}, {"api_burst": 0}, {"stall_timeout": -1}, {"impersonate": 0}),
        *({"api_rate": HUGE}, {"api_burst": HUGE}, {"stall_timeout": HUGE}, {"impersonate": HUGE}),
    ],
    ids=lambda wrong: f"{next(iter(wrong))} {next(iter(wrong.values())) % 10**9}",
)
def test_invalid_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.UsageError, match=f"invalid {next(iter(wrong))}="):
        uploader.Client("t0ken", settings=Settings(ENDPOINT, **wrong))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"metadata": "dataset.yaml"}, r"metadata must be what uploader.describe\(file\) returns, or None, not str"),
        ({"metadata": {"title": "title"}}, "metadata must be what .* not dict"),
        ({"publish": "yes"}, "publish must be True or False, not str"),
        ({"reserve_doi": 1}, "reserve_doi must be True or False, not int"),
        ({"options": [1]}, "options must be a mapping"),
    ],
)
def test_wrong_types_of_item_options(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        uploader.ItemOptions(**wrong)


@pytest.mark.parametrize("wrong", [None, 5, b"dataset.yaml", {"title": "title"}])
def test_a_metadata_file_is_a_path(wrong: Any) -> None:
    with pytest.raises(TypeError, match="file must be a path"):
        uploader.describe(wrong)


async def test_ids_may_be_strings_and_paths_any_iterable(world: World) -> None:
    item = world.figshare.add_item()
    paths = (Path(world.source(name, name.encode())) for name in "ab")
    async with world.client() as client:
        report = await client.upload(paths, item=str(item.id))
        assert report.item_id == item.id
        compared = await client.verify(f" {item.id} ", [world.folder / "a"])
    assert [file.status for file in compared][:1] == ["same"]
    assert [path for path, _ in world.contents(item.id)] == ["a", "b"]


# --- events -------------------------------------------------------------------------------------------------------


class ListenerBroke(Exception):
    """Raised by a listener."""


KINDS = [events.JobStarted, events.ItemKnown, events.FileStarted, events.FileSent, events.FileVerified]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_of_on_event_stops_the_call_and_is_raised(kind: type[events.Notice], world: World) -> None:
    source = world.source("a", bytes(200))
    after: list[events.AnyNotice] = []
    raised = False

    def on_event(event: events.AnyNotice) -> None:
        nonlocal raised
        if raised:
            after.append(event)
        elif isinstance(event, kind):
            raised = True
            raise ListenerBroke

    async with world.client() as client:
        with pytest.raises(ListenerBroke):
            await client.upload(source, title="title", on_event=on_event)
        assert after == []
        report = await client.upload(source, title="title")
    assert report.exit_status == 0
    (item,) = world.figshare.stored_items.values()
    assert [file.status for file in item.files.values()] == ["available"]


async def test_on_event_may_raise_the_cancellation_of_a_future(world: World) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    async with world.client() as client:
        with pytest.raises(asyncio.CancelledError):
            await client.upload(world.source("a", b"a"), title="title", on_event=lambda _: future.result())
        assert (await client.upload(world.source("a", b"a"), title="title")).exit_status == 0


async def test_an_error_of_on_event_outranks_that_of_the_run(world: World) -> None:
    def on_event(event: events.AnyNotice) -> None:
        if isinstance(event, events.FileFailed):
            raise ListenerBroke

    world.figshare.fail("initiate", errors.RequestRejected("no"), times=9)
    async with world.client() as client:
        with pytest.raises(ListenerBroke) as caught:
            await client.upload(world.source("a", b"a"), title="title", on_event=on_event)
    assert isinstance(caught.value.__cause__, uploader.RunFailed)


# --- without asyncio ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BLOCKING)
async def test_blocking_calls_refuse_to_run_inside_a_loop(name: str) -> None:
    call: Any = getattr(uploader, name)
    arguments = {"resume": (), "verify": (5, "a")}.get(name, ("a",))
    with pytest.raises(errors.UsageError, match=f"uploader.{name} blocks and cannot be called inside") as caught:
        call(*arguments, token="t0ken")
    assert caught.value.hint is not None
    assert f"await client.{name}(" in caught.value.hint


@pytest.mark.parametrize("name", BLOCKING)
def test_blocking_calls_take_the_arguments_of_the_client(name: str) -> None:
    blocking = inspect.signature(getattr(uploader, name)).parameters
    method = dict(inspect.signature(getattr(uploader.Client, name)).parameters)
    del method["self"]
    assert method.items() <= blocking.items()
    session = inspect.signature(uploader.Client).parameters
    assert {p: (blocking[p].annotation, blocking[p].default) for p in blocking.keys() - method.keys()} == {
        name: (parameter.annotation, parameter.default) for name, parameter in session.items()
    }


def test_blocking_calls_are_typed_as_the_client() -> None:
    client = typing.get_type_hints(uploader.Client.__init__, vars(client_module))
    assert typing.get_type_hints(ClientArguments) == {n: kind for n, kind in client.items() if n != "return"}


def test_blocking_calls_reject_what_the_client_does_not_know() -> None:
    call: Any = uploader.resume
    with pytest.raises(TypeError, match=r"^uploader\.resume has no argument 'tokn'$"):
        call(tokn="t0ken")


def test_an_upload_without_asyncio_from_the_preview_to_the_list_of_jobs(world: World) -> None:
    source = world.source("a", bytes(200))
    where: dict[str, Any] = {"token": "t0ken", "endpoint": ENDPOINT, "state_dir": world.folder / "state"}
    assert uploader.jobs(state_dir=where["state_dir"]) == []
    assert uploader.preview(source, title="title", **where).item_id is None
    world.figshare.fail("complete", Fault.REJECTED, times=99)
    with pytest.raises(uploader.RunFailed):
        uploader.upload(source, title="title", options=uploader.Options(settle_timeout=1), **where)
    world.figshare.clear_faults()
    (job,) = uploader.jobs(state_dir=where["state_dir"])
    report = uploader.resume(job.job[:6], **where)
    assert (report.job, report.exit_status) == (job.job, 0)
    assert report.item_id is not None
    assert [file.status for file in uploader.verify(report.item_id, source, **where)] == ["same"]


# --- the examples -------------------------------------------------------------------------------------------------


def examples() -> tuple[str, str]:
    """The blocking example of the package's docstring and the asynchronous one."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", uploader.__doc__ or "", re.MULTILINE)
    first, second = (textwrap.dedent(block).strip("\n") for block in blocks)
    return first, second


@pytest.fixture
def shell(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world that the environment leads to, with `survey.tar` in the current folder."""
    world.source("survey.tar", bytes(200))
    monkeypatch.chdir(world.folder)
    monkeypatch.setenv("FIGSHARE_TOKEN", "t0ken")
    monkeypatch.setenv("FIGSHARE_ENDPOINT", ENDPOINT)
    monkeypatch.setenv("FIGUP_STATE_DIR", str(world.folder / "state"))
    return world


def test_the_blocking_example_works(shell: World, capsys: pytest.CaptureFixture[str]) -> None:
    exec(examples()[0], {})  # noqa: S102 - the example itself
    (item,) = shell.figshare.stored_items
    ((_, md5),) = shell.contents(item)
    assert capsys.readouterr().out.endswith(f" {md5}\n")


def test_the_asynchronous_example_works(shell: World, capsys: pytest.CaptureFixture[str]) -> None:
    item = shell.figshare.add_item()
    code = "import uploader\nasync def main():\n" + textwrap.indent(
        examples()[1].replace("1234567", str(item.id)), "    "
    )
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - the example itself
    asyncio.run(names["main"]())
    assert [path for path, _ in shell.contents(item.id)] == ["survey.tar"]
    assert "FileVerified(" in capsys.readouterr().out
