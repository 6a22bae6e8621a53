"""Seconds of a training epoch at 224 pixels: a plain PyTorch script against Corpuscle.

Both train the same net on the same images in processes of their own, an epoch each by turns; the first epoch of either
is not counted. What is timed is the training pass alone: no validation, no start, no decoding into the cache.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from pathlib import Path

from record import Record, Row, Side, arguments, chosen, clean_environment, linked_part, spread, take_turns, workplace

TARGETS = {"resnet18": 2.8, "resnet50": 3.2}
IMAGES = {"resnet18": 160, "resnet50": 64}


def measure(model: str, options: argparse.Namespace, record: Record) -> None:
    """Train one model on both sides and record what was measured."""
    images = 32 if options.quick else options.images or IMAGES.get(model, 64)
    repeats = 2 if options.quick else options.repeats
    size, batch = (32, 8) if options.quick else (options.size, options.batch)
    with workplace() as place:
        linked = linked_part(options.data, place / "data" / "train", images)
        linked_part(options.data, place / "data" / "test", 8, skip=images // 8)  # scored once, after the last epoch
        environment = clean_environment(options.threads, place / "cache")
        same = ["--model", model, "--size", size, "--batch", batch, "--epochs", 1 + repeats, "--seed", options.seed]
        plain = Side("plain", [place / "data", *same], environment)
        settings = {
            "net.model": model,
            "prepare.size": size,
            "fit.batch_size": batch,
            "stages.0.epochs": 1 + repeats,
            "seed": options.seed,
            "split.val": 0,
        }
        ours = Side("ours", [place / "data", "--out", place / "run", *chosen(settings)], environment)
        compared = by_turns(plain, ours, repeats)
        wait = statistics.median(data_waits(place / "run")[1:])
    told = {"target": TARGETS.get(model, ""), "data_wait": wait, "data_wait_target": 0.1}
    record.add(model=model, size=size, images=linked, **compared, **told)


def by_turns(plain: Side, ours: Side, repeats: int) -> Row:
    """The seconds of both sides over epochs that they do by turns, after one each that does not count."""
    take_turns((plain, ours), 1 + repeats)
    ratios = [p["seconds"] / o["seconds"] for p, o in zip(plain.epochs[1:], ours.epochs[1:], strict=True)]
    return {
        "steps": ours.epochs[-1]["steps"],
        "repeats": repeats,
        "plain_s": plain.seconds(),
        "plain_range": spread([epoch["seconds"] for epoch in plain.epochs[1:]]),
        "ours_s": ours.seconds(),
        "ours_range": spread([epoch["seconds"] for epoch in ours.epochs[1:]]),
        "times_as_fast": plain.seconds() / ours.seconds(),
        "paired_range": spread(ratios),
    }


def data_waits(run: Path) -> list[float]:
    """Share of each epoch in which our training waited for data."""
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        return [float(row["data_wait"]) for row in csv.DictReader(file)]


def main() -> None:
    """Measure each model."""
    parser = arguments(__doc__, data="pbc", size=224, batch=32)
    parser.add_argument("--models", nargs="+", default=list(TARGETS))
    parser.add_argument("--images", type=int, help="of the training part (160 for resnet18, 64 for the others)")
    parser.add_argument("--repeats", type=int, default=5, help="epochs that count")
    options = parser.parse_args()
    record = Record("train_epoch", options)
    for model in options.models:
        measure(model, options, record)
    record.close()


if __name__ == "__main__":
    main()
