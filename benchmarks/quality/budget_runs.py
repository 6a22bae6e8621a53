"""What labels and pretraining are worth on white cells: `corpuscle budget` on five kinds of two sets, or on pbc alone.

Budgets of labels, seeds, and encoders that learned without labels from the training part and from tiles of
bone_marrow, beside training from nothing; the test part is the same for all. Images with identical pixels stay
together; nothing is known of patients or slides. Of pbc, 10 % are 168 labels, 21 of each kind. Accuracies are means
over the seeds, gains are paired; both with the interval that holds other test images and other seeds. What is finished
in --out is not trained again.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path
from typing import Any

import cv2

sys.path.append(str(Path(__file__).parents[1]))
from real_runs import CELLS
from record import Record, run_arguments, run_options

from corpuscle import making
from corpuscle.core.progress import Progress
from corpuscle.core.records import Score
from corpuscle.core.settings import parse_assignment

SIZE, TILE = 96, 100  # pixels of the net's image, and of a tile of a field of bone marrow
QUICK = {"prepare.size": 32, "net.model": "timm/test_resnet", "fit.batch_size": 16, "score.resamples": 100}
QUICK_PRETRAINING = {"epochs": [1], "net.model": "timm/test_resnet", "net.head": "mlp", "fit.batch_size": 16}


def write_cells(folder: Path, out: Path, most: int | None = None) -> Path:
    """A CSV of the cells of both sets with their kinds.

    Args:
        folder: holds the data sets.
        out: folder for the CSV.
        most: images of each kind and set.
    """
    labels = folder / "wbc_masks" / "labels.csv"
    if not labels.is_file() or not (folder / "pbc").is_dir():
        raise SystemExit(f"expected wbc_masks and pbc in {folder}; name their folder with --folder")
    with labels.open(newline="", encoding="utf-8-sig") as file:
        rows = [(folder / "wbc_masks" / f"{int(row[0]):03d}.bmp", CELLS[row[1]]) for row in list(csv.reader(file))[1:]]
    kept = {kind: [path for path, label in rows if label == kind][:most] for kind in CELLS.values()}
    for kind in kept:
        kept[kind] += sorted((folder / "pbc" / kind).iterdir())[:most]
    place = out / "cells.csv"
    with place.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label"])
        writer.writerows((path.resolve(), kind) for kind, paths in kept.items() for path in paths)
    return place


def write_tiles(fields: Path, out: Path, most: int | None = None) -> Path:
    """The fields of bone marrow cut into tiles, without their dots."""
    if not out.is_dir():
        out.mkdir(parents=True)
        for path in sorted(fields.glob("BM_*.png"))[:most]:
            if "dots" in path.name:
                continue
            field_HWC = cv2.imread(str(path))
            height, width = field_HWC.shape[:2]
            for top in range(0, height - TILE + 1, TILE):
                for left in range(0, width - TILE + 1, TILE):
                    tile_HWC = field_HWC[top : top + TILE, left : left + TILE]
                    cv2.imwrite(str(out / f"{path.stem}_{top}_{left}.png"), tile_HWC)
    return out


def measure(options: argparse.Namespace, record: Record) -> None:
    """The whole table."""
    most = 10 if options.quick else None
    kinds = options.data == "kinds"
    cells = write_cells(options.folder, options.out, most) if kinds else options.folder / "pbc"
    how: dict[str, Any] = {"budgets": options.budgets, "seeds": options.seeds, "pretrain": options.pretrain}
    how |= {"starts": options.starts}
    if options.pretrain and not options.without_marrow:
        how["unlabelled"] = str(write_tiles(options.folder / "bone_marrow", options.out / "tiles", most))
    settings: dict[str, Any] = {"prepare.size": SIZE, "seed": options.seed, "split.rare": "train"}
    if options.quick:
        settings |= QUICK | {"epochs": [1]}
        of_first = {
            f"{name}.{key}": value for name in _words(options.pretrain) for key, value in QUICK_PRETRAINING.items()
        }
        settings |= of_first
    settings |= dict(parse_assignment(text) for text in options.set)
    begun = time.perf_counter()
    found = making.budget(cells, options.out / "budget", how=how, settings=settings, progress=Progress(shown=True))
    took = time.perf_counter() - begun
    base = {"data": "wbc_masks + pbc" if kinds else "pbc", "pretrain": options.pretrain}
    base |= {"settings": " ".join(options.set)}
    for row in found.curve.filter(found.curve["score"] == "accuracy").rows(named=True):
        ends = [Score(*(_number(row[name]) for name in names), row["n"], row["groups"], "max") for names in ENDS]
        gain = {} if row["gain"] is None else {"gain": ends[1]}
        told = {name: row[name] for name in ("start", "budget", "labels", "fewest", "seeds", "n")}
        record.add(**base, **told, accuracy=ends[0], **gain)
    for row in found.needed.rows(named=True):
        told = {"start": row["start"], "level": row["level"], "why": row["why"]}
        record.add(**base, **told, needed=Score(row["labels"], row["low"], row["high"], 0, 0, "min"))
    trained = found.cells["seconds"].sum()
    record.add(
        **base, start="all", cells=len(found.cells), trained_s=trained, command_s=took, page=str(found.report.name)
    )


ENDS = (("value", "low", "high"), ("gain", "gain_low", "gain_high"))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def main() -> None:
    """Train and report."""
    parser = run_arguments(__doc__)
    parser.add_argument("--data", choices=("kinds", "pbc"), default="kinds", help="five kinds of both sets, or pbc")
    parser.add_argument("--budgets", default="100,50,10,1", help="in percent")
    of_all = "scratch,prcc,contrast,codebook,joined:probe"
    parser.add_argument("--starts", default=of_all, help="as the command takes them")
    parser.add_argument("--seeds", default="0,1,2", help="of the cells; --seed is that of the split")
    parser.add_argument("--pretrain", default="prcc,contrast,codebook", help="recipes that learn first, without labels")
    parser.add_argument("--without-marrow", action="store_true", help="pretrain on the training part alone")
    options = run_options(parser)
    if options.quick:
        options.budgets, options.seeds, options.starts = "100,20", "0,1", "scratch,contrast"
        options.pretrain = "contrast"
    record = Record("quality_budget_runs", options)
    measure(options, record)
    record.close()


if __name__ == "__main__":
    main()
