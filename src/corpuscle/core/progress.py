"""Progress that shows rate and time left on a terminal, a line now and then elsewhere, and nothing when not wanted."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class Progress:
    """Says what goes on, to standard error, so that standard output stays for results.

    Args:
        shown: whether to say anything; a library call says nothing.
        results: what is said is a result of its own and goes to standard output; how far it is never does.
    """

    LINE_EVERY_S = 10.0

    def __init__(self, shown: bool = False, results: bool = False) -> None:
        self.shown = shown
        self.results = results
        self._terminal = shown and sys.stderr.isatty()
        self._bar: Any = None

    def say(self, line: str) -> None:
        """One line for the reader."""
        if not self.shown:
            return
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stdout if self.results else sys.stderr, flush=True)

    def track(self, items: Iterable[T], title: str, total: int, done: int = 0, per_item: int = 1) -> Iterator[T]:
        """Pass the items on while showing how many are done, how fast, and how long it will take.

        Args:
            items: what to go through.
            title: what is being done.
            total, done: number of things in all, and already done.
            per_item: things an item stands for (images a batch).
        """
        if self._terminal:
            yield from self._on_terminal(items, title, total, done, per_item)
        else:
            yield from self._in_lines(items, title, total, done, per_item)

    def _on_terminal(self, items: Iterable[T], title: str, total: int, done: int, per_item: int) -> Iterator[T]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        rate = TextColumn("{task.fields[rate]}")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as self._bar:
            task = self._bar.add_task(title, total=total, completed=done, rate="")
            started, count = time.perf_counter(), 0
            try:
                for item in items:
                    yield item
                    count += per_item
                    speed = count / max(time.perf_counter() - started, 1e-9)
                    self._bar.update(task, completed=min(done + count, total), rate=_rate(speed))
            finally:
                self._bar = None

    def _in_lines(self, items: Iterable[T], title: str, total: int, done: int, per_item: int) -> Iterator[T]:
        started = said = time.perf_counter()
        count = 0
        for item in items:
            yield item
            count += per_item
            now = time.perf_counter()
            if now - said > self.LINE_EVERY_S:
                said, speed = now, count / (now - started)
                left = max(total - done - count, 0) / max(speed, 1e-9)
                far = f"{title}: {min(done + count, total)} of {total}, {_rate(speed)}, {left:.0f} s left"
                if self.shown:
                    print(far, file=sys.stderr, flush=True)  # noqa: T201


def _rate(speed: float) -> str:
    return f"{speed:.0f}/s" if speed >= 10 else f"{speed:.2g}/s"


class Bars(Progress):
    """Progress that shows how far a long work is, and says nothing else."""

    def say(self, line: str) -> None:
        """Nothing."""


SILENT = Progress(shown=False)
