"""How often a 95 % interval holds the truth: ours against plain percentiles and BCa, on simulated patients.

Each patient has a skill, which shifts the logit of the true class of each of its images. The truth is the score of
200,000 such images. Many small samples are drawn and scored, and the share of them whose interval holds the truth is
counted. Beside the three intervals over patients stands ours over images, as if nobody had said which belong together.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from record import Record, arguments, measured
from scipy import special

from corpuscle.metrics.bootstrap import TAIL, Resamples, _acceleration, resample
from corpuscle.metrics.classification import METRICS, rests_on
from corpuscle.metrics.counts import Counts
from corpuscle.metrics.inputs import Scorable

SCORES = ("accuracy", "balanced_accuracy", "f1_macro", "auroc", "kappa", "ece", "nll")
CLASSES = 4
MANY = 200_000


@dataclass(frozen=True)
class Scene:
    """So many patients with so many images each, and how far apart the classes are for a patient of usual skill."""

    groups: int
    images: int
    apart: float


SCENES = (Scene(8, 25, 1.5), Scene(20, 10, 1.5), Scene(100, 5, 1.5), Scene(100, 1, 3.5), Scene(400, 1, 1.5))


def draw(scene: Scene, groups: int, random: np.random.Generator) -> tuple[Scorable, np.ndarray]:
    """Probabilities and targets of the images of some patients, and the patient of each."""
    group_N = np.repeat(np.arange(groups), scene.images)
    target_N = random.integers(CLASSES, size=len(group_N))
    skill_G = scene.apart + (random.normal(size=groups) if scene.images > 1 else np.zeros(groups))
    logits_NK = random.normal(size=(len(group_N), CLASSES))
    logits_NK[np.arange(len(group_N)), target_N] += skill_G[group_N]
    return Scorable(special.softmax(logits_NK * scene.apart, axis=1), target_N), group_N


def drawn(part: Scorable, group_N: np.ndarray, seed: int, resamples: int) -> Resamples:
    """The scores on resamples of the patients; the noise of the calibration error is the last row."""

    def statistic(weight_GB: np.ndarray) -> np.ndarray:
        counts = Counts(part, group_N, weight_GB)
        return np.vstack([*(METRICS[name].compute(counts) for name in SCORES), np.abs(counts.drift_MB).sum(axis=0)])

    return resample(statistic, int(group_N.max()) + 1, seed=seed, resamples=resamples)


def intervals(found: Resamples, row: int, groups: int) -> dict[str, tuple[float, float]]:
    """The ends of each kind of interval of one score."""
    value, draws_B = found.value_S[row], found.draws_SB[row]
    known_B = draws_B[np.isfinite(draws_B)]
    metric = METRICS[SCORES[row]]
    share = np.mean(np.where(np.abs(known_B - value) < 1e-12, 0.5, known_B < value))
    bias = special.ndtri(np.clip(share, 0.5 / len(known_B), 1 - 0.5 / len(known_B)))
    reach = bias + np.array([-1, 1]) * special.ndtri(1 - TAIL)
    level = special.ndtr(bias + reach / (1 - _acceleration(found.left_out_SJ[row]) * reach))
    if metric.noise:
        ours = found.interval_of_size(row, len(SCORES), groups, metric.bounds)
    else:
        ours = found.interval(row, groups, metric.bounds)
    low, high = np.quantile(known_B, [TAIL, 1 - TAIL])
    low_bca, high_bca = np.quantile(known_B, level)
    return {"percentile": (low, high), "BCa": (low_bca, high_bca), "ours": (ours.low, ours.high)}


def measure(options: argparse.Namespace, record: Record) -> None:
    """Count the intervals that hold the truth, for each scene and score."""
    samples, resamples = (5, 100) if options.quick else (options.samples, options.resamples)
    for scene in SCENES:
        random = np.random.default_rng(options.seed)
        part, _ = draw(scene, MANY // scene.images, random)
        counts = Counts(part, np.zeros_like(part.target_N), np.ones((1, 1)))
        truth = [float(METRICS[name].compute(counts)[0]) for name in SCORES]
        held: dict[tuple[str, str], int] = defaultdict(int)
        for sample in range(samples):
            part, group_N = draw(scene, scene.groups, random)
            by_patient = drawn(part, group_N, sample, resamples)
            by_image = drawn(part, np.arange(len(group_N)), sample, resamples) if scene.images > 1 else by_patient
            rests = Counts(part, group_N, np.ones((scene.groups, 1)))
            for row, name in enumerate(SCORES):
                ends = intervals(by_patient, row, rests_on(METRICS[name], rests))
                ends["over images"] = intervals(by_image, row, len(group_N))["ours"]
                for kind, (low, high) in ends.items():
                    held[name, kind] += low <= truth[row] <= high
        for row, name in enumerate(SCORES):
            shares = {kind: held[name, kind] / samples for kind in ("over images", "percentile", "BCa", "ours")}
            record.add(patients=scene.groups, images_each=scene.images, score=name, truth=truth[row], **shares)


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__)
    parser.add_argument("--samples", type=int, default=400, help="samples a scene")
    parser.add_argument("--resamples", type=int, default=600, help="of each sample")
    options = parser.parse_args()
    measured("interval_coverage", options, measure)


if __name__ == "__main__":
    main()
