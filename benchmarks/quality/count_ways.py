"""The original's way of counting and ours, on the same images divided in the same way.

`bccd`: red and white cells a smear; its own validation list judges, 15 % of the smears of its training list choose.
`lysto_shaped`: the four 299 × 299 corners of each bone-marrow field in one HDF5 file with their numbers, as LYSTO has
them; four slides train, the other four judge, and the last epoch is kept. Ways: a ResNet with the five-layer head
(recipe `lysto`, from nothing, since no published weights are at hand), the density net from the numbers alone, and from
the dots.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

sys.path.append(str(Path(__file__).parents[1]))
from record import DATA, Record, arguments

from corpuscle import api
from corpuscle.core.progress import Progress
from corpuscle.core.records import Score
from corpuscle.core.seeds import generator_for
from corpuscle.core.settings import parse_assignment
from corpuscle.data.readers.dots import read_dots
from corpuscle.data.sources import scan
from corpuscle.synth.lysto import write_lysto

TILE = 299
SHOWN = ("mae", "rmse", "r", "r2", "kappa", "coverage")
REGRESSION = {"net.weights": "none"}


def bccd(folder: Path, out: Path, seed: int) -> dict[str, tuple[Path, str, dict[str, Any]]]:
    """Each way with its data, its recipe and its settings."""
    images = scan(folder / "bccd").frame.select("image", "split")
    train = images.filter(pl.col("split") == "train")["image"].to_numpy()
    chosen = set(generator_for(seed, "bccd").permutation(train)[: round(0.15 * len(train))])
    parts = ["test" if split == "val" else "val" if image in chosen else "train" for image, split in images.iter_rows()]
    images.with_columns(pl.Series("split", parts)).write_csv(out / "bccd.csv")
    same = {"data.kinds": ["RBC", "WBC"], "data.split_file": str(out / "bccd.csv")}
    regression = REGRESSION | same | {"net.model": "resnet18", "prepare.size": 224, "epochs": [60]}
    return {
        "regression, resnet18": (folder / "bccd", "lysto", regression),
        "density, from boxes": (folder / "bccd", "count", same | {"prepare.shrink": 4}),
    }


def lysto_shaped(folder: Path, out: Path, seed: int) -> dict[str, tuple[Path, str, dict[str, Any]]]:
    """The same for tiles of bone marrow."""
    tiles, counts, slides = [], [], []
    (out / "tiles").mkdir(parents=True, exist_ok=True)
    for path in sorted((folder / "bone_marrow").glob("*_[0-9][0-9]_[0-9][0-9][0-9].png")):
        image_HWC = np.asarray(Image.open(path).convert("RGB"))
        dots = read_dots(path.with_name(re.sub(r"(\d{3})\.png$", r"dots_\1.png", path.name))).xy_M2
        slide = path.name.split("_")[3]
        for top in (0, 600 - TILE):
            for left in (0, 600 - TILE):
                inside = dots[((dots >= (left, top)) & (dots < (left + TILE, top + TILE))).all(axis=1)] - (left, top)
                tiles.append(image_HWC[top : top + TILE, left : left + TILE])
                counts.append(len(inside))
                slides.append(slide)
                marked_HW = np.zeros((TILE, TILE), np.uint8)
                marked_HW[inside[:, 1].astype(int), inside[:, 0].astype(int)] = 255
                name = f"{len(tiles) - 1:03}_{slide}"
                Image.fromarray(tiles[-1]).save(out / "tiles" / f"{name}cell.png")
                Image.fromarray(marked_HW).save(out / "tiles" / f"{name}dots.png")
    write_lysto(out / "tiles.h5", tiles, counts, group_N=slides)
    order = generator_for(seed, "slides").permutation(sorted(set(slides)))
    part_of = dict(zip(order, ["train"] * 4 + ["test"] * 4, strict=True))
    parts = [part_of[slide] for slide in slides]
    called = {
        "rows": [f"tiles.h5#{k}" for k in range(len(tiles))],
        "names": [f"{k:03}_{s}cell.png" for k, s in enumerate(slides)],
    }
    for name, images in called.items():
        pl.DataFrame({"image": images, "split": parts}).write_csv(out / f"{name}.csv")
    numbers = {"data.split_file": str(out / "rows.csv"), "split.val": 0}
    names = {"data.split_file": str(out / "names.csv"), "data.group_from": r"\d+_(?P<group>\d+)cell"}
    dots_too = names | {"split.val": 0, "data.kind": "lymphocyte"}
    return {
        "regression, resnet50, as the original": (out / "tiles.h5", "lysto", REGRESSION | numbers),
        "density, from numbers alone": (out / "tiles.h5", "count", numbers | {"prepare.shrink": 2}),
        "density, from dots": (out / "tiles", "count", dots_too | {"prepare.shrink": 2, "data.empty": "allow"}),
    }


SETS = {"bccd": bccd, "lysto_shaped": lysto_shaped}


def compare(name: str, options: argparse.Namespace, out: Path, record: Record) -> None:
    """Train every way, and record every score of every kind on the test part."""
    (out / name).mkdir(parents=True, exist_ok=True)
    for way, (data, recipe, settings) in SETS[name](options.folder, out / name, options.seed).items():
        if options.ways and not any(word in way for word in options.ways):
            continue
        settings |= {"seed": options.seed} | dict(parse_assignment(text) for text in options.set)
        if options.quick:
            settings |= {"epochs": [1], "score.views": 1} | ({"prepare.size": 64} if recipe == "lysto" else {})
        place = out / name / re.sub(r"\W+", "-", way)
        progress = Progress(shown=True)
        progress.say(f"== {name}, {way}: {place}")
        run = api.train(data, recipe=recipe, out=place, settings=settings, progress=progress)
        log, part = run.log, run.metrics["parts"]["test"]
        for kind, content in part["per_class"].items():
            scores = {key: _score(content["scores"][key]) for key in SHOWN if key in content["scores"]}
            did = {"epochs": len(log), "train_s": log["seconds"].sum(), "n": part["n"], "groups": part["groups"]}
            record.add(data=name, way=way, kind=kind, **did, **scores)


def _score(found: dict[str, Any]) -> Score:
    return Score(**{key: float("nan") if value is None else value for key, value in found.items()})


def main() -> None:
    """Train and report."""
    parser = arguments(__doc__)
    parser.add_argument("--folder", type=Path, default=DATA, help="holds the data sets")
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS), help="data sets")
    parser.add_argument("--ways", nargs="+", default=[], metavar="WORD", help="only those named with such a word")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", help="passed on")
    parser.add_argument("--out", type=Path, help="folder for the runs; a temporary one unless named")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    out = options.out or Path(tempfile.mkdtemp(prefix="corpuscle-count-ways-"))
    print(f"runs: {out}", flush=True)
    record = Record("quality_count_ways", options)
    for name in options.data:
        compare(name, options, out, record)
    record.close()


if __name__ == "__main__":
    main()
