"""Labels that may be wrong: confident learning on what each image is said to be by a model that has not seen it.

The model is a kernel ridge regression on descriptors that need no training. What it says of an image, or a group of
images, when all others are learned from follows from one inverse (R. Rifkin, R. Lippert, Notes on regularized least
squares, 2007), so that no fold of a cross-validation is trained, and so that the method can put wrong labels into the
data itself and see which disagreement most of them show.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from scipy import special

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import digest_of, whole_file
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.seeds import generator_for
from corpuscle.core.threads import in_threads
from corpuscle.data.cache import FEATURES, cache_folder, digests_of, make_room
from corpuscle.data.doctor.finding import Finding
from corpuscle.data.prepare import PreparePlan, prepare
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.readers.read import read_pixels
from corpuscle.data.splits import units_of
from corpuscle.data.table import Table
from corpuscle.engine.descriptors import SIZE, descriptors
from corpuscle.metrics.calibration import apply_temperature, fit_temperature
from corpuscle.metrics.confident import Confident, confident_learning

FORMAT = 1  # raise when the same image would have other descriptors than before
ON_CANVAS = PreparePlan(size=SIZE, trim_border=True)
WIDTH, PENALTY = 1.0, 0.1  # of the kernel exp(-width × mean squared difference), and of the ridge
FURTHEST = 5.0  # standard deviations; what is further off counts as this far
AT_ONCE = 4000  # images that learn from each other: the inverse grows with the square
FEWEST = 5  # groups of a class, below which nothing can be said of its labels
PLANTED, ROUNDS = 0.05, 5  # share of the labels that is changed to see what a wrong one looks like, and how often
SHOWN_ERRORS = 0.8  # share of the planted errors that lie beyond the threshold
SHARPNESS = 10.0  # brings the regression's outputs near to probabilities before their temperature is fitted
REMEDY = "look at each and mend the label where it is wrong; nothing is changed by itself"


@dataclass(frozen=True)
class Suspect:
    """An image whose label may be wrong, the probabilities by a model that has not seen it.

    Attributes:
        image, label: as the table has them.
        suggested: the class it looks like.
        self_confidence, suggested_confidence: probabilities of the label and of the suggested class.
        rank: 1 for the likeliest error.
    """

    image: str
    label: str
    suggested: str
    self_confidence: float
    suggested_confidence: float
    rank: int

    @property
    def finding(self) -> Finding:
        """The same for a reader."""
        what = f"{self.image} is labelled {self.label}, it looks like {self.suggested}"
        values = {name: value for name, value in vars(self).items() if name != "image"}
        return Finding("label error", what, REMEDY, (self.image,), values)


@dataclass(frozen=True)
class LabelErrors:
    """What was found.

    Attributes:
        suspects: the likeliest error first.
        accuracy: share of the judged images whose label a model that has not seen them names; low where the classes
            cannot be told apart by these means, and then little can be said of the labels.
        judged: number of images.
        notes: what could not be judged, a line each.
    """

    suspects: tuple[Suspect, ...]
    accuracy: float
    judged: int
    notes: tuple[str, ...] = ()

    @property
    def findings(self) -> list[Finding]:
        """A finding a suspect, the likeliest error first."""
        return [suspect.finding for suspect in self.suspects]


def label_errors(
    table: Table,
    read: ReadPlan | None = None,
    together: Iterable[Collection[str]] = (),
    seed: int = 0,
    progress: Progress = SILENT,
) -> LabelErrors:
    """Look for labels that may be wrong.

    Args:
        table: images of classes; parts of a split are not regarded, unlabelled images are left out.
        read: limits of the reader.
        together: sets of images that are not learned from to judge each other, such as copies; groups never are.
        seed: of the errors that are planted to find the threshold.
        progress: shows how far it is, and says how well the classes are told apart.

    Raises:
        CorpuscleError: images without classes, or too few of them.
    """
    check_classes(table)
    table = table.with_frame(table.frame.filter(table.known))
    families = described(table, read or ReadPlan(), progress)
    judged, notes = _judged(table, np.isfinite(families[0]).all(axis=1), units_of(table.frame, together))
    frame = table.frame.with_columns(unit=pl.Series(units_of(table.frame, together))).filter(pl.Series(judged))
    families = [family_NC[judged] for family_NC in families]
    classes = [name for name in table.classes if name in set(frame["label"])]
    label_N = np.array([classes.index(name) for name in frame["label"]])
    probs_NK, margin = _held_out(families, label_N, frame["unit"].to_numpy(), seed, progress)
    found = confident_learning(probs_NK, label_N)
    accuracy = float((probs_NK.argmax(axis=1) == label_N).mean())
    progress.say(f"{accuracy:.1%} of {len(frame)} labels are named by a model that has not seen the image")
    for note in notes:
        progress.say(f"note: {note}")
    return LabelErrors(suspects_of(frame, classes, found, margin), accuracy, len(frame), tuple(notes))


def check_classes(table: Table) -> None:
    """See that labels can be judged.

    Raises:
        CorpuscleError: objects are counted, areas are drawn, or fewer than two classes are named.
    """
    if table.counted or table.segmented:
        kind = "counts of objects" if table.counted else "masks"
        raise CorpuscleError(f"label errors are looked for among named classes, got {kind}; leave out --label-errors")
    named = table.frame["label"].drop_nulls()
    if named.n_unique() < 2:
        raise CorpuscleError(
            f"label errors are looked for among at least 2 classes, got {named.n_unique()} in {len(table)} images; "
            "leave out --label-errors, or name the column of labels with --label-column"
        )


def described(table: Table, read: ReadPlan, progress: Progress) -> list[np.ndarray]:
    """Descriptors of each image, a matrix a family, NaN where it cannot be read; kept in the cache."""
    paths = [table.path_of(image) for image in table.frame["image"]]
    known = "\n".join([str(FORMAT), read.model_dump_json(), *digests_of(paths, progress)])
    folder = cache_folder() / FEATURES / digest_of(known.encode())
    try:
        kept = np.load(folder / "descriptors.npz")
        os.utime(folder)  # the longest unused go first
        return [kept[name] for name in kept.files]
    except (OSError, EOFError, ValueError, KeyError):  # not there, or damaged
        pass
    rows = list(progress.track(in_threads(partial(_describe, read=read), paths), "describing images", len(paths)))
    sound = next((row for row in rows if row), ())
    if not sound:
        raise CorpuscleError(f"none of the {len(paths)} images can be read; inspect says why without --label-errors")
    unread = tuple(np.full(len(family), np.nan, np.float32) for family in sound)
    families = [np.stack(family) for family in zip(*(row or unread for row in rows), strict=True)]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_room(cache_folder(), sum(family.nbytes for family in families))
        with whole_file(folder / "descriptors.npz") as part, part.open("wb") as file:
            np.savez(file, *families)
    except (OSError, CorpuscleError) as error:
        progress.say(f"no cache in {folder} ({error}); images are described each time")
    return families


def _describe(path: Path, read: ReadPlan) -> tuple[np.ndarray, ...]:
    try:
        return descriptors(prepare(read_pixels(path, read).array_HWC, ON_CANVAS))
    except CorpuscleError:
        return ()


def _judged(table: Table, readable_N: np.ndarray, unit_N: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Which rows can be judged, and why others cannot.

    Raises:
        CorpuscleError: fewer than two classes can.
    """
    label_N, notes = table.frame["label"].to_numpy(), []
    blocks = -(-len(table) // AT_ONCE)
    judged_N = readable_N.copy()
    for name in table.classes:
        groups = len(np.unique(unit_N[(label_N == name) & readable_N]))
        if groups < FEWEST * blocks:
            judged_N &= label_N != name
            notes.append(f"labels {name} are not judged: {groups} images or groups, {FEWEST * blocks} are needed")
    if len(np.unique(label_N[judged_N].astype(str))) < 2:
        raise CorpuscleError(
            f"label errors are looked for among classes of at least {FEWEST * blocks} images or groups, got "
            f"{'; '.join(notes)}; add images, or leave out --label-errors"
        )
    return judged_N, notes


def _held_out(
    families: list[np.ndarray], label_N: np.ndarray, unit_N: np.ndarray, seed: int, progress: Progress
) -> tuple[np.ndarray, float]:
    """Probabilities by models that have not seen an image or its unit, and the margin below which errors lie."""
    random = generator_for(seed, "label errors")
    classes = int(label_N.max()) + 1
    outputs_NK, planted = np.zeros((len(label_N), classes)), []
    blocks = list(_blocks(label_N, unit_N, random))
    for place_B in progress.track(blocks, "judging labels", len(blocks)):
        inverse_BB = _inverse([family_NC[place_B] for family_NC in families])
        label_B, unit_B = label_N[place_B], unit_N[place_B]
        outputs_NK[place_B] = _left_out(inverse_BB, _targets(label_B, classes), unit_B)
        for _ in range(ROUNDS):
            changed_B = random.random(len(label_B)) < PLANTED
            wrong_B = np.where(changed_B, (label_B + random.integers(1, classes, len(label_B))) % classes, label_B)
            probs_BK = _probabilities(_left_out(inverse_BB, _targets(wrong_B, classes), unit_B), wrong_B)
            planted.append(_margin(probs_BK, wrong_B)[changed_B])
    margins = np.concatenate(planted)
    threshold = float(np.quantile(margins, SHOWN_ERRORS)) if len(margins) else 0.0
    return _probabilities(outputs_NK, label_N), threshold


def _blocks(label_N: np.ndarray, unit_N: np.ndarray, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Places of at most about `AT_ONCE` images, whole units, each with the same mix of classes."""
    blocks = -(-len(label_N) // AT_ONCE)
    units, first, inverse_N = np.unique(unit_N, return_index=True, return_inverse=True)
    order = np.lexsort([random.random(len(units)), label_N[first]])
    block_U = np.empty(len(units), int)
    block_U[order] = np.arange(len(units)) % blocks
    for block in range(blocks):
        yield np.flatnonzero(block_U[inverse_N] == block)


def _inverse(families: list[np.ndarray]) -> np.ndarray:
    """(kernel + penalty)⁻¹ of the images, each family of descriptors with the same weight."""
    distance_BB = np.zeros((len(families[0]), len(families[0])), np.float32)
    for family_BC in families:
        spread_C = family_BC.std(axis=0)
        scaled_BC = (family_BC - family_BC.mean(axis=0)) / np.where(spread_C > 0, spread_C, 1)
        scaled_BC = np.clip(scaled_BC, -FURTHEST, FURTHEST) / np.sqrt(scaled_BC.shape[1])
        length_B = (scaled_BC**2).sum(axis=1)
        distance_BB += length_B[:, None] + length_B - 2 * scaled_BC @ scaled_BC.T
    kernel_BB = np.exp(-WIDTH / len(families) * np.maximum(distance_BB, 0))
    kernel_BB[np.diag_indices(len(kernel_BB))] = 1 + PENALTY
    return np.linalg.inv(kernel_BB)


def _targets(label_N: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes)[label_N] - 1 / classes


def _left_out(inverse_BB: np.ndarray, target_BK: np.ndarray, unit_B: np.ndarray) -> np.ndarray:
    """What the regression gives for each unit when it learns from all the others.

    >>> inverse = np.linalg.inv([[2.0, 1.0], [1.0, 2.0]])
    >>> _left_out(inverse, np.array([[1.0], [3.0]]), np.array([0, 1])).round(6).tolist()
    [[1.5], [0.5]]
    """
    weight_BK = inverse_BB @ target_BK
    left_BK = target_BK - weight_BK / inverse_BB.diagonal()[:, None]
    _, at_B, number_U = np.unique(unit_B, return_inverse=True, return_counts=True)
    for unit in np.flatnonzero(number_U > 1):
        place_M = np.flatnonzero(at_B == unit)
        left_BK[place_M] = target_BK[place_M] - np.linalg.solve(
            inverse_BB[np.ix_(place_M, place_M)], weight_BK[place_M]
        )
    return left_BK


def _probabilities(outputs_NK: np.ndarray, label_N: np.ndarray) -> np.ndarray:
    sharp_NK = special.softmax(SHARPNESS * outputs_NK, axis=1)
    return apply_temperature(sharp_NK, fit_temperature(sharp_NK, label_N))


def _margin(probs_NK: np.ndarray, label_N: np.ndarray) -> np.ndarray:
    own = np.arange(len(label_N)), label_N
    others_NK = probs_NK.copy()
    others_NK[own] = -1.0
    return probs_NK[own] - others_NK.max(axis=1)


def suspects_of(
    frame: pl.DataFrame, classes: Sequence[str], found: Confident, margin: float = 0.0
) -> tuple[Suspect, ...]:
    """The suspected labels up to a margin, the worst first.

    Args:
        frame: `image` and `label` of what was judged.
        classes: names in the order of the probabilities.
        found: by `confident_learning`.
        margin: probability of the label less that of the suggested class, at most.
    """
    places = [place for place in found.ranked.tolist() if found.margin_N[place] <= margin]
    own_N = found.self_confidence_N
    return tuple(
        Suspect(
            image=frame["image"][place],
            label=frame["label"][place],
            suggested=classes[found.suggested_N[place]],
            self_confidence=float(own_N[place]),
            suggested_confidence=float(own_N[place] - found.margin_N[place]),
            rank=rank,
        )
        for rank, place in enumerate(places, 1)
    )
