"""Where a classifier looks, for many images: pictures, boxes, an animation, and what must be known to believe them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from corpuscle.core.errors import CorpuscleError, Fault, nearest
from corpuscle.core.files import disk_errors, write_json
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.records import in_8_bits
from corpuscle.core.sampling import evenly
from corpuscle.core.settings import Settings, validated
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.readers.read import read_pixels
from corpuscle.engine import run_folder
from corpuscle.engine.explain.animation import MOST, frame, needs_ffmpeg, write_gif, write_mp4
from corpuscle.engine.explain.cam import Explainer, Looked
from corpuscle.engine.explain.localise import BESIDE, PLAIN, Found, localise_scores
from corpuscle.engine.explain.overlay import coloured, for_the_eye, laid_over, with_words, write_png
from corpuscle.engine.explain.pseudo_masks import PseudoMasks, check_folder
from corpuscle.engine.explain.randomised import MOST as MOST_CHECKED
from corpuscle.engine.explain.randomised import Check
from corpuscle.engine.predict import Predictor, unlike_names, write_table
from corpuscle.engine.rescore import own_table
from corpuscle.metrics.localisation import largest_box

if TYPE_CHECKING:
    from PIL import Image

TABLE, CHECK, LOCALISATION = "explained.csv", "check.json", "localisation.json"
SIDES = ("left", "top", "width", "height")
PREDICTED, KNOWN = "predicted", "known"
SCHEMA: dict[str, Any] = {
    "image": pl.String,
    "class": pl.String,
    "probability": pl.Float64,
    "prediction": pl.String,
    "confidence": pl.Float64,
    "left": pl.Int64,
    "top": pl.Int64,
    "width": pl.Int64,
    "height": pl.Int64,
    "fault": pl.String,
    "remedy": pl.String,
}


class ExplainPlan(Settings):
    """How images are explained."""

    method: Literal["cam", "gradcam"] = Field(
        "cam", description="cam: the weights of the class over the last maps; gradcam: their gradients, for any head"
    )
    of: str = Field(
        PREDICTED,
        description="the class whose map is made: a name, predicted, or known (the image's label where the run has it, "
        "else predicted)",
    )
    at: Literal["canvas", "native"] = Field(
        "canvas", description="what the net sees: the canvas that it was trained with, or images at their own size"
    )
    masks: str | None = Field(
        None, description="true masks of the run's held-out images: their folder, or beside (the images)"
    )
    threshold: float | None = Field(
        None, ge=0.0, lt=1.0, description="heat from which on a pixel belongs to the object; chosen by masks, else 0.2"
    )
    pseudo_masks: str | None = Field(None, description="folder for masks made of the maps, to train a net on")
    animation: Literal["gif", "mp4", "none"] = Field("gif", description="all images in one animation")


@dataclass(frozen=True)
class Explained:
    """What was written.

    Attributes:
        table: a row an image: its class, the box of the largest hot region, fault and remedy.
        check: the content of check.json, None where no image could be read.
        localisation: the content of localisation.json, None without masks.
        faults: masks that could not be used.
    """

    table: pl.DataFrame
    check: dict[str, Any] | None
    localisation: dict[str, Any] | None
    mask_faults: tuple[Fault, ...] = ()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The images that could not be read, each with its remedy."""
        bad = self.table.filter(pl.col("fault").is_not_null()).select("image", "fault", "remedy")
        return tuple(Fault(*row) for row in bad.rows())


def explain(
    predictor: Predictor,
    run: Path,
    images: Sequence[Path] | None,
    out: Path,
    plan: ExplainPlan = ExplainPlan(),  # noqa: B008 (frozen)
    progress: Progress = SILENT,
) -> Explained:
    """Explain images, and write pictures, a table, the check and, where masks are known, scores into a folder.

    Args:
        predictor: of the run.
        run: its folder, which knows the held-out images and the labels.
        images: what to explain; the run's own held-out images if None.
        out: the folder.
        plan: how.
        progress: shows how far it is.

    Raises:
        CorpuscleError: a run that cannot be explained in this way, masks that are not there, or no place to write.
    """
    explainer = Explainer(predictor.net, predictor.card, plan.method, plan.at)
    _check(plan, predictor.card.classes)
    own = own_table(run) if images is None or plan.masks else None
    if images is None:
        assert own is not None
        images = [own.path_of(image) for image in own.frame["image"]]
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    found: Found | None = None
    if plan.masks and own is not None:
        where: Path | Literal["beside"] = "beside" if plan.masks == BESIDE else Path(plan.masks)
        found = localise_scores(explainer, own, where, plan.pseudo_masks is not None, progress)
        write_json(out / LOCALISATION, found.scores)
    labels = _labels(run) if plan.of == KNOWN else {}
    writer = _Writer(predictor, explainer, out, plan, labels, found)
    names = unlike_names([str(path) for path in images])
    shown = set(evenly(len(images), MOST).tolist()) if plan.animation != "none" else set()
    checked = set(evenly(len(images), MOST_CHECKED).tolist())
    for place, path in enumerate(progress.track(images, "explaining", len(images))):
        writer.add(path, names[place], place in shown, place in checked)
    writer.close()
    if len(shown) < len(images) and plan.animation != "none":
        progress.say(f"note: the animation shows {MOST} of {len(images)} images")
    scores = None if found is None else found.scores
    return Explained(writer.table, writer.told, scores, () if found is None else found.faults)


