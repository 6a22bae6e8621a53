"""From labels of images to masks: how well maps, boxes, refined maps and a net trained on these find white cells.

`wbc_masks` is divided 60/20/20 by kind, identical images together; its single basophil is left out. The default
recipe and the weak localiser learn the kind, each with average, maximum and log-sum-exp pooling; the localiser's rates
keep their course over the epochs asked for. Judged on the same test images are accuracy, paired with the default's,
and maps of the true class against masks (whole cell): PxAP, paired with average pooling (plain CAM) on the same
encoder, boxes and IoU, at thresholds chosen on the validation part. The net whose refined maps have the best Dice
there climbs on: its map above the threshold, its box, its refined map, a U-net trained on the refined maps of the
training images, and as upper end the same U-net trained on their true masks; their whole-cell scores are paired with
the upper end's. Beside them stands what needs no net: heat that falls off from the middle of the image, and the same
refinement of it. Intervals are drawn over images. What is finished in --out is not trained again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

sys.path.append(str(Path(__file__).parents[1]))
from real_runs import CELLS, test_score
from record import Record, run_arguments, run_options

from corpuscle import api
from corpuscle.core.progress import Progress
from corpuscle.core.records import Score
from corpuscle.core.settings import parse_assignment
from corpuscle.engine.differences import differences
from corpuscle.engine.explain.cam import Explainer
from corpuscle.engine.explain.explain import LOCALISATION
from corpuscle.engine.explain.refine import REFINEMENTS
from corpuscle.engine.predict import Predictor
from corpuscle.metrics.areas import Areas, AreaSums, areas_of
from corpuscle.metrics.bootstrap import resample
from corpuscle.metrics.classification import as_score
from corpuscle.metrics.localisation import Located, PixelCurve, choose_thresholds, largest_box, locate
from corpuscle.metrics.overlap import overlap_of
from corpuscle.metrics.segmentation import score_masks
from corpuscle.recipes.localise import RATES

DATA = "wbc_masks"
RARE = "basophil"
POOLS = ("avg", "max", "lse")
OWN_POOL = {"default": "avg", "localise": "max"}
ENCODER = {"default": "resnet18", "localise": "localiser"}
CELL = ("background", "white cell")
RECIPE_EPOCHS = 15  # of the recipe localise, that its rates are told by
UPPER = "net on true masks"


@dataclass(frozen=True)
class Way:
    """A classifier whose maps are looked at."""

    recipe: str
    pool: str

    @property
    def name(self) -> str:
        """What it is in the table."""
        return f"{ENCODER[self.recipe]}, {self.pool}" + (" (default)" if self == DEFAULT else "")

    @property
    def folder(self) -> str:
        """Where its run lies under --out."""
        return f"{ENCODER[self.recipe]}-{self.pool}"


DEFAULT = Way("default", "avg")
WAYS = {f"{ENCODER[recipe]}-{pool}": Way(recipe, pool) for recipe in ENCODER for pool in POOLS}


@dataclass(frozen=True)
class Maps:
    """What the maps of one net are worth.

    Attributes:
        way: the net.
        run: its folder.
        told: the content of localisation.json.
        located: each test image, in order.
        masks: what is said of each test image, by the rung.
    """

    way: Way
    run: Path
    told: dict[str, Any]
    located: list[Located]
    masks: dict[str, list[np.ndarray]]

    @property
    def refinement(self) -> str:
        """What makes the best masks of its maps on the validation part."""
        return str(self.told["masks_of_maps"]["refinement"])

    @property
    def held_out_dice(self) -> float:
        """The Dice of those."""
        return float(self.told["masks_of_maps"]["val_dice"][self.refinement])


def divide(options: argparse.Namespace) -> pl.DataFrame:
    """`image`, `label` and `split`, also written as the CSV that every classifier is trained on."""
    settings = {"data.label_names": CELLS, "split.rare": "train", "split.test": 0.2, "split.val": 0.2}
    out = options.out / "wbc.csv"
    api.split(options.folder / DATA, out, anew=True, settings=settings | {"seed": options.seed})
    frame = pl.read_csv(out, infer_schema=False).filter(pl.col("label") != RARE).select("image", "label", "split")
    frame.write_csv(out)
    return frame


def train_classifier(way: Way, options: argparse.Namespace) -> api.Run:
    """A net that says the kind of cell."""
    settings: dict[str, Any] = {"net.pool": way.pool, "prepare.size": options.size, "seed": options.seed}
    epochs = options.epochs if way.recipe == "default" else options.epochs_localiser
    if way.recipe == "localise":
        table = {1 + (epoch - 1) * epochs // RECIPE_EPOCHS: rate for epoch, rate in RATES}
        settings["stages"] = [{"epochs": epochs, "schedule": "table", "table": list(table.items())}]
    else:
        settings["epochs"] = [epochs]
    settings |= dict(parse_assignment(text) for text in options.set)
    return trained(options.out / "wbc.csv", way.recipe, options.out / way.folder, settings)


def trained(data: Path, recipe: str, out: Path, settings: dict[str, Any]) -> api.Run:
    """A run; a finished one is only read."""
    progress = Progress(shown=True)
    progress.say(f"== {out.name}: {out}")
    return api.train(data, recipe=recipe, out=out, settings=settings, progress=progress)


def look(way: Way, run: Path, frame: pl.DataFrame, options: argparse.Namespace) -> Maps:
    """Explain the training images with masks of their maps, and judge the maps of the test images."""
    pseudo, pictures = options.out / f"{way.folder}-masks", options.out / f"{way.folder}-explained"
    shutil.rmtree(pseudo, ignore_errors=True)
    images = frame.filter(pl.col("split") != "test")["image"].to_list()
    how = {"of": "known", "masks": "beside", "pseudo_masks": str(pseudo), "animation": "none"}
    api.explain(run, images, out=pictures, how=how, progress=Progress(shown=True))
    told = json.loads((pictures / LOCALISATION).read_text(encoding="utf-8"))
    refined = REFINEMENTS[told["masks_of_maps"]["refinement"]]
    mask_at, box_at = told["chosen"]["mask"], told["chosen"]["box"][1]
    predictor = Predictor.of(run)
    explainer = Explainer(predictor.net, predictor.card)
    located, masks = [], {"map": [], "box": [], "refined map": []}
    for image, label in frame.filter(pl.col("split") == "test").select("image", "label").rows():
        image_HWC = np.asarray(Image.open(image).convert("RGB"))
        heat_HW = explainer.heat(explainer.look(image_HWC), predictor.card.classes.index(label))
        located.append(locate(heat_HW, true_mask(image) > 0))
        masks["map"].append(heat_HW >= mask_at)
        masks["box"].append(boxed(heat_HW >= box_at))
        masks["refined map"].append(refined(image_HWC, heat_HW, mask_at))
    return Maps(way, run, told, located, masks)


def centred(frame: pl.DataFrame, refinement: str) -> dict[str, list[np.ndarray]]:
    """Masks without a net: the middle of each test image, as wide as is best on the validation part, and refined."""
    images = {part: frame.filter(pl.col("split") == part)["image"].to_list() for part in ("val", "test")}
    held = [true_mask(image) > 0 for image in images["val"]]
    least = choose_thresholds([locate(middle_heat(mask_HW.shape), mask_HW) for mask_HW in held]).mask
    masks: dict[str, list[np.ndarray]] = {"middle (no net)": [], "refined middle (no net)": []}
    for image in images["test"]:
        image_HWC = np.asarray(Image.open(image).convert("RGB"))
        heat_HW = middle_heat(image_HWC.shape)
        masks["middle (no net)"].append(heat_HW >= least)
        masks["refined middle (no net)"].append(REFINEMENTS[refinement](image_HWC, heat_HW, least))
    return masks


def middle_heat(shape: tuple[int, ...]) -> np.ndarray:
    """Heat from 1 in the middle of an image to 0 in its corners."""
    row_HW, column_HW = np.indices(shape[:2])
    away_HW = np.hypot(row_HW - (shape[0] - 1) / 2, column_HW - (shape[1] - 1) / 2)
    return 1 - away_HW / away_HW.max()


def true_mask(image: str) -> np.ndarray:
    """The mask beside an image."""
    return np.asarray(Image.open(Path(image).with_suffix(".png")))


def boxed(hot_HW: np.ndarray) -> np.ndarray:
    """All of the box of the largest hot region."""
    mask_HW = np.zeros_like(hot_HW)
    if hot_HW.any():
        left, top, width, height = largest_box(hot_HW)
        mask_HW[top : top + height, left : left + width] = True
    return mask_HW


def add_classifier(maps: Maps, run: api.Run, others: dict[Way, Maps], record: Record) -> None:
    """A row of a net: its accuracy and its maps; of each that is another's rival a row of the difference."""
    scores = {
        name: Score(**{key: float("nan") if value is None else value for key, value in one.items()})
        for name, one in maps.told["parts"]["test"]["scores"].items()
    }
    dices = maps.told["masks_of_maps"]
    record.add(
        what="classifier",
        name=maps.way.name,
        epochs=len(run.log),
        train_s=run.log["seconds"].sum(),
        n=len(maps.located),
        accuracy=test_score(run, "accuracy"),
        **{name: scores[name] for name in ("pxap", "box_accuracy", "box_accuracy_50", "mask_iou")},
        refinement=maps.refinement,
        val_dice=dices["val_dice"][maps.refinement],
    )
    if DEFAULT in others and maps.way != DEFAULT:
        pair = differences({"one": maps.run, "other": others[DEFAULT].run}, "test")
        score = next(one.score for one in pair if one.name == "accuracy")
        record.add(what="difference", name=f"{maps.way.name} less default", n=score.n, accuracy=score)
    plain = Way(maps.way.recipe, "avg")
    if plain in others and maps.way != plain:
        score = pxap_difference(maps.located, others[plain].located)
        record.add(what="difference", name=f"{maps.way.name} less {plain.pool} (plain CAM)", n=score.n, pxap=score)


