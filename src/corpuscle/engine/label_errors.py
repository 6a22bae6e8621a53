"""Labels that may be wrong, by what each image is said to be by a model that has not seen it.

The model is a kernel ridge regression on descriptors that need no training. What it says of an image, or a group of
images, when all others are learned from follows from one inverse (R. Rifkin, R. Lippert, Notes on regularized least
squares, 2007), so that no fold of a cross-validation is trained.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import special

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.seeds import generator_for
from corpuscle.data.doctor.finding import Finding
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.splits import units_of
from corpuscle.data.table import Table
from corpuscle.engine.described import described
from corpuscle.metrics.doubt import Doubts, doubts

WIDTH, PENALTY = 0.3, 0.3  # of the kernel exp(-width × mean squared difference), and of the ridge
FURTHEST = 5.0  # standard deviations; what is further off counts as this far
AT_ONCE = 4000  # images that learn from each other: the inverse grows with the square
FEWEST = 5  # groups of a class, below which nothing can be said of its labels
SHARPNESS = 10.0  # brings the regression's outputs near to probabilities before their temperature is fitted
TINY = float(np.finfo(np.float32).tiny)
REMEDY = "look at each and mend the label where it is wrong; nothing is changed by itself"


@dataclass(frozen=True)
class Suspect:
    """An image whose label may be wrong.

    Attributes:
        image, label: as the table has them.
        suggested: the class it looks like.
        self_confidence, suggested_confidence: probabilities of the label and of the suggested class, by a model that
            has not seen the image, by the label itself, and by those of its copies.
        rank: 1 for the likeliest error.
        copies: images that show nearly the same and are labelled as suggested.
    """

    image: str
    label: str
    suggested: str
    self_confidence: float
    suggested_confidence: float
    rank: int
    copies: tuple[str, ...] = ()

    @property
    def finding(self) -> Finding:
        """The same for a reader."""
        what = f"{self.image} is labelled {self.label}, it looks like {self.suggested}"
        if self.copies:
            what += f", and {self.copies[0]} shows nearly the same and is labelled {self.suggested}"
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
    copies: Iterable[Collection[str]] = (),
    together: Iterable[Collection[str]] = (),
    seed: int = 0,
    progress: Progress = SILENT,
) -> LabelErrors:
    """Look for labels that may be wrong.

    Args:
        table: images of classes; parts of a split are not regarded, unlabelled images are left out.
        read: limits of the reader.
        copies: sets of images that show nearly the same: none is learned from to judge another, as none of a group is,
            but labels of theirs that differ cannot all be right.
        together: other sets that are not learned from to judge each other, such as crops that overlap.
        seed: of how very many images are divided.
        progress: shows how far it is, and says how well the classes are told apart.

    Raises:
        CorpuscleError: images without classes, or too few of them.
    """
    check_classes(table)
    table, copies = table.with_frame(table.frame.filter(table.known)), list(copies)
    families = described(table, read or ReadPlan(), progress)
    unit_N = units_of(table.frame, [*copies, *together])
    judged, notes = _judged(table, np.isfinite(families[0]).all(axis=1), unit_N)
    frame = table.frame.filter(pl.Series(judged))
    classes = [name for name in table.classes if name in set(frame["label"])]
    label_N = np.array([classes.index(name) for name in frame["label"]])
    families = [family_NC[judged] for family_NC in families]
    probs_NK = _held_out(families, label_N, unit_N[judged], generator_for(seed, "label errors"), progress)
    return weighed(frame, classes, probs_NK, copies, notes, progress)


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
    families: list[np.ndarray], label_N: np.ndarray, unit_N: np.ndarray, random: np.random.Generator, progress: Progress
) -> np.ndarray:
    """probs_NK by models that have not seen an image or its unit."""
    classes = int(label_N.max()) + 1
    outputs_NK = np.zeros((len(label_N), classes))
    blocks = list(_blocks(label_N, unit_N, random))
    for place_B in progress.track(blocks, "judging labels", len(blocks)):
        inverse_BB = _inverse([family_NC[place_B] for family_NC in families])
        target_BK = np.eye(classes)[label_N[place_B]] - 1 / classes
        outputs_NK[place_B] = _left_out(inverse_BB, target_BK, unit_N[place_B])
    return special.softmax(SHARPNESS * outputs_NK, axis=1)


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
    """(kernel + penalty)⁻¹ of the images: Fisher vectors, the last family, weigh as much as all others together."""
    *plain, fisher_BV = families
    distance_BB = np.zeros((len(fisher_BV), len(fisher_BV)), np.float32)
    for family_BC in plain:
        spread_C = family_BC.std(axis=0)
        scaled_BC = (family_BC - family_BC.mean(axis=0)) / np.where(spread_C > 0, spread_C, 1)
        scaled_BC = np.clip(scaled_BC, -FURTHEST, FURTHEST) / np.sqrt(scaled_BC.shape[1])
        distance_BB += _squared_distances(scaled_BC) / len(plain)
    of_squares_BB = _squared_distances(fisher_BV)
    scale = float(distance_BB.mean()) / max(float(of_squares_BB.mean()), TINY)
    kernel_BB = np.exp(-WIDTH / 2 * (distance_BB + scale * of_squares_BB))
    kernel_BB[np.diag_indices(len(kernel_BB))] = 1 + PENALTY
    return np.linalg.inv(kernel_BB)


def _squared_distances(vector_BC: np.ndarray) -> np.ndarray:
    length_B = (vector_BC**2).sum(axis=1)
    return np.maximum(length_B[:, None] + length_B - 2 * vector_BC @ vector_BC.T, 0)


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


def weighed(
    frame: pl.DataFrame,
    classes: Sequence[str],
    probs_NK: np.ndarray,
    copies: Iterable[Collection[str]],
    notes: Sequence[str],
    progress: Progress,
) -> LabelErrors:
    """What held-out predictions say of labels, told to the reader.

    Args:
        frame: `image` and `label` of what was judged.
        classes: names in the order of the probabilities.
        probs_NK: of each image, by models that have not seen it.
        copies: sets of images that show nearly the same.
        notes: what could not be judged.
        progress: says how well the classes are told apart.
    """
    label_N = np.array([classes.index(name) for name in frame["label"]])
    of_copies_N = units_of(frame.with_columns(group=pl.lit(None, pl.String)), copies)
    sets = [np.flatnonzero(of_copies_N == unit) for unit in np.flatnonzero(np.bincount(of_copies_N) > 1)]
    found = doubts(probs_NK, label_N, sets)
    accuracy = float((probs_NK.argmax(axis=1) == label_N).mean())
    progress.say(f"{accuracy:.1%} of {len(frame)} labels are named by a model that has not seen the image")
    for note in notes:
        progress.say(f"note: {note}")
    return LabelErrors(_suspects(frame, classes, found, sets), accuracy, len(frame), tuple(notes))


def _suspects(
    frame: pl.DataFrame, classes: Sequence[str], found: Doubts, copies: Sequence[np.ndarray]
) -> tuple[Suspect, ...]:
    """The suspected labels, the worst first."""
    copies_of = {row: row_M for row_M in copies for row in row_M.tolist()}
    suspects = []
    for rank, row in enumerate(found.ranked.tolist(), 1):
        suggested = classes[found.suggested_N[row]]
        same = frame.select("image", "label")[copies_of.get(row, [])].rows()
        suspects.append(
            Suspect(
                image=frame["image"][row],
                label=frame["label"][row],
                suggested=suggested,
                self_confidence=float(found.self_confidence_N[row]),
                suggested_confidence=float(found.probs_NK[row, found.suggested_N[row]]),
                rank=rank,
                copies=tuple(image for image, label in same if label == suggested),
            )
        )
    return tuple(suspects)