@dataclass
class _Writer:
    """Explains one image after the other, and writes what comes of each."""

    predictor: Predictor
    explainer: Explainer
    out: Path
    plan: ExplainPlan
    labels: dict[str, str]
    found: Found | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    frames: list[Image.Image] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.read = validated(ReadPlan, self.predictor.card.read)
        self.classes = self.predictor.card.classes
        thresholds = None if self.found is None else self.found.thresholds
        box, mask = (PLAIN, PLAIN) if thresholds is None else (thresholds.box[1], thresholds.mask)
        self.threshold = box if self.plan.threshold is None else self.plan.threshold
        mask = mask if self.plan.threshold is None else self.plan.threshold
        refinement = (self.found.refinement if self.found else None) or "none"
        folder = self.plan.pseudo_masks
        self.pseudo = None if folder is None else PseudoMasks(Path(folder), self.classes, mask, refinement)
        self.check: Check | None = None
        self.told: dict[str, Any] | None = None

    @property
    def table(self) -> pl.DataFrame:
        return pl.DataFrame(self.rows, schema=SCHEMA)

    def add(self, path: Path, name: str, shown: bool, checked: bool) -> None:
        """Explain one image; what cannot be read or seen becomes a fault of its row."""
        row: dict[str, Any] = dict.fromkeys(SCHEMA) | {"image": str(path)}
        self.rows.append(row)
        try:
            image_HWC = read_pixels(path, self.read).array_HWC
            looked = self.explainer.look(image_HWC)
        except CorpuscleError as error:
            what, _, remedy = str(error).removeprefix(f"{path}: ").partition("; ")
            row |= {"fault": what, "remedy": remedy}
            return
        row |= self._said(path, looked)
        target = self.classes.index(row["class"])
        heat_HW = self.explainer.heat(looked, target)
        hot_HW = heat_HW >= self.threshold
        box = largest_box(hot_HW) if hot_HW.any() and heat_HW.any() else None
        row |= dict(zip(SIDES, box or (None,) * 4, strict=True))
        if self.pseudo is not None:
            self.pseudo.add(path, name, image_HWC, heat_HW, row["class"])
        if checked:
            self.check = self.check or Check(self.explainer)
            self.check.add(str(path), image_HWC, looked, target)
        self._draw(name, in_8_bits(image_HWC), heat_HW, row, shown)

    def close(self) -> None:
        """Write what stands for all images together."""
        write_table(self.table, self.out / TABLE)
        if self.check is not None:
            self.told = self.check.as_dict()
            write_json(self.out / CHECK, self.told)
        if self.pseudo is not None:
            self.pseudo.close()
        if self.frames:
            write = write_gif if self.plan.animation == "gif" else write_mp4
            write(self.out / f"animation.{self.plan.animation}", self.frames)

    def _said(self, path: Path, looked: Looked) -> dict[str, Any]:
        """What the net says of an image, and of the class whose map is made."""
        calibration = self.predictor.card.calibration
        told = self.predictor.task.columns(looked.said_K[None], self.classes, calibration).row(0, named=True)
        kind = {PREDICTED: told["prediction"], KNOWN: self.labels.get(str(path.resolve()), told["prediction"])}
        target = self.plan.of if self.plan.of in self.classes else kind[self.plan.of]
        said = {"prediction": told["prediction"], "confidence": told["confidence"]}
        return {"class": target, "probability": told[f"p_{target}"], **said}

    def _draw(self, name: str, image_HWC: np.ndarray, heat_HW: np.ndarray, row: dict[str, Any], shown: bool) -> None:
        small_HWC, small_HW = for_the_eye(image_HWC), for_the_eye(heat_HW.astype(np.float32))
        scale = small_HWC.shape[1] / image_HWC.shape[1]
        sides = None if row["left"] is None else tuple(round(row[side] * scale) for side in SIDES)
        over_HWC = laid_over(small_HWC, small_HW)
        words = f"{row['prediction']} {100 * row['confidence']:.0f} %"
        write_png(self.out / f"{name}_heat.png", coloured(small_HW))
        write_png(self.out / f"{name}_over.png", over_HWC)
        write_png(self.out / f"{name}_said.png", with_words(small_HWC, words, sides))
        if shown:
            whose = "" if row["class"] == row["prediction"] else f", map of {row['class']}"
            self.frames.append(frame(small_HWC, over_HWC, Path(row["image"]).name, words + whose))


def _labels(run: Path) -> dict[str, str]:
    """The label of every image that the run knows, by its full path."""
    root = Path(run_folder.read_json(run / run_folder.FINGERPRINT)["root"])
    samples = pl.read_csv(run / run_folder.SAMPLES, infer_schema=False).drop_nulls("label")
    return {str((root / image).resolve()): label for image, label in samples.select("image", "label").rows()}


def _check(plan: ExplainPlan, classes: Sequence[str]) -> None:
    """See that the choices fit the run, before any time is spent."""
    if plan.of not in (PREDICTED, KNOWN, *classes):
        raise CorpuscleError(
            f"--class expects a class of the run, {PREDICTED} or {KNOWN}, got '{plan.of}'. {nearest(plan.of, classes)}"
        )
    if plan.animation == "mp4":
        needs_ffmpeg()
    if plan.pseudo_masks is not None:
        check_folder(Path(plan.pseudo_masks))
