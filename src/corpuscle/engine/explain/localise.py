"""How near the maps of a run come to true masks: thresholds from its validation part, scores of its test part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.settings import validated
from corpuscle.data.readers.image import IMAGE_SUFFIXES, ReadPlan
from corpuscle.data.readers.read import read_pixels
from corpuscle.data.table import Table
from corpuscle.engine.explain.cam import Explainer
from corpuscle.engine.explain.randomised import mean_with_interval, with_interval
from corpuscle.engine.explain.refine import REFINEMENTS, dice
from corpuscle.metrics.localisation import Located, Thresholds, choose_thresholds, locate, score_localisation

BESIDE = "beside"
SIDE = 512  # larger heat and masks are thinned for the scores: boxes are sought at a hundred thresholds
PLAIN = 0.2  # share of the most heat from which on a pixel belongs to the object, where no mask says (Zhou et al. 2016)


@dataclass(frozen=True)
class Found:
    """What the held-out images say of the maps.

    Attributes:
        thresholds: chosen on the validation part.
        scores: the content of localisation.json.
        faults: masks that cannot be used.
        refinement: what makes the best masks of maps on the validation part; None where it was not asked for.
    """

    thresholds: Thresholds
    scores: dict[str, Any]
    faults: tuple[Fault, ...]
    refinement: str | None = None


@dataclass
class _Walk:
    """One way through the images of a part whose masks are known."""

    explainer: Explainer
    table: Table
    mask_of: Mapping[str, Path]
    faults: list[Fault] = field(default_factory=list)

    def part(self, name: str, progress: Progress) -> Iterator[tuple[str | None, np.ndarray, np.ndarray, np.ndarray]]:
        """(group, image_HWC, heat_HW, mask_HW) of each image of a part; the heat is that of its true class."""
        read = validated(ReadPlan, self.explainer.card.read)
        labelled = self.table.part(name).frame.drop_nulls("label")
        rows = [row for row in labelled.iter_rows(named=True) if row["image"] in self.mask_of]
        for row in progress.track(rows, f"maps of {name}", len(rows)):
            image, mask = self.table.path_of(row["image"]), self.mask_of[row["image"]]
            try:
                image_HWC, mask_HW = read_pixels(image, read).array_HWC, foreground(mask, read)
            except CorpuscleError as error:
                where = image if str(error).startswith(f"{image}: ") else mask
                what, _, remedy = str(error).removeprefix(f"{where}: ").partition("; ")
                self.faults.append(Fault(str(where), what, remedy))
                continue
            if mask_HW.shape != image_HWC.shape[:2]:
                came, wanted = (" × ".join(map(str, array.shape[:2])) for array in (mask_HW, image_HWC))
                what = f"is {came} pixels, its image {wanted}"
                self.faults.append(Fault(str(mask), what, "save the mask at the size of the image"))
                continue
            looked = self.explainer.look(image_HWC)
            target = self.table.classes.index(row["label"])
            yield row["group"], image_HWC, self.explainer.heat(looked, target), mask_HW


def localise_scores(
    explainer: Explainer,
    table: Table,
    masks: Path | Literal["beside"],
    refine: bool = False,
    progress: Progress = SILENT,
) -> Found:
    """Choose thresholds on the validation part of a run's own held-out images, and judge its test part.

    Args:
        explainer: makes the maps.
        table: the run's held-out images, as `own_table` gives it.
        masks: the folder of the masks, or `beside` where each lies beside its image.
        refine: also choose what makes masks of the maps.
        progress: shows how far it is.

    Raises:
        CorpuscleError: no mask of the validation part is found or shows an object.
    """
    mask_of = find_masks(table, masks)
    walk = _Walk(explainer, table, mask_of)
    held = [(group, locate(*_thinned(heat_HW, mask_HW))) for group, _, heat_HW, mask_HW in walk.part("val", progress)]
    if not held:
        where = "beside the images" if masks == BESIDE else f"in {masks}"
        num = len(table.part("val"))
        raise CorpuscleError(
            f"--masks expects masks of the run's validation images, {where} there is none that fits one of the {num}; "
            "name the folder of the masks, or leave --masks out"
        )
    thresholds = choose_thresholds([one for _, one in held])
    refinement, dices = _best_refinement(walk, thresholds.mask, progress) if refine else (None, {})
    judged: list[tuple[str | None, Located]] = []
    test_dice: list[float] = []
    for group, image_HWC, heat_HW, mask_HW in walk.part("test", progress):
        judged.append((group, locate(*_thinned(heat_HW, mask_HW))))
        if refinement is not None:
            test_dice.append(dice(REFINEMENTS[refinement](image_HWC, heat_HW, thresholds.mask), mask_HW))
    scores: dict[str, Any] = {
        "method": explainer.method,
        "map": "of the true class of each image",
        "chosen": {"part": "val", "images": len(held), "box": list(thresholds.box), "mask": thresholds.mask},
        "parts": {"test": _scored(judged, thresholds)} if judged else {},
    }
    if refinement is not None:
        told = mean_with_interval(test_dice).as_dict() | {"direction": "max"}
        scores["masks_of_maps"] = {"refinement": refinement, "val_dice": dices, "test_dice": told}
    return Found(thresholds, scores, tuple(dict.fromkeys(walk.faults)), refinement)


def find_masks(table: Table, masks: Path | Literal["beside"]) -> dict[str, Path]:
    """The mask of each image that has one: a PNG or another image of the image's own name, with or without `_mask`."""
    found = {}
    for image in table.frame["image"]:
        path = table.path_of(image)
        folders = [path.parent] if masks == BESIDE else [Path(masks) / Path(image).parent, Path(masks)]
        names = [
            f"{path.stem}{ending}{suffix}" for ending in ("", "_mask") for suffix in (".png", *sorted(IMAGE_SUFFIXES))
        ]
        places = (folder / name for folder in folders for name in names)
        there = next((place for place in places if place.is_file() and place.resolve() != path.resolve()), None)
        if there is not None:
            found[image] = there
    return found


