"""The original's way of counting and ours, on the same images divided in the same way.

`bccd`: red and white cells a smear; its own validation list judges, 15 % of the smears of its training list choose and
set the intervals. `lysto_shaped`: the four 299 × 299 corners of each bone-marrow field in one HDF5 file with their
numbers, as LYSTO has them; four slides train, the other four judge, and the weights of the last epoch are kept, so
there are no intervals of single counts. Ways: a ResNet with the five-layer head (recipe `lysto`, from nothing, since no
published weights are at hand), the density net from the numbers alone, and from the dots. Differences of the mean
absolute error are paired by image. What is finished in --out is not trained again.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

sys.path.append(str(Path(__file__).parents[1]))
from record import Record, run_arguments, run_options

from corpuscle import api
from corpuscle.core.progress import Progress
from corpuscle.core.records import Score
from corpuscle.core.seeds import generator_for
from corpuscle.core.settings import parse_assignment
from corpuscle.data.readers.dots import read_dots
from corpuscle.data.sources import scan
from corpuscle.metrics.compare import paired_count_difference
from corpuscle.synth.lysto import write_lysto

TILE, FIELD = 299, 600
SHOWN = ("mae", "rmse", "r", "r2", "kappa", "bias", "coverage", "width")
TILE_NUMBER = r"(?:#|^)0*(\d+)(?:_|$)"  # of a row of the HDF5 file, and of an image of the folder


@dataclass(frozen=True)
class Way:
    """One way of counting a data set.

    Attributes:
        data: its images.
        recipe: of the training.
        settings: beside those of the recipe.
        number: pattern of what names an image in every way.
    """

    data: Path
    recipe: str
    settings: dict[str, Any] = field(default_factory=dict)
    number: str = "(.+)"


@dataclass(frozen=True)
class Tile:
    """A corner of a field, with x and y of the dots in it and the slide it comes from."""

    image_HWC: np.ndarray
    dot_M2: np.ndarray
    slide: str


def bccd(options: argparse.Namespace, out: Path, seed: int) -> dict[str, Way]:
    """Each way of counting red and white cells."""
    folder = options.folder / "bccd"
    images = scan(folder).frame.select("image", "split")
    train = images.filter(pl.col("split") == "train")["image"].to_numpy()
    chosen = set(generator_for(seed, "bccd").permutation(train)[: round(0.15 * len(train))])
    parts = ["test" if split == "val" else "val" if image in chosen else "train" for image, split in images.iter_rows()]
    images.with_columns(pl.Series("split", parts)).write_csv(out / "bccd.csv")
    same = {"data.kinds": ["RBC", "WBC"], "data.split_file": str(out / "bccd.csv")}
    model = options.model or "resnet18"
    regression = {"net.weights": "none"} | same | {"net.model": model, "prepare.size": 224, "epochs": [60]}
    return {
        f"regression, {model}": Way(folder, "lysto", regression),
        "density, from boxes": Way(folder, "count", same | {"prepare.shrink": 4}),
    }


def lysto_shaped(options: argparse.Namespace, out: Path, seed: int) -> dict[str, Way]:
    """Each way of counting in tiles of bone marrow; the files with their numbers and with their dots are written."""
    tiles = list(corners(options.folder / "bone_marrow"))
    slides = [tile.slide for tile in tiles]
    write_lysto(out / "tiles.h5", [t.image_HWC for t in tiles], [len(t.dot_M2) for t in tiles], group_N=slides)
    names = write_pairs(tiles, out / "tiles")
    order = generator_for(seed, "slides").permutation(sorted(set(slides)))
    part_of = dict(zip(order, ["train"] * 4 + ["test"] * 4, strict=True))
    for name, images in {"rows": [f"tiles.h5#{k}" for k in range(len(tiles))], "names": names}.items():
        parts = [part_of[slide] for slide in slides]
        pl.DataFrame({"image": images, "split": parts}).write_csv(out / f"{name}.csv")
    numbers = {"data.split_file": str(out / "rows.csv"), "split.val": 0}
    dots = {"data.split_file": str(out / "names.csv"), "data.group_from": r"\d+_(?P<group>\d+)cell", "split.val": 0}
    dots |= {"data.kind": "lymphocyte", "prepare.shrink": 2, "data.empty": "allow"}
    model = options.model or "resnet50"
    regression = {"net.weights": "none"} | numbers | ({"net.model": model} if options.model else {})
    known_as = f"regression, {model}" + ("" if options.model else ", as the original")
    file = out / "tiles.h5"
    return {
        known_as: Way(file, "lysto", regression, TILE_NUMBER),
        "density, from numbers alone": Way(file, "count", numbers | {"prepare.shrink": 2}, TILE_NUMBER),
        "density, from dots": Way(out / "tiles", "count", dots, TILE_NUMBER),
    }


def corners(folder: Path) -> Iterator[Tile]:
    """The four corners of every field of bone marrow."""
    for path in sorted(folder.glob("*_[0-9][0-9]_[0-9][0-9][0-9].png")):
        image_HWC = np.asarray(Image.open(path).convert("RGB"))
        dot_M2 = read_dots(path.with_name(re.sub(r"(\d{3})\.png$", r"dots_\1.png", path.name))).xy_M2
        for top, left in itertools.product((0, FIELD - TILE), repeat=2):
            inside_M = ((dot_M2 >= (left, top)) & (dot_M2 < (left + TILE, top + TILE))).all(axis=1)
            tile_HWC = image_HWC[top : top + TILE, left : left + TILE]
            yield Tile(tile_HWC, dot_M2[inside_M] - (left, top), path.name.split("_")[3])


def write_pairs(tiles: list[Tile], folder: Path) -> list[str]:
    """Each tile as an image and an image of dots; the names of the images."""
    folder.mkdir(exist_ok=True)
    names = []
    for k, tile in enumerate(tiles):
        marked_HW = np.zeros((TILE, TILE), np.uint8)
        marked_HW[tuple(tile.dot_M2[:, ::-1].astype(int).T)] = 255
        stem, marked = f"{k:03}_{tile.slide}", np.count_nonzero(marked_HW)
        if marked != len(tile.dot_M2):
            raise SystemExit(f"tile {stem}: {len(tile.dot_M2)} dots lie in {marked} pixels, as many were expected")
        Image.fromarray(tile.image_HWC).save(folder / f"{stem}cell.png")
        Image.fromarray(marked_HW).save(folder / f"{stem}dots.png")
        names.append(f"{stem}cell.png")
    return names


SETS = {"bccd": bccd, "lysto_shaped": lysto_shaped}


def compare(name: str, seed: int, options: argparse.Namespace, record: Record) -> None:
    """Train every way; record every score of every kind on the test part, and how the ways differ."""
    out = options.out / (name if seed == options.seeds[0] else f"{name}-seed-{seed}")
    out.mkdir(parents=True, exist_ok=True)
    said: dict[str, pl.DataFrame] = {}
    for words, way in SETS[name](options, out, seed).items():
        if options.ways and not any(word in words for word in options.ways):
            continue
        place = out / re.sub(r"\W+", "-", words)
        progress = Progress(shown=True)
        progress.say(f"== {name}, {words}, seed {seed}: {place}")
        settings = chosen(way, seed, options)
        run = api.train(way.data, recipe=way.recipe, out=place, settings=settings, progress=progress)
        said[words] = test_counts(place, way.number)
        part, spent = run.metrics["parts"]["test"], run.log["seconds"].sum()
        for kind, content in part["per_class"].items():
            did = {"epochs": len(run.log), "train_s": spent, "n": part["n"], "groups": part["groups"]}
            scores = {key: _score(content["scores"][key]) for key in SHOWN if key in content["scores"]}
            record.add(data=name, way=words, kind=kind, seed=seed, **did, **scores)
    for one, other in itertools.combinations(said, 2):
        for kind, score in differences(said[other], said[one]).items():
            least = {"n": score.n, "groups": score.groups}
            record.add(data=name, way=f"{other} less {one}", kind=kind, seed=seed, **least, mae=score)


def chosen(way: Way, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """The settings of a way: its own, then what the options say."""
    regression = way.recipe == "lysto"
    settings = way.settings | {"seed": seed} | dict(parse_assignment(text) for text in options.set)
    if epochs := options.epochs_regression if regression else options.epochs_density:
        settings["epochs"] = [epochs]
    if regression and options.size:
        settings["prepare.size"] = options.size
    if options.quick:
        settings |= {"epochs": [1], "score.views": 1} | ({"prepare.size": 64} if regression else {})
    return settings


def test_counts(run: Path, number: str) -> pl.DataFrame:
    """Predictions of the test part, by what names an image in every way."""
    words = {"image": pl.String, "split": pl.String, "group": pl.String}
    table = pl.read_csv(run / "predictions.csv", infer_schema_length=None, schema_overrides=words)
    return table.filter(pl.col("split") == "test").with_columns(pl.col("image").str.extract(number)).sort("image")


def differences(a: pl.DataFrame, b: pl.DataFrame) -> dict[str, Score]:
    """For each kind the mean absolute error of `a` less that of `b`, paired by image and drawn by group."""
    both = a.join(b, on="image", suffix=" of b", maintain_order="left")
    if not len(both) == len(a) == len(b):
        raise SystemExit(f"expected the same test images, got {len(both)} in common of {len(a)} and {len(b)}")
    found = {}
    for kind in (name.removeprefix("true_") for name in a.columns if name.startswith("true_")):
        said_a, said_b, true, true_b = (
            both.select(f"{name}{end}").to_numpy().astype(float)
            for name in (f"count_{kind}", f"true_{kind}")
            for end in ("", " of b")
        )
        if (true != true_b).any():
            raise SystemExit(f"expected the same true counts of {kind} in both; they differ")
        group_N = None if both["group"].is_null().all() else both["group"].to_list()
        found[kind] = paired_count_difference("mae", said_a, said_b, true.astype(np.int64), group_N)
    return found


def _score(found: dict[str, Any]) -> Score:
    return Score(**{key: float("nan") if value is None else value for key, value in found.items()})


def main() -> None:
    """Train and report."""
    parser = run_arguments(__doc__)
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS), help="data sets")
    parser.add_argument("--ways", nargs="+", default=[], metavar="WORD", help="only those named with such a word")
    parser.add_argument("--seeds", nargs="+", type=int, help="of division and training; --seed alone unless named")
    parser.add_argument("--model", help="encoder of the regression; resnet18 on bccd, resnet50 on tiles unless named")
    parser.add_argument("--size", type=int, default=0, help="side of the regression's canvas; 224 and 299 where 0")
    parser.add_argument("--epochs-regression", type=int, default=0, help="60 on bccd, the recipe's on tiles where 0")
    parser.add_argument("--epochs-density", type=int, default=0, help="the recipe's where 0")
    options = run_options(parser)
    options.seeds = options.seeds or [options.seed]
    record = Record("quality_count_ways", options)
    for name, seed in itertools.product(options.data, options.seeds):
        compare(name, seed, options, record)
    record.close()


if __name__ == "__main__":
    main()
