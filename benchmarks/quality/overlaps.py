"""How many of the overlapping crops that a script plants the doctor finds, and how many pairs that are none.

Of each field one pair of square crops is cut at random places, so that they share 25, 50 or 75 % of their area, shifted
along one axis or along both. The first is saved as JPEG of quality 80 to 95, the second 10 % brighter, of quality 50 to
90. A pair is found where both crops are in one group. A false pair joins crops of two fields, unless these were found
to overlap in the data set as it is: those pairs are counted beside it, and were looked at. The limits were chosen on
the fields of even place in the order of names (`--fields even`); the others are reported. Last, what overlaps in the
sample images as they are.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from record import Record, arguments, measured, workplace
from scipy.stats import binomtest

from corpuscle.core.records import Score
from corpuscle.data.cache import survey
from corpuscle.data.doctor.overlaps import Overlaps, overlaps
from corpuscle.data.readers.image import ReadPlan, read_image
from corpuscle.data.sources import scan
from corpuscle.data.sources.plan import SourcePlan

SETS = {"bone_marrow": (150, 300), "bccd": (150, 240)}  # data set to the sides of its crops
SHARES, FIRST_QUALITY, SECOND_QUALITY, GAIN = (0.25, 0.5, 0.75), (80, 96), (50, 91), 1.1
TRIES = 1000


def look(path: Path) -> tuple[list[str], Overlaps, float]:
    """The images of a data set, which of them overlap, and the seconds of one processor that the search takes."""
    table = scan(path, SourcePlan(labels="none"))
    seen = survey(table, ReadPlan(), None).frame
    started = time.process_time()
    found = overlaps(table, seen)
    return table.frame["image"].to_list(), found, time.process_time() - started


def corners(size_2: np.ndarray, side: int, share: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Corners of two crops of a field that share so much; half of them are shifted along one axis alone."""
    for _ in range(TRIES):
        less = random.uniform(0, 1 - share) * (random.random() < 0.5)
        shift_2 = random.permutation([less, 1 - share / (1 - less)]) * side * random.choice([-1, 1], 2)
        first_2 = random.integers(0, size_2 - side + 1)
        second_2 = first_2 + shift_2.round().astype(int)
        if (second_2 >= 0).all() and (second_2 <= size_2 - side).all():
            return first_2, second_2
    raise SystemExit(f"a field of {size_2.tolist()} pixels holds no two crops of {side} that share {share:.0%}")


def plant(fields: dict[str, Path], out: Path, side: int, share: float, random: np.random.Generator) -> None:
    """Two crops of each field, `<field>~0.jpg` and `<field>~1.jpg`."""
    out.mkdir()
    for field, path in fields.items():
        whole_HWC = np.ascontiguousarray(read_image(path).array_HWC[..., ::-1])
        pair = corners(np.array(whole_HWC.shape[:2]), side, share, random)
        for number, (top, left) in enumerate(pair):
            crop_HWC = whole_HWC[top : top + side, left : left + side]
            lit_HWC = np.clip(crop_HWC * GAIN, 0, 255).round().astype(np.uint8) if number else crop_HWC
            quality = int(random.integers(*(SECOND_QUALITY if number else FIRST_QUALITY)))
            assert cv2.imwrite(str(out / f"{field}~{number}.jpg"), lit_HWC, [cv2.IMWRITE_JPEG_QUALITY, quality])


def measure_crops(source: Path, side: int, options: argparse.Namespace, record: Record) -> None:
    """Crops of one size: those found of each share, and false pairs among all."""
    random = np.random.default_rng(options.seed)
    images, before, _ = look(source)
    group_of = {Path(image).stem: group for group in before.groups for image in group}
    chosen = images[options.fields == "odd" :: 2][: 6 if options.quick else None]
    fields = {Path(image).stem: source / image for image in chosen}
    false, known, looked, seconds = 0, 0, 0, 0.0
    for share in SHARES:
        found = total = 0
        for _ in range(1 if options.quick else options.rounds[source.name]):
            with workplace() as place:
                plant(fields, place / "crops", side, share, random)
                crops, after, took = look(place / "crops")
            together = {image: group for group in after.groups for image in group}
            found += sum(f"{field}~1.jpg" in together.get(f"{field}~0.jpg", ()) for field in fields)
            total += len(fields)
            looked, seconds = looked + len(crops), seconds + took
            for pair in after.pairs:
                one, other = (image.rpartition("~")[0] for image in (pair.first, pair.second))
                same_field = any(Path(image).stem == other for image in group_of.get(one, ()))
                known, false = known + (one != other and same_field), false + (one != other and not same_field)
        ends = binomtest(found, total).proportion_ci(method="wilson")
        recall = Score(found / total, ends.low, ends.high, total, total, "max")
        record.add(data=source.name, side=side, fields=options.fields, share=share, pairs=total, recall=recall)
    ends = binomtest(min(false, looked), looked).proportion_ci(method="wilson")
    record.add(
        data=source.name,
        side=side,
        fields=options.fields,
        share="false pairs",
        pairs=false,
        of_images=Score(false / looked, ends.low, ends.high, looked, looked, "min"),
        of_fields_that_overlap=known,
        images=looked,
        ms_an_image=1e3 * seconds / looked,
    )


def measure_set(source: Path, record: Record) -> None:
    """What overlaps in a data set as it is."""
    images, found, seconds = look(source)
    row = {"data": source.name, "share": "as it is", "pairs": len(found.pairs), "images": len(images)}
    record.add(**row, ms_an_image=1e3 * seconds / len(images))


def measure(options: argparse.Namespace, record: Record) -> None:
    """Each data set, and each size of crops."""
    options.rounds = {"bone_marrow": options.number, "bccd": max(1, options.number // 6)}
    for name, sides in SETS.items():
        for side in sides:
            measure_crops(options.folder / name, side, options, record)
    for name in () if options.quick else ("bone_marrow", "bccd", "wbc_masks", "pbc", "fundus"):
        measure_set(options.folder / name, record)


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__, data="")
    parser.add_argument("--fields", choices=("odd", "even"), default="odd", help="place of the fields by name")
    parser.add_argument("--number", type=int, default=12, help="pairs of each field of bone_marrow; of bccd a sixth")
    options = parser.parse_args()
    options.folder = options.data
    measured("quality_overlaps", options, measure)


if __name__ == "__main__":
    main()
