"""Corpuscle's side: `corpuscle.api.train` as everyone calls it, watched from outside through its progress.

Prints one line of JSON an epoch, as plain.py does, and leaves `timings.json` in the run folder: the seconds of each
thing that was done, with the title and the total that its progress bar has, and of the whole call.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from corpuscle import api
from corpuscle.core.progress import Progress
from corpuscle.core.settings import parse_assignment

T = TypeVar("T")


class Watch(Progress):
    """A progress that shows nothing: it takes the time, and may hold the training after each epoch.

    Args:
        turns: wait for a line on standard input after each epoch.
    """

    def __init__(self, turns: bool) -> None:
        super().__init__(shown=False)
        self.turns = turns
        self.done: list[dict[str, Any]] = []
        self.epoch: dict[str, Any] = {}

    def track(self, items: Iterable[T], title: str, total: int, done: int = 0, per_item: int = 1) -> Iterator[T]:
        """Pass the items on; the time runs from before the first to after what is done with the last."""
        started, count = time.perf_counter(), 0
        for count, item in enumerate(items, start=1):  # noqa: B007 (the last count is the number of steps)
            yield item
        seconds = time.perf_counter() - started
        self.done.append({"title": title, "total": total, "seconds": seconds})
        if title.startswith("epoch "):
            number = int(title.split()[1])
            self.epoch = {"epoch": number, "seconds": seconds, "steps": count, "images": count * per_item}

    def say(self, line: str) -> None:
        """The line that ends an epoch, its validation included."""
        if line.startswith("epoch "):
            print(json.dumps(self.epoch), flush=True)
            if self.turns:
                wait()


def wait() -> None:
    """Wait for the next turn."""
    if not sys.stdin.readline():
        sys.exit("nobody asks for another epoch")


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE")
    parser.add_argument("--turns", action="store_true", help="wait for a line on standard input before each epoch")
    options = parser.parse_args()
    if options.turns:
        wait()
    settings = dict(parse_assignment(text) for text in options.set)
    watch, started = Watch(options.turns), time.perf_counter()
    run = api.train(options.data, recipe=options.recipe, out=options.out, settings=settings, progress=watch)
    watch.done.append({"title": "everything", "total": 1, "seconds": time.perf_counter() - started})
    (run.folder / "timings.json").write_text(json.dumps(watch.done, indent=2))


if __name__ == "__main__":
    main()
