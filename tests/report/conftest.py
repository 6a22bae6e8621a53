"""A run folder as training writes it, with every file of its schema, small made-up images and awkward names."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.core.legend import IGNORED, colours_for
from corpuscle.metrics.overlap import overlap_of
from corpuscle.metrics.segmentation import score_masks

CLASSES = (
    "basophil",
    "<script>alert(1)</script>",
    "myélocyte géant",
    "$a_b$ & co",
    "ig",
    "monocyte",
    "neutrophil",
    "platelet",
)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a run folder; see `write_run`."""
    return lambda name="run", **changes: write_run(tmp_path / name, **changes)


def write_run(
    folder: Path,
    classes: Sequence[str] = CLASSES,
    parts: Sequence[str] = ("val", "test"),
    scored: int = 96,
    epochs: int = 12,
    files: int = 48,
) -> Path:
    """Write a finished run.

    Args:
        parts: which parts have scores.
        scored: predictions a part.
        files: how many image files are there in truth; the other rows repeat their names.
    """
    generator = np.random.default_rng(3)
    root = folder.parent / f"{folder.name} images"
    images = _images(root, classes, files, generator)
    folder.mkdir(parents=True)
    predictions = pl.concat([_predictions(images, classes, part, scored, generator) for part in parts])
    predictions.write_csv(folder / "predictions.csv")
    _write_log(folder, epochs)
    metrics = {
        "classes": list(classes),
        "temperature": 1.37,
        "parts": {part: part_scores(predictions, classes, part) for part in parts},
    }
    for name, content in {
        "metrics": metrics,
        "plan": _plan(),
        "fingerprint": _fingerprint(root, images, classes, parts),
        "environment": _environment(),
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    rows = [
        {
            "image": image,
            "label": label,
            "group": label,
            "split": "train",
            "content": "0",
            "height": 32,
            "width": 40,
            "mode": "RGB",
            "fault": None,
        }
        for image, label in images
    ]
    pl.DataFrame(rows).write_csv(folder / "samples.csv")
    (folder / "experiment.toml").write_text("[fit]\nbatch_size = 32\n")
    return folder


def _images(root: Path, classes: Sequence[str], files: int, generator: np.random.Generator) -> list[tuple[str, str]]:
    images = []
    for place in range(files):
        kind = place % len(classes)
        name = (
            ["<script>bild</script> {}.png", "mit Leerzeichen {}.jpg", "細胞 {}.png", "plain_{}.png"][place % 4]
            .format(place)
            .replace("/", "⁄")
        )
        path = root / f"class_{kind}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = np.array([200, 160 - 10 * kind, 120 + 15 * kind]) + generator.integers(-20, 20, (32, 40, 3))
        Image.fromarray(colour.astype(np.uint8)).save(path)
        images.append((path.relative_to(root).as_posix(), classes[kind]))
    return images


def _predictions(
    images: list[tuple[str, str]], classes: Sequence[str], part: str, scored: int, generator: np.random.Generator
) -> pl.DataFrame:
    rows = [images[place % len(images)] for place in range(scored)]
    truth_N = np.array([classes.index(label) for _, label in rows])
    logits_NK = generator.normal(size=(scored, len(classes))) + 2.5 * np.eye(len(classes))[truth_N]
    probs_NK, raw_NK = (np.exp(t * logits_NK) / np.exp(t * logits_NK).sum(1, keepdims=True) for t in (1.0, 1.37))
    frame = {
        "image": [image for image, _ in rows],
        "label": [label for _, label in rows],
        "split": [part] * scored,
        "group": [f"patient {place // 3}" for place in range(scored)],
        "prediction": [classes[k] for k in probs_NK.argmax(1)],
        "confidence": probs_NK.max(1),
    }
    frame |= {f"p_{name}": probs_NK[:, k] for k, name in enumerate(classes)}
    frame |= {f"raw_{name}": raw_NK[:, k] for k, name in enumerate(classes)}
    return pl.DataFrame(frame)


def part_scores(predictions: pl.DataFrame, classes: Sequence[str], part: str) -> dict[str, Any]:
    """The scores of one part: the confusion matrix in truth, the rest near enough."""
    frame = predictions.filter(pl.col("split") == part)
    confusion = np.zeros((len(classes), len(classes)), int)
    for label, prediction in frame.select("label", "prediction").iter_rows():
        confusion[classes.index(label), classes.index(prediction)] += 1
    n, groups = len(frame), frame["group"].n_unique()

    def score(value: float, direction: str = "max", half: float = 0.03) -> dict[str, Any]:
        return {
            "value": value,
            "low": max(0.0, value - half),
            "high": min(1.0, value + half / 2),
            "n": n,
            "groups": groups,
            "direction": direction,
        }

    recall_K = confusion.diagonal() / np.maximum(confusion.sum(1), 1)
    precision_K = confusion.diagonal() / np.maximum(confusion.sum(0), 1)
    accuracy, balanced = confusion.trace() / n, float(recall_K.mean())
    names = {
        "accuracy": accuracy,
        "balanced_accuracy": balanced,
        "f1_macro": balanced - 0.01,
        "f1_weighted": accuracy - 0.01,
        "recall_macro": balanced,
        "auroc": 0.962,
        "kappa": 0.81,
    }
    scores = {name: score(float(value)) for name, value in names.items()}
    scores |= {
        "ece": score(0.071, "min", 0.02),
        "ece_calibrated": score(0.024, "min", 0.01),
        "nll": score(0.61, "min", 0.05),
    }
    per_class = {
        name: {
            "precision": score(float(precision_K[k]), half=0.08),
            "recall": score(float(recall_K[k]), half=0.08),
            "f1": score(float(recall_K[k])),
            "auroc": {**score(0.97), "value": float("nan") if k == 0 else 0.97},
            "support": int(confusion[k].sum()),
        }
        for k, name in enumerate(classes)
    }
    edges = np.linspace(0, 1, 11)
    bins = {
        when: [
            {
                "low": low,
                "high": high,
                "confidence": (low + high) / 2 if i > 2 else None,
                "accuracy": max(0.0, (low + high) / 2 - gap) if i > 2 else None,
                "n": max(0, i - 2) * n // 28,
            }
            for i, (low, high) in enumerate(itertools.pairwise(edges))
        ]
        for when, gap in (("before", 0.09), ("after", 0.01))
    }
    return {
        "n": n,
        "groups": groups,
        "scores": scores,
        "per_class": per_class,
        "confusion": confusion.tolist(),
        "calibration": bins,
    }


def _write_log(folder: Path, epochs: int) -> None:
    rows = []
    for epoch in range(1, epochs + 1):
        done = 1 - np.exp(-epoch / 4)
        head = epoch <= epochs // 3
        rows.append(
            {
                "epoch": epoch,
                "stage": 1 if head else 2,
                "train": "head" if head else "all",
                "learning_rate": 0.01 if head else 0.001 * (1 + np.cos(np.pi * epoch / epochs)) / 2,
            }
            | {"train_loss": 2.1 - 1.9 * done, "train_accuracy": 0.2 + 0.78 * done, "train_recall": 0.18 + 0.79 * done}
            | {
                "val_loss": 2.1 - 1.6 * done + 0.03 * max(0, epoch - 8),
                "val_accuracy": 0.2 + 0.7 * done,
                "val_recall": 0.16 + 0.7 * done,
            }
            | {
                "seconds": 8.2,
                "images_per_second": 204.0,
                "data_wait": 0.031,
                "best": "true" if epoch < max(epochs - 2, 2) else "false",
            }
        )
    pl.DataFrame(rows).write_csv(folder / "log.csv")


def _plain_log(folder: Path) -> pl.DataFrame:
    """The log of a run that knows neither accuracy nor recall."""
    _write_log(folder, 12)
    return pl.read_csv(folder / "log.csv").drop("train_accuracy", "train_recall", "val_accuracy", "val_recall")


def _plan() -> dict[str, Any]:
    settings = {
        "net.model": ("resnet18", "recipe leukemia"),
        "fit.batch_size": (64, "flag"),
        "augment.degrees": (20.0, "recipe leukemia"),
        "optim.learning_rate": (0.001, "file experiment.toml"),
        "optim.name": ("adamw", "default"),
        "fit.seed": (0, "default"),
        "fit.channels_last": (True, "default"),
        "data.label": (None, "default"),
    }
    derived = {
        "prepare.size": (128, "the images are 360 × 363 and two cores train 64 images a second at this size"),
        "precision": ("bf16", "the processor computes it in hardware"),
        "class weights": ([1.0, 1.2, 0.9], "the rarest class has 40 % of the images of the commonest"),
    }
    return {
        "settings": {name: {"value": value, "from": came} for name, (value, came) in settings.items()},
        "derived": {name: {"value": value, "why": why} for name, (value, why) in derived.items()},
    }


def _fingerprint(
    root: Path, images: list[tuple[str, str]], classes: Sequence[str], parts: Sequence[str]
) -> dict[str, Any]:
    return {
        "layout": "one folder per class",
        "root": str(root),
        "notes": ["2 files that are no images were passed over (Thumbs.db)"],
        "images": 230 * len(classes),
        "classes": {name: {"train": 160 + 5 * k, **dict.fromkeys(parts, 35)} for k, name in enumerate(classes)},
        "groups": 88,
        "group_by": r"pattern UID_(?P<group>\d+)_",
        "sizes": {"min": [360, 359], "median": [360, 363], "max": [361, 366], "distinct": 4},
        "modes": {"RGB": 1830, "L": 10},
        "mean": [0.87, 0.75, 0.72],
        "std": [0.16, 0.19, 0.08],
        "faults": [
            {
                "where": "basophil/<b>BA_1</b>.jpg",
                "what": "truncated JPEG: 1,204 of 9,882 bytes",
                "remedy": "copy the file again from its source",
            }
        ],
        "copies": [[images[0][0], images[3][0]]],
        "disagreeing": [[images[1][0], images[2][0]]],
    }


def _environment() -> dict[str, Any]:
    return {
        "command": "corpuscle train 'my <images>' --recipe leukemia -b 64 --out runs/first",
        "started": "2026-11-20T10:12:01+00:00",
        "seconds": 372.4,
        "seed": 0,
        "device": "cpu",
        "precision": "bf16",
        "cpu": "AMD EPYC 9R14",
        "gpu": None,
        "cores": 2,
        "memory_gb": 24.0,
        "versions": {"python": "3.11.9", "corpuscle": "0.1.0", "torch": "2.15.0"},
        "platform": "Linux-6.1-x86_64",
        "weights_digest": "9a3f5e0c2b7d41188f0e6d5c4b3a2918",
    }


@pytest.fixture
def make_count_run(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes the run folder of a counter; see `write_count_run`."""
    return lambda name="counts", **changes: write_count_run(tmp_path / name, **changes)


def write_count_run(
    folder: Path,
    kinds: Sequence[str] = ("cell",),
    parts: Sequence[str] = ("val", "test"),
    images: int = 24,
    points: bool = True,
    intervals: bool = True,
    side: int = 48,
) -> Path:
    """Write a finished run of a counter on drawn cells.

    Args:
        parts: which parts have scores.
        images: a part.
        points: whether dots and densities are known.
        intervals: whether the validation groups were enough for an interval.
        side: height of an image in pixels; it is a third wider.
    """
    generator = np.random.default_rng(5)
    root = folder.parent / f"{folder.name} images"
    (folder / "heatmaps").mkdir(parents=True)
    root.mkdir()
    rows, dots, maps = [], [], {}
    for part in ("train", *parts):
        for place in range(images):
            image = f"{part} <b> {place}.png"
            true = {kind: int(generator.integers(0, 4 * side // 10 + 8 * k)) for k, kind in enumerate(kinds)}
            at = {kind: generator.uniform(3, (side * 4 // 3 - 4, side - 4), (n, 2)) for kind, n in true.items()}
            found = {kind: xy[1:] + generator.normal(0, 1, (max(len(xy) - 1, 0), 2)) for kind, xy in at.items()}
            density = _draw_cells(root / image, at, side, generator)
            rows.append({"image": image, "split": part, "group": f"slide {place // 2}", "counts": _listed(true)})
            for kind, n in true.items():
                count = max(0.0, n + generator.normal(0.3, 0.5 * np.sqrt(n + 1)))
                half = 0.9 * np.sqrt(count + 1) if intervals else np.nan
                ends = {f"low_{kind}": max(0.0, count - half), f"high_{kind}": count + half}
                rows[-1] |= {f"true_{kind}": n, f"count_{kind}": count} | (ends if intervals else {})
                for what, xy in (("true", at[kind]), ("found", found[kind])):
                    score = 0.9 if what == "found" else None
                    dots += [
                        {"image": image, "what": what, "kind": kind, "x": x, "y": y, "score": score}
                        for x, y in xy
                        if part != "train"
                    ]
            if points and part == parts[-1] and place < 3:
                file = f"{part}_{place}.png"
                grey = (255 * density / max(density.max(), 1e-9)).astype(np.uint8)
                Image.fromarray(grey).save(folder / "heatmaps" / file)
                maps[image] = {"file": file, "full": float(density.max()), "shrink": 1}
    frame = pl.DataFrame(rows)
    frame.select("image", "split", "group", "counts").write_csv(folder / "samples.csv")
    held_out = frame.filter(pl.col("split") != "train").drop("counts")
    held_out.write_csv(folder / "predictions.csv")
    if points:
        pl.DataFrame(dots, infer_schema_length=None).write_csv(folder / "points.csv")
        (folder / "heatmaps" / "index.json").write_text(json.dumps(maps))
    metrics = {
        "task": "count",
        "classes": list(kinds),
        "calibration": {
            "level": 0.9,
            "quantiles": dict.fromkeys(kinds, 0.9 if intervals else None),
            "groups": 12 if intervals else 5,
        },
        "parts": {part: count_scores(held_out, kinds, part, points, intervals) for part in parts},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    _finish_count_run(folder, root, frame, kinds)
    return folder


def _listed(true: dict[str, int]) -> str:
    return " ".join(str(number) for number in true.values())


def _draw_cells(path: Path, at: dict[str, np.ndarray], side: int, generator: np.random.Generator) -> np.ndarray:
    """Draw an image of soft round cells; its density at a quarter of the size."""
    width = side * 4 // 3
    image_HW3 = np.full((side, width, 3), (226.0, 205.0, 214.0)) + generator.normal(0, 4, (side, width, 3))
    density = np.zeros((-(-side // 4), -(-width // 4)))
    for k, xy in enumerate(at.values()):
        colour = np.array([(92, 60, 140), (180, 60, 70), (60, 110, 120)][k % 3], float)
        for x, y in xy:
            window = np.s_[max(0, int(y) - 7) : int(y) + 8, max(0, int(x) - 7) : int(x) + 8]
            y_H1, x_1W = np.ogrid[window[0].start : window[0].stop, window[1].start : window[1].stop]
            share_HW = np.clip(1.4 - np.hypot(x_1W - x, y_H1 - y) / (3.2 + 0.8 * k), 0, 1)[..., None] * 0.8
            part_HW3 = image_HW3[window]
            share_HW = share_HW[: part_HW3.shape[0], : part_HW3.shape[1]]
            part_HW3 += share_HW * (colour - part_HW3)
            density[int(y) // 4, int(x) // 4] += 1
    Image.fromarray(image_HW3.clip(0, 255).astype(np.uint8)).save(path)
    return density


def count_scores(
    predictions: pl.DataFrame, kinds: Sequence[str], part: str, points: bool, intervals: bool
) -> dict[str, Any]:
    """The scores of one part of a counting run: the errors in truth, the rest near enough."""
    frame = predictions.filter(pl.col("split") == part)
    n, groups = len(frame), frame["group"].n_unique()

    def score(value: float, direction: str = "max", half: float = 0.05) -> dict[str, Any]:
        ends = {"low": value - half, "high": value + half}
        return {"value": value, **ends, "n": n, "groups": groups, "direction": direction}

    def scores(off_N: np.ndarray) -> dict[str, Any]:
        mae, rmse = float(np.abs(off_N).mean()), float(np.sqrt((off_N**2).mean()))
        found = {"mae": score(mae, "min", 0.3), "rmse": score(rmse, "min", 0.3), "r": score(0.97, half=0.01)}
        found |= {"r2": score(0.94), "bias": score(float(off_N.mean()), "min", 0.2), "kappa": score(0.91)}
        if intervals:
            found |= {"coverage": score(0.917, half=0.04), "width": score(7.2, "min", 0.4)}
        names = ("dot_precision", "dot_recall", "dot_f1") if points else ()
        return found | {name: score(0.9 + 0.01 * place, half=0.02) for place, name in enumerate(names)}

    off = {kind: (frame[f"count_{kind}"] - frame[f"true_{kind}"]).to_numpy() for kind in kinds}
    per_class = {kind: {"scores": scores(off[kind]), "objects": int(frame[f"true_{kind}"].sum())} for kind in kinds}
    distance = {"distance": 6.0} if points else {}
    return {"n": n, "groups": groups, "scores": scores(sum(off.values())), "per_class": per_class, **distance}


def _finish_count_run(folder: Path, root: Path, frame: pl.DataFrame, kinds: Sequence[str]) -> None:
    """Write the log, the plan, the fingerprint and the environment."""
    log = _plain_log(folder)
    error = 40 / pl.col("epoch") ** 1.3
    log.with_columns(train_mae=error, val_mae=error * 1.2 + 1).write_csv(folder / "log.csv")
    by_part = {part: frame.filter(pl.col("split") == part) for part in frame["split"].unique()}
    counts = {
        kind: {part: {"images": len(one), "objects": int(one[f"true_{kind}"].sum())} for part, one in by_part.items()}
        for kind in kinds
    }
    holds = {"task": "count", "root": str(root), "images": len(frame), "groups": 36, "counts": counts}
    _write_about(folder, holds)


def _write_about(folder: Path, holds: dict[str, Any]) -> None:
    """Write the plan, the environment, and the fingerprint of data that hold so."""
    known = ("layout", "notes", "sizes", "modes", "mean", "group_by")
    usual = {key: value for key, value in _fingerprint(folder, [("a", "b")] * 4, (), ()).items() if key in known}
    for name, content in (("plan", _plan()), ("fingerprint", usual | holds), ("environment", _environment())):
        (folder / f"{name}.json").write_text(json.dumps(content))


SEGMENT_CLASSES = ("background", "eosinophil", "<i>monocyte</i>", "platelet clump", "infected RBC", "healthy RBC")


@pytest.fixture
def make_segment_run(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes the run folder of a net that classifies pixels; see `write_segment_run`."""
    return lambda name="masks", **changes: write_segment_run(tmp_path / name, **changes)


def write_segment_run(
    folder: Path,
    classes: Sequence[str] = SEGMENT_CLASSES,
    parts: Sequence[str] = ("val", "test"),
    images: int = 12,
    side: int = 48,
    kept: int = 8,
    absent: Sequence[str] = ("eosinophil",),
) -> Path:
    """Write a finished run on drawn cells; its scores are computed from its masks.

    Args:
        parts: which parts have scores.
        images: a part.
        side: height of an image in pixels; it is a third wider.
        kept: how many images a part are kept with their masks.
        absent: classes that no image shows.
    """
    generator = np.random.default_rng(11)
    (folder / "examples").mkdir(parents=True)
    shown = [k for k, name in enumerate(classes) if k and name not in absent]
    colours = colours_for([name.removeprefix("<i>").removesuffix("</i>") for name in classes])
    rows, items, overlaps, held = [], [], {}, {name: {} for name in classes}
    for part in ("train", *parts):
        pixels_NK = np.zeros((images, len(classes)), int)
        for place in range(images):
            image = f"{part}/field <b> {place}.png"
            true_HW, said_HW, picture_HW3 = _draw_field(shown, colours, side, generator)
            overlap = overlap_of(true_HW, said_HW, len(classes))
            overlaps.setdefault(part, []).append(overlap)
            pixels_NK[place] = true_K = overlap.pixels_KK.sum(1)
            both_K, said_K = np.diag(overlap.pixels_KK), overlap.pixels_KK.sum(0)
            dice = float((2 * both_K / np.maximum(true_K + said_K, 1))[true_K > 0].mean())
            row = {
                "image": image,
                "split": part,
                "group": f"slide {part} {place // 2}",
                "dice": dice,
                "iou": dice / 1.1,
            }
            row |= {f"true_{name}": int(true_K[k]) for k, name in enumerate(classes)}
            row |= {f"area_{name}": int(said_K[k]) for k, name in enumerate(classes)}
            rows.append(row | {f"count_{name}": 3 for name in classes[1:]})
            if part != "train" and place < kept:
                files = {what: f"{len(items)}{end}.png" for what, end in FILE_ENDS.items()}
                for what, array in (("picture", picture_HW3), ("true", true_HW), ("said", said_HW)):
                    Image.fromarray(array).save(folder / "examples" / files[what])
                items.append({"image": image, "part": part, "dice": round(dice, 6), **files})
        for k, name in enumerate(classes):
            held[name][part] = {"images": int((pixels_NK[:, k] > 0).sum()), "pixels": int(pixels_NK[:, k].sum())}
    (folder / "examples" / "index.json").write_text(json.dumps({"tolerance": 2.0, "items": items}))
    frame = pl.DataFrame(rows)
    frame.filter(pl.col("split") != "train").write_csv(folder / "predictions.csv")
    legend = {"classes": list(classes), "colours": [list(colour) for colour in colours]}
    group_N = {part: frame.filter(pl.col("split") == part)["group"].to_list() for part in parts}
    scored = {
        part: score_masks(overlaps[part], group_N[part], classes=classes, resamples=100).as_dict() for part in parts
    }
    metrics = {"task": "segment", "classes": list(classes), "legend": legend, "parts": scored}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    fingerprint = {"task": "segment", "images": len(frame), "groups": 18, "pixels": held, "legend": legend}
    _write_about(folder, fingerprint)
    log = _plain_log(folder)
    done = 1 - 1 / pl.col("epoch").sqrt()
    log.with_columns(train_mean_dice=done, val_mean_dice=0.95 * done, val_mean_iou=0.8 * done).write_csv(
        folder / "log.csv"
    )
    return folder


FILE_ENDS = {"picture": "", "true": "_true", "said": "_said"}


def _draw_field(
    shown: Sequence[int], colours: Sequence[tuple[int, int, int]], side: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A true mask of discs, a mask that misses some, shifts some and calls some by another name, and the image."""
    width = side * 4 // 3
    true_HW, said_HW = (np.zeros((side, width), np.uint8) for _ in range(2))
    y_H1, x_1W = np.ogrid[:side, :width]
    for place in range(int(generator.integers(6, 14))):
        kind = shown[-1] if generator.random() < 0.6 else int(generator.choice(shown))
        y, x, radius = generator.uniform(0, side), generator.uniform(0, width), side * generator.uniform(0.06, 0.13)
        if place:
            true_HW[np.hypot(y_H1 - y, x_1W - x) < radius] = kind
        said = int(generator.choice(shown)) if generator.random() < 0.1 else kind
        if generator.random() < 0.9:
            off_y, off_x = generator.normal(0, 0.008 * side, 2)
            said_HW[np.hypot(y_H1 - y + off_y, x_1W - x + off_x) < radius * generator.uniform(0.9, 1.1)] = said
    stain_I3 = np.array(
        [(236, 222, 226), (150, 90, 150), (110, 80, 160), (170, 130, 190), (200, 120, 140), (214, 140, 140)]
    )
    picture_HW3 = stain_I3[true_HW % len(stain_I3)] + generator.normal(0, 5, (side, width, 1))
    true_HW[: side // 12, : width // 6] = IGNORED
    return true_HW, said_HW, picture_HW3.clip(0, 255).astype(np.uint8)
