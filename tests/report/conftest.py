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
    _write_log(folder, 12)
    log = pl.read_csv(folder / "log.csv").drop("train_accuracy", "train_recall", "val_accuracy", "val_recall")
    error = 40 / pl.col("epoch") ** 1.3
    log.with_columns(train_mae=error, val_mae=error * 1.2 + 1).write_csv(folder / "log.csv")
    by_part = {part: frame.filter(pl.col("split") == part) for part in frame["split"].unique()}
    counts = {
        kind: {part: {"images": len(one), "objects": int(one[f"true_{kind}"].sum())} for part, one in by_part.items()}
        for kind in kinds
    }
    known = ("layout", "notes", "sizes", "modes", "mean", "group_by")
    fingerprint = {key: value for key, value in _fingerprint(root, [("a", "b")] * 4, kinds, ()).items() if key in known}
    fingerprint |= {"task": "count", "root": str(root), "images": len(frame), "groups": 36, "counts": counts}
    for name, content in (("plan", _plan()), ("fingerprint", fingerprint), ("environment", _environment())):
        (folder / f"{name}.json").write_text(json.dumps(content))
