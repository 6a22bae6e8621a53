"""Seconds of a training epoch of a U-net at 224 pixels: a plain PyTorch script against Corpuscle.

Both train segmentation-models-pytorch's U-net on the same composed scenes, images and masks on disk as PNG, in
processes of their own, an epoch each by turns; the first epoch of either is not counted. What is timed is the training
pass alone: no validation, no start, no decoding into the cache. The recipe's own U-net is timed beside, alone.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from record import Record, Side, arguments, chosen, clean_environment, spread, workplace
from train_epoch import by_turns, data_waits

from corpuscle import making
from corpuscle.core.legend import SMEAR

TARGET = 3.2
WAIT_TARGET = 0.1
TEST = 2  # scenes that are scored once, after the last epoch


def measure(options: argparse.Namespace, record: Record) -> None:
    """Time both sides, then the recipe's own net alone, and record what was measured."""
    size, batch = (128, 2) if options.quick else (options.size, options.batch)
    scenes, repeats = (4, 1) if options.quick else (options.scenes, options.repeats)
    base: dict[str, Any] = {"size": size, "batch": batch, "images": scenes}
    with workplace() as place:
        data, environment = place / "data", clean_environment(options.threads, place / "cache")
        settings = {"compose.size": size, "compose.scenes": [scenes, 0, TEST], "compose.num_fields": 8}
        making.compose(data, workers=1, settings=settings | {"seed": options.seed})
        same = {
            "fit.batch_size": batch,
            "augment.crop": size,
            "stages.0.epochs": 1 + repeats,
            "seed": options.seed,
            "split.val": 0,
        }

        def ours(name: str, **more: Any) -> Side:
            words = ["--recipe", "segment", "--out", place / name, *chosen(same | more)]
            return Side("ours", [data, *words], environment)

        told = ["--epochs", 1 + repeats, "--batch", batch, "--classes", len(SMEAR.classes), "--seed", options.seed]
        plain = Side("plain_unet", [data, "--encoder", options.encoder, *told], environment)
        model = f"smp/unet-{options.encoder}"
        compared = by_turns(plain, ours("same", **{"net.model": model}), repeats)
        waits = {"data_wait": waited(place / "same"), "data_wait_target": WAIT_TARGET}
        record.add(model=model, **base, **compared, target=TARGET, **waits)
        own = ours("own")
        own.run(1 + repeats)
        seconds = {"ours_s": own.seconds(), "ours_range": spread([epoch["seconds"] for epoch in own.epochs[1:]])}
        record.add(model="unet", **base, repeats=repeats, **seconds, data_wait=waited(place / "own"))


def waited(run: Path) -> float:
    """Median share of an epoch in which our training waited for data, after the first epoch."""
    return statistics.median(data_waits(run)[1:])


def main() -> None:
    """Measure."""
    parser = arguments(__doc__, size=224, batch=16)
    parser.add_argument("--encoder", default="resnet18", help="of segmentation-models-pytorch")
    parser.add_argument("--scenes", type=int, default=96, help="of the training part")
    parser.add_argument("--repeats", type=int, default=5, help="epochs that count")
    options = parser.parse_args()
    record = Record("unet_epoch", options)
    measure(options, record)
    record.close()


if __name__ == "__main__":
    main()
