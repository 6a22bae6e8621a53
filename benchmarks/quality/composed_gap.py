"""What a net trained on composed smears loses on real ones, a class each, and what training on both gives back.

Images of `wbc_masks` and `bccd` are divided, identical ones together; cut-outs of their test parts are left out of the
bank. Five nets of one shape: on composed scenes; on the same without variation of stain, light and grain (the
augmentation of training stays); on scenes without any cut-out of `wbc_masks`; on the real masks of `wbc_masks` with
the kind of its label; on scenes and real masks together, where what no mask names and is not pale is not learned, for
it may be a red cell. All images are brought to the bank's pixel first. Whole white cells and their kinds are judged by
masks, where red cells and platelets that are said count as background; cells in `bccd` by the boxes of islands of the
mask, matched to the true boxes from an IoU of 0.5 on, and red cells that touch are one island. Intervals are drawn over
images. What is finished in --out is not trained again; --out/examples shows image, truth, and what each net says.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import polars as pl
from PIL import Image
from scipy.optimize import linear_sum_assignment

sys.path.append(str(Path(__file__).parents[1]))
from real_runs import CELLS
from record import Record, run_arguments, run_options

from corpuscle import api
from corpuscle.core.legend import IGNORED, SMEAR
from corpuscle.core.progress import Progress
from corpuscle.core.records import Score
from corpuscle.core.settings import parse_assignment
from corpuscle.engine.compose import composer_for, write_scenes
from corpuscle.metrics.areas import Areas, AreaSums, areas_of
from corpuscle.metrics.bootstrap import resample
from corpuscle.metrics.classification import as_score
from corpuscle.metrics.overlap import Overlap, overlap_of
from corpuscle.metrics.segmentation import score_masks
from corpuscle.synth.bank import LIST, RECORD
from corpuscle.synth.plan_compose import WHITE_KINDS, ComposePlan
from corpuscle.tasks.regions import regions_of

MASKED, BOXED = "wbc_masks", "bccd"
NUMBER = {kind: number for number, kind in enumerate(SMEAR.classes)}
KINDS = SMEAR.classes[: 1 + len(WHITE_KINDS)]
BOXES = {"RBC": SMEAR.classes[8:], "WBC": WHITE_KINDS, "Platelets": SMEAR.classes[6:8]}
DIVIDED: dict[str, dict[str, Any]] = {
    MASKED: {"data.label_names": CELLS, "split.rare": "train", "split.test": 0.2, "split.val": 0.1},
    BOXED: {"data.odd_boxes": "skip", "split.test": 0.2, "split.val": 0.1},
}
NO_VARIATION = {"compose.stain": 0, "compose.illumination": 0, "compose.grain": 0}
HEALTHY_ONLY = ("healthy",)  # makeups: no bank at hand has an infected cell
MATCH = 0.5
SMALLEST = 20  # pixels of an island: at the bank's pixel a platelet has 100


@dataclass(frozen=True)
class Way:
    """What a net is trained on.

    Attributes:
        recipe: of the training.
        folder: under --out.
        epochs: name of the option that tells them.
        settings: beside those of the recipe.
    """

    recipe: str
    folder: str
    epochs: str
    settings: dict[str, Any] = field(default_factory=dict)


REAL_SIDE = {"augment.crop": 112, "fit.batch_size": 8, "score.views": 1}
WAYS = {
    "composed": Way("smear", "bank", "epochs"),
    "composed, no variation": Way("smear", "bank", "epochs", NO_VARIATION),
    "composed, no wbc_masks": Way("smear", "foreign", "epochs"),
    "real": Way("segment", "real", "epochs_real", REAL_SIDE),
    "both": Way("segment", "both", "epochs_both", {"augment.crop": 224, "fit.batch_size": 16, "score.views": 1}),
}
DIFFERENCES = (
    ("real", "composed"),
    ("composed", "composed, no variation"),
    ("composed", "composed, no wbc_masks"),
    ("both", "real"),
)


def divide(name: str, options: argparse.Namespace) -> pl.DataFrame:
    """`image`, `label` and `split` of a data set, by content and seed."""
    out = options.out / f"{name}.csv"
    settings = DIVIDED[name] | {"seed": options.seed}
    return api.split(options.folder / name, out, anew=True, settings=settings).frame.select("image", "label", "split")


def write_banks(options: argparse.Namespace, division: dict[str, pl.DataFrame]) -> dict[str, float]:
    """The bank without cut-outs of test images, and one without those of the masks; the scale of each data set."""
    rows = list(csv.DictReader((options.bank / LIST).open(newline="", encoding="utf-8")))
    kept = {f"{name}/{image}" for name, frame in division.items() for image, _, part in frame.rows() if part != "test"}
    sound = [row for row in rows if row["source"].split("/")[0] not in division or row["source"] in kept]
    foreign = [row for row in sound if not row["source"].startswith(f"{MASKED}/")]
    record = json.loads((options.bank / RECORD).read_text(encoding="utf-8"))
    for folder, those in {"bank": sound, "foreign": foreign}.items():
        place = options.out / folder
        if not place.is_dir():
            place.mkdir()
            (place / "cutouts").symlink_to((options.bank / "cutouts").resolve())
        with (place / LIST).open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, rows[0])
            writer.writeheader()
            writer.writerows(those)
        (place / RECORD).write_text(json.dumps({key: record[key] for key in ("format", "pixel_um", "seed")}))
    scales = {name: [float(row["scale"]) for row in rows if row["source"].startswith(f"{name}/")] for name in division}
    if lacking := [name for name, found in scales.items() if not found]:
        raise SystemExit(
            f"expected cut-outs of {', '.join(division)} in {options.bank}, there are none of {lacking[0]}"
        )
    print(f"cut-outs: {len(sound)} of {len(rows)} are of no test image, {len(foreign)} of them of other sets")
    return {name: float(np.median(found)) for name, found in scales.items()}


def scaled(image_HWC: np.ndarray, scale: float) -> np.ndarray:
    """An image, or what is inside of a mask, at the bank's pixel, as cut-outs are brought to it."""
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image_HWC, None, fx=scale, fy=scale, interpolation=how)


