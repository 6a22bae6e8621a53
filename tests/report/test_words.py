"""What a page says of a run, in sentences."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from corpuscle.report.run_data import RunData
from corpuscle.report.words import trained


def run_of(model: str, joined: int, train: str = "all") -> RunData:
    settings = {"net.model": {"value": model}, "net.joined": {"value": []}}
    for number in range(joined):
        settings |= {f"net.joined.{number}.run": {"value": "runs/a"}, f"net.joined.{number}.size": {"value": 96}}
    log = pl.DataFrame({"epoch": [1, 2, 3], "train": [train] * 3})
    return RunData(Path("runs/x"), ("a", "b"), None, {}, log, None, None, settings)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (run_of("resnet18", 0), "resnet18 was trained on 40 images for 3 epochs."),
        (
            run_of("resnet18", 2),
            "resnet18 was trained on 40 images for 3 epochs, beside the frozen encoders of 2 earlier runs.",
        ),
        (run_of("none", 1), "A head on the frozen encoder of 1 earlier run was trained on 40 images for 3 epochs."),
        (run_of("none", 2, "probe"), "A head was fitted to the frozen encoders of 2 earlier runs on 40 images."),
        (
            run_of("resnet18", 1, "probe"),
            "A head was fitted to the encoder of resnet18 and the frozen encoder of 1 earlier run on 40 images.",
        ),
        (
            run_of("resnet18", 0, "probe"),
            "The encoder of resnet18 was left as it was, and a head fitted to it on 40 images.",
        ),
    ],
)
def test_what_was_trained_names_the_encoders_beside_it(run, said):
    assert trained(run, "40 images") == said