def foreground(path: Path, read: ReadPlan) -> np.ndarray:
    """mask_HW of a file: whatever is not black."""
    mask_HW: np.ndarray = read_pixels(path, read).array_HWC.max(axis=2) > 0
    return mask_HW


def summary(found: Mapping[str, Any]) -> str:
    """The scores of localisation.json in one line."""
    chosen = found["chosen"]
    thresholds = f"thresholds {chosen['box'][1]:.2f} of boxes and {chosen['mask']:.2f} of masks"
    if "test" not in found["parts"]:
        return f"{thresholds}, chosen on {chosen['images']} validation images; there are no test images with masks"
    part = found["parts"]["test"]
    told = [
        f"{title} {with_interval(part['scores'][name])}"
        for name, title in (("pxap", "PxAP"), ("box_accuracy_50", "boxes right at IoU 0.5"), ("mask_iou", "IoU"))
    ]
    scores = f"against masks of {part['n']} test images: {', '.join(told)}"
    return f"{scores}; {thresholds}, chosen on {chosen['images']} others"


def _thinned(heat_HW: np.ndarray, mask_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    step = -(-max(mask_HW.shape) // SIDE)
    return heat_HW[::step, ::step], mask_HW[::step, ::step]


def _scored(judged: list[tuple[str | None, Located]], thresholds: Thresholds) -> dict[str, Any]:
    return score_localisation([one for _, one in judged], thresholds, [group for group, _ in judged]).as_dict()


def _best_refinement(walk: _Walk, threshold: float, progress: Progress) -> tuple[str, dict[str, float]]:
    """The refinement whose masks have the best mean Dice, the plainest of equal ones."""
    values: dict[str, list[float]] = {name: [] for name in REFINEMENTS}
    for _, image_HWC, heat_HW, mask_HW in walk.part("val", progress):
        for name, refined in REFINEMENTS.items():
            values[name].append(dice(refined(image_HWC, heat_HW, threshold), mask_HW))
    means = {name: float(np.nanmean(dices)) for name, dices in values.items()}
    return max(means, key=lambda name: means[name]), means