def inside_of(mask: Image.Image, scale: float) -> np.ndarray:
    """Which pixels of the bank lie for the most part in a cell; OpenCV's nearest neighbour would shift them."""
    inside_HW: np.ndarray = scaled((np.asarray(mask) > 0).astype(np.float32), scale) > 0.5
    return inside_HW


def write_real(options: argparse.Namespace, frame: pl.DataFrame, scale: float) -> None:
    """Real images with their masks, alone and among composed scenes, all at the bank's pixel."""
    known = [kind for kind in KINDS[1:] if kind in set(frame["label"])]
    legend = {str(NUMBER[name]): name for name in (SMEAR.classes[0], *known)}
    bank, plan = options.out / "bank", ComposePlan(scenes=options.scenes, makeups=HEALTHY_ONLY)
    write_scenes(options.out / "both", composer_for(bank, plan, options.seed), workers=1, progress=Progress(shown=True))
    (options.out / "real").mkdir(exist_ok=True)
    (options.out / "real" / "legend.json").write_text(json.dumps(legend))
    legend = {str(number): name for name, number in NUMBER.items()} | {str(IGNORED): "ignore"}
    (options.out / "both" / "legend.json").write_text(json.dumps(legend))
    for image, label, part in frame.rows():
        source = options.folder / MASKED / image
        image_HWC = scaled(np.asarray(Image.open(source).convert("RGB")), scale)
        inside_HW = inside_of(Image.open(source.with_suffix(".png")), scale)
        mask_HW = inside_HW.astype(np.uint8) * np.uint8(NUMBER[label])
        save(options.out / "real" / part, source.stem, image_HWC, mask_HW)
        if part == "test":
            continue
        for view in range(options.views if part == "train" else 1):
            turned = [
                turn(array, view) for array in (image_HWC, np.where(pale(image_HWC, inside_HW), mask_HW, IGNORED))
            ]
            save(options.out / "both" / part, f"real_{source.stem}_{view}", *turned)


def pale(image_HWC: np.ndarray, inside_HW: np.ndarray) -> np.ndarray:
    """Where a mask can be believed among scenes: in the cell, and outside of it where the green is light (plasma)."""
    green_HW = image_HWC[..., 1]
    level, _ = cv2.threshold(green_HW[~inside_HW][None], 0, 255, cv2.THRESH_OTSU)
    return inside_HW | (green_HW > level)


def turn(array: np.ndarray, view: int) -> np.ndarray:
    """One of the eight quarter turns and mirrorings."""
    turned = np.rot90(array, view % 4)
    return np.ascontiguousarray(turned[:, ::-1] if view > 3 else turned)


