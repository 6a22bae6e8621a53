"""Composed scenes in the place of images on disk: a table of scenes that do not exist before they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpuscle.core.legend import SMEAR
from corpuscle.core.sampling import evenly
from corpuscle.data.table import COLUMNS, Table
from corpuscle.synth.bank import PARTS, read_bank
from corpuscle.synth.compose import Composer
from corpuscle.synth.plan_compose import ComposePlan
from corpuscle.synth.scene import Scene
from corpuscle.synth.sprites import Kept

LOOKED_AT = 64  # scenes of a part in which the pixels of each class are counted
KEPT_BYTES = 32 << 20  # of scenes a process keeps: picture and mask of one are asked for apart


@dataclass
class Stream:
    """Scenes by their place in the table; each process composes its own.

    Args:
        composer: of scenes.
        numbers: scenes of each part, in the order of `PARTS`.
    """

    composer: Composer
    numbers: Sequence[int]
    kept: Kept[Scene] = field(default_factory=lambda: Kept(KEPT_BYTES))

    def __getitem__(self, place: int) -> Scene:
        """The scene of a place."""
        return self.kept.get(int(place), lambda: self._composed(int(place)))

    def _composed(self, place: int) -> tuple[Scene, int]:
        """The scene of a place, and its bytes."""
        index, part = place, 0
        while index >= self.numbers[part]:
            index, part = index - self.numbers[part], part + 1
        scene = self.composer.scene(PARTS[part], index)
        return scene, scene.image_HWC.nbytes + scene.mask_HW.nbytes + scene.instance_HW.nbytes


@dataclass(frozen=True)
class ScenePictures:
    """The pixels of scenes, as canvases."""

    stream: Stream

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    def __getitem__(self, place: int) -> np.ndarray:
        return self.stream[int(place)].image_HWC


@dataclass(frozen=True)
class SceneMasks:
    """The masks of scenes."""

    stream: Stream

    def __getitem__(self, place: int) -> np.ndarray:
        return self.stream[int(place)].mask_HW


@dataclass(frozen=True)
class SceneSet:
    """Scenes as a data set.

    Attributes:
        table: a row a scene, divided as the cut-outs are.
        seen: what a survey of them would find.
        canvases, masks: by place.
    """

    table: Table
    seen: pl.DataFrame
    canvases: ScenePictures
    masks: SceneMasks


def scenes_of(path: Path, plan: ComposePlan, seed: int) -> SceneSet:
    """The scenes that a bank of cut-outs makes.

    Args:
        path: of the bank.
        plan: how they are composed, and how many of each part there are.
        seed: of all that is drawn.

    Raises:
        CorpuscleError: a damaged bank.
        DataFault: kinds that a part lacks, cut-outs that do not fit.
    """
    composer = Composer(read_bank(path).cutouts, plan, seed)
    composer.check([part for part, number in zip(PARTS, plan.scenes, strict=True) if number])
    stream = Stream(composer, plan.scenes)
    names, parts = [], []
    for part, number in zip(PARTS, plan.scenes, strict=True):
        names += [f"{part}/{index:06d}" for index in range(number)]
        parts += [part] * number
    frame = pl.DataFrame({"image": names, "split": parts, "mask": names})
    frame = frame.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in COLUMNS.items() if name not in frame)
    frame = frame.with_columns(pixels=_pixels(stream, len(names)))
    seen = frame.select(
        content=f"seed {seed}, " + pl.col("image"),
        height=pl.lit(plan.size, pl.Int64),
        width=pl.lit(plan.size, pl.Int64),
        mode=pl.lit("RGB, 8 bits"),
        fault=pl.lit(None, pl.String),
        remedy=pl.lit(None, pl.String),
        pixels="pixels",
    )
    notes = (
        f"scene n of a part is a function of the bank, the plan and the seed {seed}; none is on disk",
        f"what they hold was counted in {LOOKED_AT} scenes of each part",
    )
    rows = frame.select(*COLUMNS, "mask", "pixels")
    table = Table(rows, path, SMEAR.classes, "scenes composed of cut-outs", notes, legend=SMEAR)
    return SceneSet(table, seen, ScenePictures(stream), SceneMasks(stream))


def _pixels(stream: Stream, number: int) -> pl.Series:
    """Pixels of each class, of some scenes that are spread over each part; null of the others."""
    known: list[list[int] | None] = [None] * number
    start = 0
    for count in stream.numbers:
        for place in (start + evenly(count, LOOKED_AT)).tolist():
            known[place] = np.bincount(stream[place].mask_HW.ravel(), minlength=len(SMEAR.classes)).tolist()
        start += count
    return pl.Series("pixels", known, pl.List(pl.Int64))
