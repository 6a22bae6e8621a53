"""A bank: a folder of cut-outs at one magnification, divided into train, val and test."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import write_json
from corpuscle.synth.cutouts import Cutout

FORMAT = 1
RECORD, LIST, FOLDER = "bank.json", "cutouts.csv", "cutouts"
PARTS = ("train", "val", "test")
COLUMNS = ("file", "kind", "source", "group", "part", "left", "top", "width", "height", "scale", "area")


@dataclass(frozen=True)
class Bank:
    """Cut-outs of one magnification.

    Attributes:
        pixel_um: microns a pixel.
        cutouts: in the order of the list on disk: by kind, then by source.
    """

    pixel_um: float
    cutouts: tuple[Cutout, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds there are, by name."""
        return tuple(sorted({cutout.kind for cutout in self.cutouts}))

    def counts(self) -> dict[str, dict[str, int]]:
        """How many cut-outs there are of each kind in each part."""
        number = Counter((cutout.kind, cutout.part) for cutout in self.cutouts)
        return {kind: {part: number[kind, part] for part in PARTS} for kind in self.kinds}


def is_bank(folder: Path) -> bool:
    """Whether a folder holds a bank."""
    return (folder / RECORD).is_file()


def write_bank(
    folder: Path, cutouts: Sequence[Cutout], pixel_um: float, seed: int = 0, made: Mapping[str, Any] | None = None
) -> None:
    """Write a bank into a folder that exists; inside `core.files.whole_folder` it is whole or not there at all.

    Args:
        folder: gets `bank.json`, `cutouts.csv` and `cutouts/<kind>/<number>.png`, RGB with alpha.
        cutouts: sorted by kind and source as they are written.
        pixel_um: microns a pixel of all of them.
        seed: that they were divided with.
        made: what else is to be known of how they were made.

    Raises:
        CorpuscleError: a kind cannot name a folder.
    """
    ordered = sorted(cutouts, key=lambda one: (one.kind, one.source, one.box))
    rows: list[list[Any]] = []
    number: Counter[str] = Counter()
    for one in ordered:
        if "/" in one.kind or one.kind in ("", ".", ".."):
            raise CorpuscleError(
                f"kind '{one.kind}' cannot be a folder's name; rename it with --kind '{one.kind}=NAME'"
            )
        number[one.kind] += 1
        file = f"{FOLDER}/{one.kind}/{number[one.kind]:05d}.png"
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        _, content = cv2.imencode(".png", np.dstack([one.image_HWC[..., ::-1], one.alpha_HW]))
        (folder / file).write_bytes(content.tobytes())
        rows.append([file, one.kind, one.source, one.group, one.part, *one.box, f"{one.scale:.6g}", one.area])
    with (folder / LIST).open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, lineterminator="\n").writerows([COLUMNS, *rows])
    counts = Bank(pixel_um, tuple(ordered)).counts()
    write_json(
        folder / RECORD, {"format": FORMAT, "pixel_um": pixel_um, "seed": seed, "counts": counts, **(made or {})}
    )


def read_bank(folder: Path) -> Bank:
    """Read a bank.

    Raises:
        CorpuscleError: there is none, or it is damaged or of another format.
    """
    if not is_bank(folder):
        raise CorpuscleError(f"{folder} is no bank, {RECORD} was expected in it; make one with corpuscle cutouts")
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise CorpuscleError(f"{folder} is a bank of format {record['format']}, expected {FORMAT}; make it anew")
        with (folder / LIST).open(newline="", encoding="utf-8") as handle:
            cutouts = tuple(_read(folder, row) for row in csv.DictReader(handle))
        return Bank(float(record["pixel_um"]), cutouts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpuscleError(f"{folder} is a damaged bank ({type(error).__name__}: {error}); make it anew") from None


def _read(folder: Path, row: Mapping[str, str]) -> Cutout:
    content = np.frombuffer((folder / row["file"]).read_bytes(), np.uint8)
    pixels_HWC = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if len(content) else None
    if pixels_HWC is None or pixels_HWC.shape[2:] != (4,):
        raise ValueError(f"{row['file']} is no PNG of colours with alpha")
    left, top, width, height = (int(row[name]) for name in ("left", "top", "width", "height"))
    image_HWC, alpha_HW = np.ascontiguousarray(pixels_HWC[..., 2::-1]), np.ascontiguousarray(pixels_HWC[..., 3])
    box = left, top, width, height
    kind, source, part = row["kind"], row["source"], row["part"]
    return Cutout(image_HWC, alpha_HW, kind, source, part, row["group"] or None, box, float(row["scale"]))
