"""Task groups gather errors; callers are told of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from uploader.errors import FigupError
from uploader.transfer.stop import Stopped


@contextmanager
def single_error() -> Iterator[None]:
    """Raise the first FigupError out of what a task group gathered, or what it is where there is none."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaf = _first(group)
        raise leaf from leaf.__cause__


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaves: list[BaseException] = []

    def gather(errors: BaseExceptionGroup[BaseException]) -> None:
        for error in errors.exceptions:
            if isinstance(error, BaseExceptionGroup):
                gather(error)
            else:
                leaves.append(error)

    gather(group)
    # A mistake in figup is never hidden behind an error of the outside world.
    return min(leaves, key=lambda e: 2 if isinstance(e, Stopped) else 1 if isinstance(e, FigupError) else 0)
