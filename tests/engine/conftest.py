"""Drawn cells of 32 pixels and a net of 0.4 million parameters: a training takes less than a second."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from corpuscle.core.progress import Progress
from corpuscle.core.stopped import Stopped
from corpuscle.engine.run_folder import ENVIRONMENT
from corpuscle.engine.train import Call, train
from corpuscle.recipes import compose
from corpuscle.synth.folder import write_cells

TINY: dict[str, Any] = {
    "net.model": "timm/test_resnet",
    "net.dropout": 0.3,
    "prepare.size": 32,
    "split.val": 0.2,
    "split.test": 0.2,
    "fit.batch_size": 8,
    "fit.keep": "last",
    "score.resamples": 100,
    "device.name": "cpu",
    "device.precision": "fp32",
    "device.workers": 0,
}
TWO_STAGES = [{"train": "head", "epochs": 2, "views": 2, "warm_up": 0}, {"train": "all", "epochs": 2}]


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 drawn cells of five kinds: 35 to train on (4 steps of 8 an epoch), 13 to validate and 12 to test on."""
    folder = tmp_path_factory.mktemp("data") / "cells"
    write_cells(folder, 12, 32, 0)
    return folder


class Fitter:
    """Trains on the drawn cells."""

    two_stages = TWO_STAGES

    def __init__(self, cells: Path) -> None:
        self.cells = cells

    def __call__(self, out: Path, /, call: Call | None = None, path: Path | None = None, **settings: Any) -> Path:
        """Train into a folder; settings are written with two underscores for the dot."""
        values = {name.replace("__", "."): value for name, value in settings.items()}
        whole = TINY | ({} if "stages" in values else {"epochs": [2]}) | values
        experiment, _ = compose("default", flags=whole)
        return train(path or self.cells, experiment, out, call or Call({}))

    def with_stops(self, out: Path, stretches: Iterable[int], **settings: Any) -> int:
        """Train with stops, each time going on at once.

        Args:
            out: the run folder.
            stretches: at which question whether to stop the answer is yes, counted anew each time.
            settings: as above.

        Returns:
            How often it was stopped.
        """
        for stops, stretch in enumerate(stretches):
            asked = itertools.count(1)
            try:
                self(
                    out,
                    Call({}, stopping=lambda asked=asked, stretch=stretch: 15 * (next(asked) == stretch)),
                    **settings,
                )
            except Stopped:
                continue
            return stops
        self(out, **settings)
        return stops + 1


@pytest.fixture(scope="session")
def fit(cells: Path) -> Fitter:
    return Fitter(cells)


class Listener(Progress):
    """Keeps the lines that were said."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def listener() -> Listener:
    return Listener()


def digest_of_run(run: Path) -> str:
    """What the final weights are, bit by bit."""
    return str(json.loads((run / ENVIRONMENT).read_text())["weights_digest"])


@pytest.fixture(scope="session")
def digest() -> Callable[[Path], str]:
    return digest_of_run


@pytest.fixture(scope="session")
def finished(fit: Fitter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs; to be read only."""
    return fit(tmp_path_factory.mktemp("runs") / "finished", score__views=4)


@pytest.fixture(scope="session")
def command() -> Callable[..., list[str]]:
    """The command line of a tiny training."""

    def build(path: Path, out: Path, *more: str) -> list[str]:
        settings = [f"{key}={json.dumps(value)}" for key, value in TINY.items()]
        flags = [word for setting in settings for word in ("--set", setting)]
        return ["-m", "corpuscle", "train", str(path), "--out", str(out), *flags, *more]

    return build


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of processes that are started: one thread each, and imports compiled once for all of them."""
    compiled = {"PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("compiled")), "PYTHONDONTWRITEBYTECODE": ""}
    return {**os.environ, **compiled, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "TERM": "dumb"}


@pytest.fixture
def launch(environment: dict[str, str]) -> Any:
    """Start Python in a process of its own; whatever is left at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(words: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
