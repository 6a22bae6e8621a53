"""Which images to show, and their thumbnails as data URIs, so that the page stays one file."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image, ImageOps

from corpuscle.core.records import Pixels, in_8_bits
from corpuscle.core.seeds import generator_for

SIDE = 160  # pixels of a thumbnail's longer side
Read = Callable[[Path], Pixels]


@dataclass(frozen=True)
class Picture:
    """One scored image.

    Attributes:
        uri: the thumbnail as a data URI, None where the image cannot be read.
        confidence: probability of the prediction.
        true_probability: probability of the true class, None where it is not known.
        runner_up: the second most probable class.
    """

    image: str
    label: str | None
    prediction: str
    confidence: float
    true_probability: float | None
    runner_up: str
    runner_up_probability: float
    uri: str | None

    @property
    def right(self) -> bool:
        """Whether the prediction is the true class."""
        return self.label == self.prediction

    @property
    def file(self) -> str:
        """The image's file name without its folders."""
        return self.image.replace("\\", "/").rsplit("/", 1)[-1]


def balanced_sample(predictions: pl.DataFrame, limit: int, seed: int = 0) -> pl.DataFrame:
    """A random choice with as many images of each true class as can be had, in class order."""
    order = generator_for(seed, "report", "grid").permutation(len(predictions))
    return (
        predictions.with_columns(pl.Series("_draw", order))
        .with_columns(pl.col("_draw").rank("ordinal").over("label").alias("_round"))
        .sort("_round", "_draw")
        .head(limit)
        .sort("label", "_round", nulls_last=True)
        .drop("_draw", "_round")
    )


def worst(predictions: pl.DataFrame, limit: int) -> pl.DataFrame:
    """The wrong predictions the net was most sure of, surest first."""
    return predictions.filter(pl.col("label") != pl.col("prediction")).sort("confidence", descending=True).head(limit)


def most_doubtful(predictions: pl.DataFrame, classes: Sequence[str], limit: int) -> pl.DataFrame:
    """The predictions with the smallest gap between the two most probable classes, smallest first."""
    top_N2 = np.sort(_probs(predictions, classes), axis=1)[:, -2:]
    return (
        predictions.with_columns(pl.Series("_gap", np.diff(top_N2, axis=1)[:, 0])).sort("_gap").head(limit).drop("_gap")
    )


def pictures(predictions: pl.DataFrame, classes: Sequence[str], root: Path, read: Read) -> list[Picture]:
    """The rows as pictures with thumbnails, in their order."""
    probs_NK = _probs(predictions, classes)
    second_N = np.argsort(probs_NK, axis=1)[:, -2]
    return [
        Picture(
            image=row["image"],
            label=row["label"],
            prediction=row["prediction"],
            confidence=row["confidence"],
            true_probability=float(probs_K[classes.index(row["label"])]) if row["label"] in classes else None,
            runner_up=classes[second],
            runner_up_probability=float(probs_K[second]),
            uri=thumbnail(root / row["image"], read),
        )
        for row, probs_K, second in zip(predictions.iter_rows(named=True), probs_NK, second_N, strict=True)
    ]


def thumbnail(path: Path, read: Read) -> str | None:
    """A small JPEG as a data URI; None where the image cannot be read, for whatever reason."""
    array_HWC = eight_bits(path, read)
    return None if array_HWC is None else jpeg_uri(array_HWC, SIDE)


def eight_bits(path: Path, read: Read) -> np.ndarray | None:
    """The image as uint8; None where it cannot be read, for whatever reason."""
    try:
        array_HWC = read(path).array_HWC
    except Exception:  # a page about many images does not fail over one
        return None
    return in_8_bits(array_HWC)


def jpeg_uri(array_HWC: np.ndarray, side: int) -> str:
    """The image as a JPEG in a data URI, its longer side at most so many pixels."""
    image = Image.fromarray(array_HWC)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=82, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def read_with_pillow(path: Path) -> Pixels:
    """Decode an ordinary image, at a reduced size where JPEG allows it: enough for a thumbnail."""
    with Image.open(path) as image:
        if image.mode.startswith("I;16"):  # Pillow's own conversion to RGB clips at 255
            return Pixels(np.repeat(np.asarray(image, np.uint16)[..., None], 3, axis=2))
        image.draft("RGB", (2 * SIDE, 2 * SIDE))
        return Pixels(np.asarray(ImageOps.exif_transpose(image).convert("RGB")))


def _probs(predictions: pl.DataFrame, classes: Sequence[str]) -> np.ndarray:
    return predictions.select(f"p_{name}" for name in classes).to_numpy()
