"""What the report of a net that learned from images alone draws and shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from corpuscle.report import figures
from corpuscle.report.part import in_words
from corpuscle.report.pictures import Read, jpeg_uri
from corpuscle.report.run_data import RunData

SIDE = 224  # pixels of a picture's longer side
CURVES = {"reconstruct": ("ssim", "SSIM, 1 is equal"), "contrast": ("retrieval", "share of views that are found")}


@dataclass(frozen=True)
class Remade:
    """An image as the net saw it and as it made it again, as data URIs."""

    image: str
    ssim: float
    seen: str
    made: str

    @property
    def file(self) -> str:
        """The image's file name without its folders."""
        return self.image.rsplit("/", 1)[-1]


def draw(run: RunData) -> dict[str, Figure]:
    """Every figure that the run's numbers allow, by file name."""
    if run.log is None or run.task not in CURVES:
        return {}
    drawn = {"loss": figures.loss_curves(run.log)}
    column, label = CURVES[run.task]
    if {f"train_{column}", f"val_{column}"} & set(run.log.columns):
        drawn[column] = figures.score_curves(run.log, {column: ""}, label, share=column == "retrieval")
    return drawn


def content(run: RunData, read: Read) -> dict[str, Any]:
    """What the template needs besides the run and its figures; the pictures lie in the run, so nothing is read."""
    counts: dict[str, int] = next(iter(run.fingerprint.get("classes", {}).values()), {})
    there = {split for split, number in counts.items() if number}
    return {"numbers": {word: counts[split] for split, word in in_words(there).items()}, "remade": _remade(run)}


def _remade(run: RunData) -> list[Remade]:
    """The images that are kept with what the net made of them; those whose files are gone are left out."""
    found = []
    for item in run.examples.get("items", ()):
        paths = [run.folder / "examples" / str(item.get(name)) for name in ("picture", "said")]
        if all(path.is_file() for path in paths):
            seen, made = (jpeg_uri(np.asarray(Image.open(path).convert("RGB")), SIDE) for path in paths)
            found.append(Remade(str(item["image"]), float(item["ssim"]), seen, made))
    return found