def pxap_difference(a: list[Located], b: list[Located]) -> Score:
    """The PxAP of a less that of b, both meeting the same images drawn again."""
    pixels = [
        [np.stack([getattr(one, name) for one in part]).T.astype(float) for name in ("inside_T", "outside_T")]
        for part in (a, b)
    ]

    def statistic(weight_GB: np.ndarray) -> np.ndarray:
        one_B, other_B = (PixelCurve(*(x @ weight_GB for x in both)).average_precision_B for both in pixels)
        return (one_B - other_B)[None]

    return paired(statistic, len(a))


def dice_difference(a: Areas, b: Areas) -> Score:
    """The Dice of the whole cell, of a less that of b."""

    def statistic(weight_GB: np.ndarray) -> np.ndarray:
        one_B, other_B = (AreaSums(part, np.arange(len(part.true_NK)), weight_GB).dice_KB[1] for part in (a, b))
        return (one_B - other_B)[None]

    return paired(statistic, len(a.true_NK))


def paired(statistic: Any, num: int) -> Score:
    """A difference over images with its interval."""
    drawn = resample(statistic, num, seed=0, resamples=1000)
    return as_score(drawn.value_S[0], drawn.interval(0, num, (-np.inf, np.inf)), num, num, "max")


def write_truth(frame: pl.DataFrame, pseudo: Path, out: Path) -> None:
    """The training images with their true masks, laid out and named as the masks of maps are."""
    number_of = {name: int(value) for value, name in json.loads((pseudo / "legend.json").read_text()).items()}
    for kind in ("images", "masks"):
        (out / kind).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(pseudo / "legend.json", out / "legend.json")
    for image, label in frame.filter(pl.col("split") != "test").select("image", "label").rows():
        shutil.copyfile(image, out / "images" / Path(image).name)
        mask_HW = (true_mask(image) > 0).astype(np.uint8) * np.uint8(number_of[label])
        Image.fromarray(mask_HW).save(out / "masks" / f"{Path(image).stem}.png")


