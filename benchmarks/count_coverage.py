"""How often the intervals of counts hold the truth: 90 % of each count, and 95 % of the scores, on simulated slides.

Each slide has a mean number of objects (lognormal) and an error of its own; its images have Poisson counts, and their
predictions a bias and noise that grow with the root of the count. For the intervals of counts, many held-out parts are
drawn, the quantile is fitted on each, and the share of images of new slides is counted whose interval holds the truth.
For the intervals of scores, the truth is the score of 200,000 such images, and the share of many small samples is
counted whose interval holds it. Beside ours stands the same as if nobody had said which images belong together.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from record import Record, arguments

from corpuscle.metrics.conformal import fit_quantile, interval
from corpuscle.metrics.counted import Counted
from corpuscle.metrics.counting import COUNT_METRICS, Sums, score_counts

LEVEL = 0.9
SCORES = ("mae", "rmse", "r", "r2", "bias", "kappa")
MANY = 200_000
NEW = 200  # slides to test a quantile on


@dataclass(frozen=True)
class Scene:
    """So many slides with up to so many images each, and how much of an error is the slide's own."""

    slides: int
    images: int
    own: float
    even: bool = True


COUNTS = (
    Scene(50, 1, 0),
    Scene(500, 1, 0),
    Scene(12, 10, 1),
    Scene(20, 10, 1),
    Scene(50, 10, 1),
    Scene(20, 40, 1, False),
    Scene(50, 40, 1, False),
)
SAMPLES = (Scene(20, 10, 1), Scene(50, 10, 1), Scene(100, 1, 0), Scene(400, 1, 0))


def draw(scene: Scene, slides: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True and predicted counts of the images of some slides, and the slide of each."""
    each = np.full(slides, scene.images) if scene.even else random.integers(1, scene.images + 1, size=slides)
    slide_N = np.repeat(np.arange(slides), each)
    true_N = random.poisson(random.lognormal(2.5, 0.9, size=slides)[slide_N])
    off_N = 0.2 + scene.own * random.normal(size=slides)[slide_N] + random.normal(size=len(slide_N))
    return true_N, np.maximum(true_N + off_N * np.sqrt(true_N + 1), 0), slide_N


def of_counts(options: argparse.Namespace, record: Record) -> None:
    """Coverage of new images by the intervals of counts; an image of each new slide, so that slides count alike."""
    parts = 20 if options.quick else options.parts
    for scene in COUNTS:
        random = np.random.default_rng(options.seed)
        held: dict[str, list[float]] = defaultdict(list)
        for _ in range(parts):
            true_N, predicted_N, slide_N = draw(scene, scene.slides, random)
            new_N, said_N, new_slide_N = draw(scene, NEW, random)
            first = np.unique(new_slide_N, return_index=True)[1]
            for name, group_N in (("by slide", slide_N), ("by image", None)):
                low_N, high_N = interval(said_N[first], fit_quantile(true_N, predicted_N, group_N, LEVEL))
                held[name].append(float(np.mean((low_N <= new_N[first]) & (new_N[first] <= high_N))))
                held[f"width {name}"].append(float(np.mean(high_N - low_N)))
        record.add(
            judged="counts",
            asked=LEVEL,
            slides=scene.slides,
            images_each=scene.images if scene.even else f"1 to {scene.images}",
            repeats=parts,
            ours=float(np.mean(held["by slide"])),
            over_images=float(np.mean(held["by image"])),
            worst_tenth=float(np.quantile(held["by slide"], 0.1)),
            width=float(np.mean(held["width by slide"])),
        )


def as_counted(true_N: np.ndarray, predicted_N: np.ndarray) -> Counted:
    """Counts of one kind."""
    return Counted(predicted_N[:, None], true_N[:, None].astype(float))


def of_scores(options: argparse.Namespace, record: Record) -> None:
    """Coverage of the score of endless images by its 95 % interval."""
    samples, resamples = (5, 100) if options.quick else (options.samples, options.resamples)
    for scene in SAMPLES:
        random = np.random.default_rng(options.seed)
        true_N, predicted_N, _ = draw(scene, MANY // scene.images, random)
        sums = Sums(as_counted(true_N, predicted_N), np.zeros(len(true_N), dtype=np.intp), np.ones((1, 1)))
        truth = {name: float(COUNT_METRICS[name].compute(sums)[0, 0]) for name in SCORES}
        held: dict[tuple[str, str], int] = defaultdict(int)
        for sample in range(samples):
            true_N, predicted_N, slide_N = draw(scene, scene.slides, random)
            for kind, group_N in (("ours", slide_N), ("over_images", None)):
                judged = score_counts(
                    as_counted(true_N, predicted_N), group_N, classes=["cell"], seed=sample, resamples=resamples
                )
                for name in SCORES:
                    held[name, kind] += judged.scores[name].low <= truth[name] <= judged.scores[name].high
        for name in SCORES:
            record.add(
                judged=name,
                asked=0.95,
                slides=scene.slides,
                images_each=scene.images,
                repeats=samples,
                truth=truth[name],
                ours=held[name, "ours"] / samples,
                over_images=held[name, "over_images"] / samples,
            )


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__)
    parser.add_argument("--parts", type=int, default=1000, help="held-out parts a scene, for the intervals of counts")
    parser.add_argument("--samples", type=int, default=400, help="samples a scene, for the intervals of scores")
    parser.add_argument("--resamples", type=int, default=600, help="of each sample")
    options = parser.parse_args()
    record = Record("count_coverage", options)
    of_counts(options, record)
    of_scores(options, record)
    record.close()


if __name__ == "__main__":
    main()
