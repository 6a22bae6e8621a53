"""Whether a training that is killed and resumed ends with the weights of one that never stopped, bit by bit.

A small training of two stages (head, then every parameter) on drawn cells is run to its end, with no loader process and
with two. Then it is begun anew for each stop, stopped, and gone on with by the same call:

- SIGTERM at a random step: it saves and leaves,
- SIGKILL at a random step: what was done since the last checkpoint is lost,
- SIGKILL at a random moment, whatever is being done: reading, writing a checkpoint, scoring.

Weights and predictions are compared by digest.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from record import Record, arguments, clean_environment, measured, workplace

from corpuscle.core.progress import Progress

T = TypeVar("T")
KINDS = ("SIGTERM at a step", "SIGKILL at a step", "SIGKILL at a moment")
WORKERS = (0, 2)
PRELOADED = ["corpuscle.engine.train", "corpuscle.recipes", "cv2", "scipy.optimize", "timm", "torch._dynamo"]
STOPPED = 75  # exit code of a training that saved and left


class Killer(Progress):
    """A progress that sends its own process a signal before a step.

    Args:
        step: counted over all epochs, from 0; -1 is never.
        number: of the signal.
    """

    def __init__(self, step: int = -1, number: int = signal.SIGKILL) -> None:
        super().__init__(shown=False)
        self.step, self.number, self.steps = step, number, 0

    def track(self, items: Iterable[T], title: str, total: int, done: int = 0, per_item: int = 1) -> Iterator[T]:
        """Pass the items on, and count the steps of epochs."""
        for item in items:
            if title.startswith("epoch "):
                if self.steps == self.step:
                    os.kill(os.getpid(), self.number)
                self.steps += 1
            yield item


def train(data: Path, out: Path, settings: dict[str, Any], killer: Killer) -> None:
    """One process: train to the end, or to the signal. Leaves the number of steps it did."""
    from corpuscle.core.stopped import Stopped
    from corpuscle.engine.train import Call
    from corpuscle.engine.train import train as run
    from corpuscle.recipes import compose

    multiprocessing.set_start_method("fork", force=True)  # of the loader's processes, as in a command on Linux
    experiment, origins = compose("default", None, settings)
    try:
        run(data, experiment, out, Call(origins, progress=killer))
    except Stopped:
        os._exit(STOPPED)
    (out / "steps").write_text(str(killer.steps))


def digest(out: Path) -> str:
    """Of the weights and the predictions of a finished run."""
    found = hashlib.blake2b(digest_size=16)
    for name in ("weights.safetensors", "predictions.csv"):
        found.update((out / name).read_bytes())
    return found.hexdigest()


class Trainings:
    """Starts trainings, each in a process of its own that has everything imported already.

    Args:
        place: folder for data and runs.
        options: the arguments of the script.
    """

    def __init__(self, place: Path, options: argparse.Namespace) -> None:
        self.place, self.seed = place, options.seed
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOADED)

    def start(self, out: Path, workers: int, killer: Killer) -> multiprocessing.process.BaseProcess:
        """Begin, or go on with, a training."""
        stages = [
            {"train": "head", "epochs": 2, "views": 2, "warm_up": 0},
            {"train": "all", "epochs": 3, "warm_up": 1},
        ]
        settings = {
            "stages": stages,
            "net.model": "timm/mobilenetv3_small_050",  # small, with batch norm
            "net.head": "mlp",
            "net.dropout": 0.2,  # so that torch's own random numbers matter
            "prepare.size": 32,
            "fit.batch_size": 6,
            "fit.save_every": 0,
            "fit.keep": "last",  # so that the final weights rest on every step
            "score.resamples": 100,
            "device.workers": workers,
            "seed": self.seed,
        }
        process = self.context.Process(target=train, args=(self.place / "cells", out, settings, killer))
        process.start()
        return process

    def finish(self, out: Path, workers: int) -> None:
        """Go on to the end.

        Raises:
            SystemExit: it did not get there.
        """
        process = self.start(out, workers, Killer())
        process.join()
        if process.exitcode:
            raise SystemExit(f"a training in {out.name} that nobody stopped ended with code {process.exitcode}")


def stop_once(trainings: Trainings, out: Path, kind: str, workers: int, at: float, steps: int, seconds: float) -> str:
    """Begin a training, stop it at a share of its way, go on with it; how it went."""
    step = int(at * steps) if "step" in kind else -1
    number = signal.SIGTERM if "SIGTERM" in kind else signal.SIGKILL
    process = trainings.start(out, workers, Killer(step, number))
    if step < 0:
        time.sleep(at * seconds)
        process.kill()
    process.join()
    expected = {STOPPED} if number == signal.SIGTERM else {-signal.SIGKILL}
    if step >= 0 and process.exitcode not in expected:
        raise SystemExit(f"expected {kind} {step} to end the training, it ended with code {process.exitcode}")
    was_over = (out / "steps").is_file()
    trainings.finish(out, workers)
    return "was over" if was_over else "stopped"


def measure(options: argparse.Namespace, record: Record) -> None:
    """Two unbroken trainings, then all stops."""
    from corpuscle.synth.folder import write_cells

    stops = 4 if options.quick else options.stops
    rng = np.random.default_rng(options.seed)
    equal: Counter[tuple[str, int]] = Counter()
    tried: Counter[tuple[str, int]] = Counter()
    with workplace() as place:
        os.environ |= clean_environment(options.threads, place / "cache")  # the trainings inherit it
        write_cells(place / "cells", 8, 40, options.seed)
        trainings = Trainings(place, options)
        whole, seconds = {}, {}
        for workers in WORKERS:
            out, started = place / f"whole-{workers}", time.perf_counter()
            trainings.finish(out, workers)
            seconds[workers] = time.perf_counter() - started
            whole[workers] = digest(out)
        steps = int((place / "whole-0" / "steps").read_text())
        for stop in range(stops):
            kind, workers, at = KINDS[stop % len(KINDS)], WORKERS[stop // len(KINDS) % len(WORKERS)], rng.random()
            out = place / f"stop-{stop}"
            went = stop_once(trainings, out, kind, workers, at, steps, seconds[workers])
            same = digest(out) == whole[workers]
            shutil.rmtree(out)
            tried[kind, workers] += 1
            equal[kind, workers] += same
            how = f"{kind}, {workers} workers, at {at:.0%}, {went}"
            print(f"{stop + 1:>3} of {stops}: {how}: {'equal' if same else 'OTHER WEIGHTS'}", flush=True)
    for kind, workers in sorted(tried):
        record.add(what=kind, workers=workers, stops=tried[kind, workers], bit_equal=equal[kind, workers], steps=steps)
    agree = len(set(whole.values())) == 1
    whole_row = {"what": "all", "workers": "0 or 2", "stops": stops, "bit_equal": equal.total(), "steps": steps}
    record.add(**whole_row, workers_agree=agree)


def main() -> None:
    """Measure once; the exit code is 1 where a training ended otherwise than the unbroken one."""
    parser = arguments(__doc__)
    parser.set_defaults(threads=1)  # tiny nets; the sum over threads is in a fixed order for any number of them
    parser.add_argument("--stops", type=int, default=37)
    options = parser.parse_args()
    record = measured("resume_exact", options, measure)
    raise SystemExit(record.rows[-1]["bit_equal"] != record.rows[-1]["stops"])


if __name__ == "__main__":
    main()