def train_net(data: Path, frame: pl.DataFrame, options: argparse.Namespace) -> api.Run:
    """A U-net of the masks in a folder: it learns from the training part."""
    names = [f"images/{Path(image).name}" for image in frame["image"]]
    kept = frame.with_columns(image=pl.Series(names)).filter(pl.col("split") != "test").select("image", "split")
    kept.write_csv(options.out / "masked.csv")
    settings: dict[str, Any] = {
        "data.split_file": str(options.out / "masked.csv"),
        "net.widths": options.widths,
        "epochs": [options.epochs_net],
        "seed": options.seed,
    }
    return trained(data, "segment", options.out / f"net-{data.name}", settings)


def said_by(run: Path, images: list[str], out: Path) -> list[np.ndarray]:
    """Where a net says a cell of any kind."""
    api.predict(run, images, masks=out, progress=Progress(shown=True))
    return [np.asarray(Image.open(out / "masks" / f"{Path(image).stem}.png")) > 0 for image in images]


def climb(best: Maps, frame: pl.DataFrame, options: argparse.Namespace, record: Record) -> None:
    """Each rung from the best net's map to the net trained on true masks."""
    pseudo, truth = options.out / f"{best.way.folder}-masks", options.out / "truth"
    write_truth(frame, pseudo, truth)
    images = frame.filter(pl.col("split") == "test")["image"].to_list()
    masks = centred(frame, best.refinement) | best.masks
    for words, data in (("net on refined maps", pseudo), (UPPER, truth)):
        run = train_net(data, frame, options)
        masks[words] = said_by(run.folder, images, run.folder / "said")
    overlaps = {
        words: [
            overlap_of((true_mask(image) > 0).astype(np.uint8), said_HW.astype(np.uint8), len(CELL))
            for image, said_HW in zip(images, said, strict=True)
        ]
        for words, said in masks.items()
    }
    upper = areas_of(overlaps[UPPER])
    for words, those in overlaps.items():
        found = score_masks(those, classes=CELL)
        less = {} if words == UPPER else {"dice_less_upper": dice_difference(areas_of(those), upper)}
        of = f" of {best.way.name}" if words in best.masks or "maps" in words else ""
        refinement = {"refinement": best.refinement} if "refined" in words else {}
        scores = {name: found.per_class[CELL[1]].scores[name] for name in ("dice", "iou", "boundary_f1")}
        record.add(what="rung", name=words + of, n=found.n, **refinement, **scores, **less)
    write_examples(options.out / "examples", images[: options.examples], masks)


