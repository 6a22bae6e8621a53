"""The trainings of a table of budgets, one after the other or several at once, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from corpuscle.core.cores import num_cores
from corpuscle.core.errors import CorpuscleError
from corpuscle.core.progress import SILENT, Bars
from corpuscle.core.stopped import Stopped
from corpuscle.engine import run_folder
from corpuscle.engine.budget_plan import Start
from corpuscle.engine.device import choose_machine
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.stopping import listening
from corpuscle.engine.train import Call, train

MENDABLE = (CorpuscleError, MemoryError, RuntimeError)  # what ends a cell and not the rest
MOST_AT_ONCE = 8  # by itself: a process takes half a gigabyte before it has seen an image
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
LOOK_S = 0.2  # how often it is seen whether someone asked to stop

_asked_to_stop: Synchronized[int] | None = None  # of a process that trains cells, set once as it starts


@dataclass(frozen=True)
class Cell:
    """One training of the table.

    Attributes:
        budget: of the labels, in percent.
        start: where it starts.
        seed: of the weights, the order and the labels drawn.
        folder: of its run.
        counts: labels of each class.
        experiment, origins: its settings, and where they came from.
    """

    budget: float
    start: Start
    seed: int
    folder: Path
    counts: Mapping[str, int]
    experiment: Experiment
    origins: Mapping[str, str]

    @property
    def name(self) -> str:
        """As its folder is called."""
        return self.folder.name

    @property
    def labels(self) -> int:
        """How many labels it learns from."""
        return sum(self.counts.values())

    @property
    def finished(self) -> bool:
        """Whether it has been trained and judged."""
        return (self.folder / run_folder.METRICS).is_file()


@dataclass(frozen=True)
class Ended:
    """How the training of a cell ended.

    Attributes:
        seconds: it took.
        accuracy: on the test part, None where it was left out or stopped.
        reason: why it was left out, in one line.
        signal: that stopped it, 0 for none.
    """

    seconds: float
    accuracy: float | None = None
    reason: str = ""
    signal: int = 0


def cells_at_once(asked: int, cells: Sequence[Cell]) -> int:
    """How many cells to train at the same time.

    Nets this small leave most of several cores idle, so that on a CPU a process a core is faster than one on all.

    Args:
        asked: for so many; 0 leaves it open: on a CPU a process a core, else one.
        cells: that are left.
    """
    if not asked:
        on_cpu = bool(cells) and choose_machine(cells[0].experiment.device).device.type == "cpu"
        asked = min(num_cores(), MOST_AT_ONCE) if on_cpu else 1
    return max(min(asked, len(cells)), 1)


def train_each(path: Path, cells: Sequence[Cell], at_once: int, call: Call) -> Iterator[tuple[str, str]]:
    """Train the cells that are not finished; gives the name of each that cannot be, and why.

    Raises:
        Stopped: a signal came; what was begun is saved.
    """
    say, left = call.progress.say, [cell for cell in cells if not cell.finished]
    if len(left) < len(cells):
        say(f"cells finished before: {len(cells) - len(left)} of {len(cells)}")
    at_once = cells_at_once(at_once, left)
    if at_once > 1:
        say(f"{at_once} cells at a time, each on {max(num_cores() // at_once, 1)} of {num_cores()} cores")
    ends = _together(path, left, at_once, call) if at_once > 1 else _in_turn(path, left, call)
    for place, (cell, end) in enumerate(ends, start=1):
        if end.signal:
            raise Stopped(end.signal)
        if end.accuracy is None:
            say(f"{place} of {len(left)}, {cell.name}: left out: {end.reason}")
            yield cell.name, end.reason
        else:
            say(f"{place} of {len(left)}, {cell.name}: accuracy {end.accuracy:.3f} in {end.seconds:.1f} s")


def _train(path: Path, cell: Cell, call: Call) -> Ended:
    """Train one cell to its end."""
    begun = time.perf_counter()
    try:
        train(path, cell.experiment, cell.folder, replace(call, origins=cell.origins))
    except Stopped as stopped:
        return Ended(time.perf_counter() - begun, signal=stopped.signal)
    except MENDABLE as error:
        return Ended(time.perf_counter() - begun, reason=_in_one_line(error))
    accuracy = run_folder.read_json(cell.folder / run_folder.METRICS)["parts"]["test"]["scores"]["accuracy"]
    return Ended(time.perf_counter() - begun, accuracy["value"])


def _in_turn(path: Path, cells: Sequence[Cell], call: Call) -> Iterator[tuple[Cell, Ended]]:
    """Each cell as it ends, in this process; a bar shows how far a long one is."""
    alone = replace(call, progress=Bars(call.progress.shown))
    return ((cell, _train(path, cell, alone)) for cell in cells)


def _together(path: Path, cells: Sequence[Cell], at_once: int, call: Call) -> Iterator[tuple[Cell, Ended]]:
    """Each cell as it ends, several under way; once someone asks to stop, all are told and waited for."""
    context = get_context("spawn")  # a process forked beside the threads of torch may hang
    stop: Any = context.Value("i", 0)
    with (
        listening(call.progress) as came,
        ProcessPoolExecutor(at_once, context, _begin_process, (stop,)) as pool,
    ):
        with _threads_of_new_processes(max(num_cores() // at_once, 1)):
            under_way: dict[Future[Ended], Cell] = {
                pool.submit(_train_apart, path, cell, call.command): cell for cell in cells
            }
        signal_told = 0
        while under_way:
            ended, _ = wait(under_way, LOOK_S, FIRST_COMPLETED)
            if not signal_told and (signal_told := came() or call.stopping()):
                stop.value = signal_told
                for future in [future for future in under_way if future.cancel()]:
                    under_way.pop(future)
            yield from ((under_way.pop(future), _result(future)) for future in ended if future in under_way)
        if signal_told:
            raise Stopped(signal_told)


def _result(future: Future[Ended]) -> Ended:
    """How a cell ended.

    Raises:
        CorpuscleError: its process was killed, and with it the others.
    """
    try:
        return future.result()
    except BrokenExecutor:
        raise CorpuscleError(
            "a training ended without a word, as one does that is killed where memory runs out; give the same command "
            "again to go on, with --at-once 1 or a smaller --batch-size"
        ) from None


@contextlib.contextmanager
def _threads_of_new_processes(count: int) -> Iterator[None]:
    """Processes that start meanwhile compute on so many cores each, whichever library does it: all read this as they
    are loaded, and some of them nothing later."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin_process(stop: Synchronized[int]) -> None:
    """Before the first cell of a process: whom to ask whether to stop."""
    global _asked_to_stop
    _asked_to_stop = stop
    for number in (signal.SIGINT, signal.SIGTERM):  # between two cells the first process alone decides
        with contextlib.suppress(ValueError):
            signal.signal(number, signal.SIG_IGN)


def _train_apart(path: Path, cell: Cell, command: str) -> Ended:
    """Train one cell in a process of its own."""
    return _train(path, cell, Call({}, command, SILENT, _told_to_stop))


def _told_to_stop() -> int:
    return 0 if _asked_to_stop is None else _asked_to_stop.value


def _in_one_line(error: Exception) -> str:
    first, *more = str(error).splitlines() or [type(error).__name__]
    return first + (f" (and {len(more)} more lines)" if more else "")