def save(folder: Path, name: str, image_HWC: np.ndarray, mask_HW: np.ndarray) -> None:
    """One image and its mask, in folders of these names."""
    for kind, array in (("images", image_HWC), ("masks", mask_HW.astype(np.uint8))):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / kind / f"{name}.png")


def write_smears(
    options: argparse.Namespace, frame: pl.DataFrame, scale: float
) -> dict[str, list[tuple[str, np.ndarray]]]:
    """The test smears at the bank's pixel; the kind and the box (left, top, right, bottom) of every object in each."""
    folder = options.out / "smears"
    folder.mkdir(exist_ok=True)
    boxes = {}
    for image in frame.filter(pl.col("split") == "test")["image"]:
        source = options.folder / BOXED / image
        smear_HWC = scaled(np.asarray(Image.open(source).convert("RGB")), scale)
        Image.fromarray(smear_HWC).save(folder / f"{source.stem}.png")
        root = ElementTree.parse(options.folder / BOXED / "Annotations" / f"{source.stem}.xml").getroot()
        found = [
            (
                str(one.findtext("name")),
                scale * np.array([float(one.findtext(f"bndbox/{side}", "nan")) for side in SIDES]),
            )
            for one in root.iter("object")
        ]
        boxes[source.stem] = [(kind, box) for kind, box in found if (box[2:] > box[:2]).all()]
    return boxes


SIDES = ("xmin", "ymin", "xmax", "ymax")


def settings_of(way: Way, options: argparse.Namespace) -> dict[str, Any]:
    """The settings of a training: its own, then what the options say."""
    own = {"net.widths": options.widths, "fit.keep": "last", "seed": options.seed, **way.settings}
    own |= {"stages": [{"epochs": getattr(options, way.epochs), "learning_rate": options.rate, "warm_up": 0.2}]}
    if way.recipe == "smear":
        own |= {"compose.scenes": options.scenes, "compose.makeups": HEALTHY_ONLY}
    return own | dict(parse_assignment(text) for text in options.set)


def said_masks(run: Path, images: Path, out: Path) -> dict[str, np.ndarray]:
    """What a net says of each image of a folder, in the numbers of the smear's legend."""
    api.predict(run, images, masks=out, progress=Progress(shown=True))
    classes = json.loads((out / "legend.json").read_text(encoding="utf-8"))["classes"]
    number_K = np.array([NUMBER[name] for name in classes], np.uint8)
    return {path.stem: number_K[np.asarray(Image.open(path))] for path in sorted((out / "masks").iterdir())}


def add_masks(
    way: str, said: dict[str, np.ndarray], true: dict[str, np.ndarray], told: dict[str, Any], record: Record
) -> dict[str, Areas]:
    """A row of the whole cell and one of each kind; the areas, for differences."""
    whole: list[Overlap] = []
    kinds: list[Overlap] = []
    for name, true_HW in true.items():
        white_HW = np.where(said[name] < len(KINDS), said[name], 0).astype(np.uint8)
        kinds.append(overlap_of(true_HW, white_HW, len(KINDS)))
        whole.append(overlap_of((true_HW > 0).astype(np.uint8), (white_HW > 0).astype(np.uint8), 2))
    scored = {"white cell": score_masks(whole, classes=("background", "white cell")).per_class["white cell"]}
    scored |= {name: one for name, one in score_masks(kinds, classes=KINDS).per_class.items() if name in KINDS[1:]}
    for kind, one in scored.items():
        if one.images:
            record.add(data=MASKED, net=way, kind=kind, **told, images=one.images, **one.scores)
    return {"whole": areas_of(whole), "kinds": areas_of(kinds)}


def add_losses(areas: dict[str, dict[str, Areas]], record: Record) -> None:
    """The Dice of one net less that of another, paired by image: of whole cells and of each kind."""
    for one, other in DIFFERENCES:
        if not {one, other} <= areas.keys():
            continue
        for judged, names in (("whole", ("background", "white cell")), ("kinds", KINDS)):
            a, b = areas[one][judged], areas[other][judged]
            images_K = (a.true_NK > 0).sum(axis=0)

            def statistic(weight_GB: np.ndarray, both: Sequence[Areas] = (a, b)) -> np.ndarray:
                dice_a_KB, dice_b_KB = (AreaSums(x, np.arange(len(x.true_NK)), weight_GB).dice_KB for x in both)
                return dice_a_KB - dice_b_KB

            drawn = resample(statistic, len(a.true_NK), seed=0, resamples=1000)
            for k in np.flatnonzero(images_K[1:]) + 1:
                num = int(images_K[k])
                score = as_score(drawn.value_S[k], drawn.interval(k, num, (-np.inf, np.inf)), num, num, "max")
                record.add(data=MASKED, net=f"{one} less {other}", kind=names[k], images=num, dice=score)