def write_examples(out: Path, images: list[str], masks: dict[str, list[np.ndarray]]) -> None:
    """Image, truth, and what each rung says, side by side in this order."""
    out.mkdir(exist_ok=True)
    for place, image in enumerate(images):
        image_HWC = np.asarray(Image.open(image).convert("RGB"))
        said = [true_mask(image) > 0, *(those[place] for those in masks.values())]
        panels = [image_HWC, *(np.where(mask_HW[..., None], image_HWC, image_HWC // 4) for mask_HW in said)]
        panels = [np.pad(one, ((0, 0), (0, 4), (0, 0)), constant_values=255) for one in panels]
        Image.fromarray(np.hstack(panels)).save(out / f"{Path(image).stem}.png")


def measure(options: argparse.Namespace, record: Record) -> None:
    """Every net, then the rungs of the best."""
    frame = divide(options)
    found: dict[Way, Maps] = {}
    for way in (WAYS[word] for word in options.ways):
        run = train_classifier(way, options)
        found[way] = look(way, run.folder, frame, options)
        add_classifier(found[way], run, found, record)
    climb(max(found.values(), key=lambda maps: maps.held_out_dice), frame, options, record)


def main() -> None:
    """Train and report."""
    parser = run_arguments(__doc__)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="encoder and pooling")
    parser.add_argument("--size", type=int, default=112, help="side of the classifiers' canvas")
    parser.add_argument("--epochs", type=int, default=40, help="of the default recipe")
    parser.add_argument("--epochs-localiser", type=int, default=80, help="of the localiser, 15 in its recipe")
    parser.add_argument("--epochs-net", type=int, default=40, help="of the nets that say masks")
    parser.add_argument("--widths", nargs="+", type=int, default=[16, 32, 64, 128], help="of those")
    parser.add_argument("--examples", type=int, default=8, help="test images that are drawn")
    options = run_options(parser)
    if options.quick:
        options.ways, options.size, options.widths = ["resnet18-avg", "localiser-max"], 48, [8, 16]
        options.epochs = options.epochs_localiser = options.epochs_net = 1
    record = Record("quality_weak_to_strong", options)
    measure(options, record)
    record.close()


if __name__ == "__main__":
    main()
