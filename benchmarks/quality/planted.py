"""How much of what is planted in a data set the doctor finds: copies, near-copies, groups across splits, a shortcut.

Images are chosen by the seed. Exact copies are their pixels in a PNG. Near-copies are saved as JPEG of quality 90, of
each sort so many: re-encoded (quality 30 to 95), resized (0.5 to 2 times, by one of four ways), flipped, turned by
quarters, cropped (0 to 5 % a side, each side for itself), another brightness (gain 0.7 to 1.4 and an offset of up to
25), and two of these in turn. A false pair is one of images of different origin, unless it or the images they came of
were found in the data set as it is: those pairs are counted beside it, and were looked at. Groups across splits are
patients of two images with names that tell, half of them in train and in test. The shortcut is one class saved again
as JPEG of quality 60, the others of 85, against labels dealt out anew, of which none is planted.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

from record import Record, arguments, measured, workplace
from scipy.stats import binomtest

from corpuscle.core.records import Score
from corpuscle.data.cache import survey
from corpuscle.data.doctor.copies import NearCopies, near_copies
from corpuscle.data.doctor.groups import likely_groups
from corpuscle.data.doctor.leaks import find_copies, find_leaks
from corpuscle.data.doctor.shortcuts import shortcuts
from corpuscle.data.readers.image import ReadPlan, read_image
from corpuscle.data.sources import scan
from corpuscle.data.table import Table

QUALITY, MARKED_QUALITY, OTHER_QUALITY = 90, 60, 85
CUT, GAIN, OFFSET = 0.05, (0.7, 1.4), 25
WAYS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
EXACT, COPY = "exact", "~"  # a file "<stem>~<sort><suffix>" is a copy of <stem>

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Looked:
    """A data set after one pass, and what was found in it."""

    table: Table
    seen: pl.DataFrame
    near: NearCopies
    seconds: float


def encoded(image_HWC: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """As a JPEG of some quality holds it."""
    _, content = cv2.imencode(".jpg", image_HWC, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(30, 96))])
    return cv2.imdecode(content, cv2.IMREAD_COLOR)


def resized(image_HWC: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Larger or smaller."""
    scale = 2 ** random.uniform(-1, 1)
    return cv2.resize(image_HWC, None, fx=scale, fy=scale, interpolation=WAYS[random.integers(len(WAYS))])