@dataclass(frozen=True)
class Matched:
    """Objects of one kind in one smear: true, said, and said where a true one is."""

    true: int
    said: int
    right: int


def islands(mask_HW: np.ndarray) -> dict[str, np.ndarray]:
    """box_M4 (left, top, right, bottom) of the islands of each kind of box."""
    number_K = np.zeros(len(NUMBER), np.uint8)
    for place, kinds in enumerate(BOXES.values(), 1):
        number_K[[NUMBER[kind] for kind in kinds]] = place
    found = regions_of(number_K[mask_HW], 1 + len(BOXES), SMALLEST)
    box_M4 = np.hstack([found.box_M4[:, :2], found.box_M4[:, :2] + found.box_M4[:, 2:]])
    return {kind: box_M4[found.kind_M == place] for place, kind in enumerate(BOXES, 1)}


def matched(said_M4: np.ndarray, true_M4: np.ndarray) -> Matched:
    """Most pairs of boxes whose IoU is enough, each box in one pair."""
    low_NM2 = np.maximum(said_M4[:, None, :2], true_M4[None, :, :2])
    high_NM2 = np.minimum(said_M4[:, None, 2:], true_M4[None, :, 2:])
    shared_NM = np.clip(high_NM2 - low_NM2, 0, None).prod(axis=2)
    area_N, area_M = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (said_M4, true_M4))
    enough_NM = shared_NM >= MATCH * (area_N[:, None] + area_M - shared_NM)
    pairs = linear_sum_assignment(enough_NM, maximize=True)
    return Matched(len(true_M4), len(said_M4), int(enough_NM[pairs].sum()))


def box_scores(found: Sequence[Matched]) -> dict[str, Score]:
    """Precision, recall, F1 and mean absolute error of the count, drawn over smears."""
    true_N, said_N, right_N = (
        np.array([getattr(one, name) for one in found], float) for name in ("true", "said", "right")
    )

    def statistic(weight_GB: np.ndarray) -> np.ndarray:
        true_B, said_B, right_B, off_B = (x @ weight_GB for x in (true_N, said_N, right_N, abs(said_N - true_N)))
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = [right_B / said_B, right_B / true_B, 2 * right_B / (said_B + true_B)]
        return np.vstack([*shares, off_B / weight_GB.sum(axis=0)])

    num = len(found)
    drawn = resample(statistic, num, seed=0, resamples=1000)
    share, count = (0.0, 1.0), (0.0, np.inf)
    told = (("box_precision", share), ("box_recall", share), ("box_f1", share), ("count_mae", count))
    return {
        name: as_score(
            drawn.value_S[k], drawn.interval(k, num, ends), num, num, "min" if name == "count_mae" else "max"
        )
        for k, (name, ends) in enumerate(told)
    }


def add_boxes(
    way: str,
    said: dict[str, np.ndarray],
    boxes: dict[str, list[tuple[str, np.ndarray]]],
    knows: Sequence[str],
    record: Record,
) -> None:
    """A row of each kind of box that the net can say."""
    islands_of = {name: islands(mask_HW) for name, mask_HW in said.items()}
    for kind, classes in BOXES.items():
        if set(classes) & set(knows):
            true = {
                name: np.array([box for k, box in found if k == kind]).reshape(-1, 4) for name, found in boxes.items()
            }
            pairs = [matched(islands_of[name][kind], true[name]) for name in boxes]
            sums = {word: sum(getattr(pair, word) for pair in pairs) for word in ("true", "said", "right")}
            record.add(data=BOXED, net=way, kind=kind, images=len(pairs), **sums, **box_scores(pairs))


def coloured(mask_HW: np.ndarray) -> np.ndarray:
    """A mask in the colours of its classes."""
    return np.array(SMEAR.colours, np.uint8)[mask_HW]


