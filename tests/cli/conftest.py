"""The command in this process, drawn cells of 32 pixels, and a run of a net of 0.4 million parameters."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from corpuscle import api
from corpuscle.cli.main import main
from corpuscle.synth.folder import write_cells

TINY = {"net.model": "timm/test_resnet", "prepare.size": 32, "fit.batch_size": 8, "score.resamples": 100}
TINY |= {"device.name": "cpu", "device.precision": "fp32"}


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Words that make a training short."""
    return ["-e", "1", *(word for key, value in TINY.items() for word in ("--set", f"{key}={value}"))]


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 drawn cells of five kinds, a folder a kind; their slide is in their names."""
    folder = tmp_path_factory.mktemp("drawn") / "cells"
    write_cells(folder, 12, 32, 0)
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, cells: Path) -> Path:
    """A finished run on the cells; copy it before changing it."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    api.train(cells, out=folder, settings=TINY | {"epochs": [1]})
    return folder


@pytest.fixture
def corpuscle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Calls the command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["corpuscle", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return Done(int(left.value.code or 0), said.out, said.err)

    return call