def cropped(image_HWC: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Less at each side."""
    height, width = image_HWC.shape[:2]
    top, bottom = (random.uniform(0, CUT, 2) * height).astype(int)
    left, right = (random.uniform(0, CUT, 2) * width).astype(int)
    return image_HWC[top : height - bottom, left : width - right]


def lit(image_HWC: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Brighter or darker, clipped."""
    lit_HWC = image_HWC * random.uniform(*GAIN) + random.uniform(-OFFSET, OFFSET)
    return np.clip(lit_HWC, 0, 255).round().astype(np.uint8)


def two(image_HWC: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Two of the sorts, one after the other."""
    for sort in random.choice([name for name in SORTS if name != "two"], 2, replace=False):
        image_HWC = np.ascontiguousarray(SORTS[sort](image_HWC, random))
    return image_HWC


SORTS: dict[str, Change] = {
    "encoded": encoded,
    "resized": resized,
    "flipped": lambda image_HWC, random: np.flip(image_HWC, int(random.integers(2))),
    "turned": lambda image_HWC, random: np.rot90(image_HWC, int(random.integers(1, 4))),
    "cropped": cropped,
    "lit": lit,
    "two": two,
}


def plant_copies(source: Path, out: Path, number: int, random: np.random.Generator) -> dict[str, dict[str, str]]:
    """A copy of a data set with copies of so many of its images, of each sort: sort, to copy to image."""
    images = scan(source).frame["image"].to_list()
    for image in images:
        (out / image).parent.mkdir(parents=True, exist_ok=True)
        (out / image).symlink_to((source / image).resolve())
    planted: dict[str, dict[str, str]] = {}
    for sort in (EXACT, *SORTS):
        planted[sort] = {}
        for place in random.choice(len(images), number, replace=False):
            image = Path(images[place])
            changed = np.ascontiguousarray(read_image(source / image).array_HWC[..., ::-1])
            suffix, quality = (".png", []) if sort == EXACT else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            if sort != EXACT:
                changed = np.ascontiguousarray(SORTS[sort](changed, random))
            copy = image.with_name(f"{image.stem}{COPY}{sort}{suffix}")
            assert cv2.imwrite(str(out / copy), changed, quality)
            planted[sort][copy.as_posix()] = image.as_posix()
    return planted


def plant_groups(table: Table, random: np.random.Generator) -> tuple[Table, set[str]]:
    """The same rows as patients of two images, by name alone, in a split that divides half of the patients."""
    order = random.permutation(len(table) // 2 * 2)
    patient_N, eye_N = order // 2, np.where(order % 2, "left", "right")
    divided_N = patient_N % 2 == 0
    split_N = np.where(divided_N & (order % 2 == 1), "test", "train")
    names = [f"p{patient}_{eye}.png" for patient, eye in zip(patient_N, eye_N, strict=True)]
    frame = table.frame.head(len(order)).with_columns(image=pl.Series(names), split=pl.Series(split_N.tolist()))
    return table.with_frame(frame), {f"p{patient}" for patient in patient_N[divided_N]}


def plant_shortcut(source: Path, out: Path) -> str:
    """Each image saved again, those of the first class as JPEG of another quality; the name of that class."""
    table = scan(source)
    marked = table.classes[0]
    for image, label in table.frame.select("image", "label").iter_rows():
        place = (out / image).with_suffix(".jpg")
        place.parent.mkdir(parents=True, exist_ok=True)
        quality = MARKED_QUALITY if label == marked else OTHER_QUALITY
        pixels = read_image(source / image).array_HWC[..., ::-1]
        assert cv2.imwrite(str(place), np.ascontiguousarray(pixels), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return marked


def look(path: Path) -> Looked:
    """One pass, and what is nearly the same; the seconds are those of the search alone, of one processor."""
    table = scan(path)
    seen = survey(table, ReadPlan(), None).frame
    started = time.process_time()
    near = near_copies(table, seen)
    return Looked(table, seen, near, time.process_time() - started)


def share(found: int, total: int) -> Score:
    """A share with its interval by Wilson."""
    ends = binomtest(found, total).proportion_ci(method="wilson")
    return Score(found / total, ends.low, ends.high, total, total, "max")


def measure_copies(source: Path, number: int, random: np.random.Generator, record: Record) -> None:
    """Exact copies and near-copies of each sort, and pairs of images that are none."""
    before = look(source)
    content = dict(zip(before.table.frame["image"], before.seen["content"], strict=True))
    known = (*before.near.groups, *find_copies(content, {}).same)
    same = {image: group for group in known for image in group}
    with workplace() as place:
        planted = plant_copies(source, place / "planted", number, random)
        after = look(place / "planted")
    group_of = {image: at for at, group in enumerate(after.near.groups) for image in group}
    origin = {copy: image for copies in planted.values() for copy, image in copies.items()}
    exact = find_copies(dict(zip(after.table.frame["image"], after.seen["content"], strict=True)), {})
    sets = {image: group for group in exact.same for image in group}
    for sort, copies in planted.items():
        if sort == EXACT:
            found = sum(image in sets.get(copy, ()) for copy, image in copies.items())
        else:
            found = sum(copy in group_of and group_of[copy] == group_of.get(image) for copy, image in copies.items())
        record.add(data=source.name, planted=sort, number=len(copies), recall=share(found, len(copies)))
    false = 0
    for pair in after.near.pairs:
        one, other = (origin.get(image, image) for image in (pair.first, pair.second))
        false += one != other and other not in same.get(one, ())
    images = len(after.table)
    record.add(
        data=source.name,
        planted="false pairs",
        number=false,
        of_images=share(min(false, images), images),
        of_all_pairs=false / (images * (images - 1) / 2),
        found_before=len(before.near.pairs),
        images=images,
        seconds=after.seconds,
    )


def measure_groups(source: Path, random: np.random.Generator, record: Record) -> None:
    """Groups on two sides of a split: by their names alone, and where a column holds them."""
    table, divided = plant_groups(scan(source), random)
    named = table.with_frame(table.frame.with_columns(group=pl.col("image").str.extract("^(p[0-9]+)_")))
    ways = {
        "by name": {name for finding in likely_groups(table) for name in finding.values["across"]},
        "by column": {leak.names[0] for leak in find_leaks(named) if leak.kind == "group"},
    }
    for way, found in ways.items():
        record.add(
            data=source.name,
            planted=f"groups, {way}",
            number=len(divided),
            recall=share(len(found & divided), len(divided)),
            false=len(found - divided),
        )


def measure_shortcut(source: Path, trials: int, random: np.random.Generator, record: Record) -> None:
    """A class of another quality, and how often something is found where labels are dealt out anew."""
    with workplace() as place:
        marked = plant_shortcut(source, place / "planted")
        table = scan(place / "planted")
        seen = survey(table, ReadPlan(), None).frame
        shutil.rmtree(place / "planted")
    told = [finding for finding in shortcuts(table, seen) if finding.values["source"] == "JPEG quality"]
    false = 0
    for trial in range(trials):
        dealt = pl.Series("label", random.permutation(table.frame["label"].to_numpy()).tolist())
        false += bool(shortcuts(table.with_frame(table.frame.with_columns(dealt)), seen, trial))
    record.add(
        data=source.name,
        planted="shortcut",
        number=1,
        recall=share(sum(finding.values["best"] == marked for finding in told), 1),
        accuracy=told[0].values["accuracy"] if told else float("nan"),
        false=false,
        trials=trials,
    )


def measure(options: argparse.Namespace, record: Record) -> None:
    """Plant each, in turn."""
    random = np.random.default_rng(options.seed)
    measure_copies(options.data, 6 if options.quick else options.number, random, record)
    measure_groups(options.data, random, record)
    measure_shortcut(options.data, 2 if options.quick else options.trials, random, record)


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__, data="pbc")
    parser.add_argument("--number", type=int, default=250, help="copies of each sort")
    parser.add_argument("--trials", type=int, default=50, help="times the labels are dealt out anew")
    measured("quality_planted", parser.parse_args(), measure)


if __name__ == "__main__":
    main()