def drawn_boxes(image_HWC: np.ndarray, boxes: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """An image with its true boxes, each in the colour of the last class of its kind."""
    drawn = image_HWC.copy()
    for kind, box in boxes:
        left, top, right, bottom = box.round().astype(int).tolist()
        cv2.rectangle(drawn, (left, top), (right, bottom), SMEAR.colours[NUMBER[BOXES[kind][-1]]], 1)
    return drawn


def write_example(out: Path, panels: dict[str, np.ndarray]) -> None:
    """Panels side by side, three times as large, each under its name."""
    large = []
    for words, panel_HWC in panels.items():
        panel_HWC = cv2.resize(panel_HWC, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
        strip = np.full((24, panel_HWC.shape[1], 3), 255, np.uint8)
        cv2.putText(strip, words, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        large.append(np.pad(np.vstack([strip, panel_HWC]), ((0, 0), (0, 6), (0, 0)), constant_values=255))
    out.parent.mkdir(exist_ok=True)
    Image.fromarray(np.hstack(large)).save(out)


def measure(options: argparse.Namespace, record: Record) -> None:
    """Divide, compose, train every way, judge and draw."""
    division = {name: divide(name, options) for name in DIVIDED}
    scales = write_banks(options, division)
    if options.quick:
        division = {name: frame.filter(pl.int_range(pl.len()).over("split") < 12) for name, frame in division.items()}
    write_real(options, division[MASKED], scales[MASKED])
    boxes = write_smears(options, division[BOXED], scales[BOXED])
    places = {MASKED: options.out / "real" / "test" / "images", BOXED: options.out / "smears"}
    true = {path.stem: np.asarray(Image.open(path)) for path in sorted((places[MASKED].parent / "masks").iterdir())}
    areas, said = dict[str, dict[str, Areas]](), dict[str, dict[str, dict[str, np.ndarray]]]()
    for words in options.ways:
        way, place = WAYS[words], options.out / "runs" / words.replace(", ", "-").replace(" ", "-")
        progress = Progress(shown=True)
        progress.say(f"== {words}: {place}")
        settings = settings_of(way, options)
        run = api.train(options.out / way.folder, recipe=way.recipe, out=place, settings=settings, progress=progress)
        said[words] = {name: said_masks(place, images, place / "said" / name) for name, images in places.items()}
        told = {"epochs": len(run.log), "train_s": run.log["seconds"].sum()}
        areas[words] = add_masks(words, said[words][MASKED], true, told, record)
        add_boxes(words, said[words][BOXED], boxes, run.metrics["classes"], record)
    add_losses(areas, record)
    truth: dict[str, Callable[[str, np.ndarray], np.ndarray]] = {
        MASKED: lambda name, _: coloured(true[name]),
        BOXED: lambda name, image_HWC: drawn_boxes(image_HWC, boxes[name]),
    }
    for data, names in ((MASKED, true), (BOXED, boxes)):
        for name in itertools.islice(names, options.examples):
            image_HWC = np.asarray(Image.open(places[data] / f"{name}.png"))
            panels = {"image": image_HWC, "true": truth[data](name, image_HWC)}
            panels |= {words: coloured(found[data][name]) for words, found in said.items()}
            write_example(options.out / "examples" / f"{data}_{name}.png", panels)


def main() -> None:
    """Train and report."""
    parser = run_arguments(__doc__)
    parser.add_argument("--bank", type=Path, required=True, help="cut-outs of pbc, wbc_masks and bccd")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="what nets are trained on")
    parser.add_argument("--scenes", nargs=3, type=int, default=[3000, 200, 100], help="of train, val and test")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the scenes")
    parser.add_argument("--epochs-real", type=int, default=60, help="passes over the real masks alone")
    parser.add_argument("--epochs-both", type=int, default=2, help="passes over scenes and real masks together")
    parser.add_argument("--views", type=int, default=8, help="turns and mirrorings of a real mask among the scenes")
    parser.add_argument("--widths", nargs="+", type=int, default=[16, 32, 64, 128, 256], help="of every net")
    parser.add_argument("--rate", type=float, default=0.002, help="highest learning rate")
    parser.add_argument("--examples", type=int, default=6, help="images of each set that are drawn")
    options = run_options(parser)
    if options.quick:
        options.scenes, options.views, options.widths = [32, 16, 16], 1, [8, 16]
        options.epochs = options.epochs_real = options.epochs_both = 1
    record = Record("quality_composed_gap", options)
    measure(options, record)
    record.close()


if __name__ == "__main__":
    main()
