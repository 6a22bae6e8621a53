"""From a net and images to predictions and scores, always in fp32, so that every machine gives the same numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import nn

from corpuscle.core.files import write_json, write_text
from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.loader import Images, Loader, Order
from corpuscle.engine.run_folder import METRICS, PREDICTIONS
from corpuscle.metrics.calibration import apply_temperature, fit_temperature
from corpuscle.metrics.classification import score
from corpuscle.tasks.classify import Classify

if TYPE_CHECKING:
    from corpuscle.engine.device import Machine
    from corpuscle.engine.experiment import ScorePlan

AT_ONCE = 32


@dataclass(frozen=True)
class Scored:
    """Predictions of one part, before temperature scaling.

    Attributes:
        rows: the part's rows of the table.
        probs_NK: probabilities, in the order of the rows.
        target_N: class numbers.
    """

    rows: pl.DataFrame
    probs_NK: np.ndarray
    target_N: np.ndarray


def predict_places(
    net: nn.Module, images: Images, places: np.ndarray, machine: Machine, views: int = 1, progress: Progress = SILENT
) -> np.ndarray:
    """Probabilities of some images.

    Args:
        net: the whole net.
        images: without augmentation.
        places: of the images in the table.
        machine: what computes; arithmetic is fp32 whatever training used.
        views: mirrored and turned views whose probabilities are averaged: 1, 4 or 8.
        progress: shows how far it is.

    Returns:
        probs_NK in the order of the places.
    """
    net.eval()
    loader = Loader(images, Order(places, AT_ONCE), machine.workers, pin=machine.device.type == "cuda")
    probs = []
    with torch.inference_mode():
        for batch in progress.track(loader.epoch(0), "predicting", len(places), per_item=AT_ONCE):
            image_NCHW = batch.to(machine.device).image_NCHW
            seen = [Classify().decode(net(view)) for view in dihedral(image_NCHW, views)]
            probs.append(np.mean(seen, axis=0))
    return np.concatenate(probs) if probs else np.zeros((0, 0))


def dihedral(image_NCHW: torch.Tensor, views: int) -> list[torch.Tensor]:
    """The first of the eight mirrored and quarter-turned views of a square image; the first is the image itself."""
    mirrored = [image_NCHW, image_NCHW.flip(3), image_NCHW.flip(2), image_NCHW.flip(2, 3)]
    turned = [view.transpose(2, 3) for view in mirrored]
    return (mirrored + turned)[:views]


def score_parts(
    parts: dict[str, Scored], classes: Sequence[str], plan: ScorePlan, seed: int, temperature: float
) -> dict[str, Any]:
    """What metrics.json holds: every score of every part with its interval."""
    scored = {
        name: score(
            part.probs_NK,
            part.target_N,
            part.rows["group"].to_list(),
            classes=classes,
            calibrated_NK=apply_temperature(part.probs_NK, temperature),
            seed=seed,
            resamples=plan.resamples,
        ).as_dict()
        for name, part in parts.items()
    }
    return {"classes": list(classes), "temperature": temperature, "parts": scored}


def choose_temperature(parts: dict[str, Scored]) -> float:
    """The temperature that fits the validation part; 1 where there is none."""
    held_out = parts.get("val")
    return 1.0 if held_out is None else fit_temperature(held_out.probs_NK, held_out.target_N)


def prediction_table(part: Scored, classes: Sequence[str], temperature: float) -> pl.DataFrame:
    """A row an image: its label, prediction, confidence, and the probability of every class, scaled and raw."""
    frame = part.rows.select("image", "label", "split", "group")
    return pl.concat([frame, probability_columns(part.probs_NK, classes, temperature)], how="horizontal")


def probability_columns(probs_NK: np.ndarray, classes: Sequence[str], temperature: float) -> pl.DataFrame:
    """Prediction, confidence, `p_<class>` after temperature scaling and `raw_<class>` before."""
    raw_NK = probs_NK.reshape(-1, len(classes))  # there may be no image at all
    scaled_NK = apply_temperature(raw_NK, temperature)
    prediction = [classes[number] for number in scaled_NK.argmax(axis=1)]
    columns: dict[str, Any] = {
        "prediction": pl.Series(prediction, dtype=pl.String),
        "confidence": scaled_NK.max(axis=1),
    }
    columns |= {f"p_{name}": scaled_NK[:, k] for k, name in enumerate(classes)}
    columns |= {f"raw_{name}": raw_NK[:, k] for k, name in enumerate(classes)}
    return pl.DataFrame(columns)


def write_scores(
    out: Path, parts: dict[str, Scored], classes: Sequence[str], plan: ScorePlan, seed: int, temperature: float
) -> dict[str, Any]:
    """Write metrics.json and predictions.csv, and return the former; where nothing was held out both are empty."""
    metrics = score_parts(parts, classes, plan, seed, temperature)
    nothing = Scored(pl.DataFrame(schema=["image", "label", "split", "group"]), np.zeros((0, 0)), np.zeros(0))
    tables = [prediction_table(part, classes, temperature) for part in parts.values() or [nothing]]
    text = io.StringIO()
    pl.concat(tables).write_csv(text)
    write_text(out / PREDICTIONS, text.getvalue())
    write_json(out / METRICS, metrics)
    return metrics
