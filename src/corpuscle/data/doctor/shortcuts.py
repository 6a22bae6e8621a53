"""The shortcut test: what is not the picture, and tells its class all the same: size, format, camera, border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from corpuscle.core.seeds import seed_for
from corpuscle.data.doctor.finding import Finding

if TYPE_CHECKING:
    import polars as pl

    from corpuscle.data.table import Table

FOLDS, LEAST_OF_CLASS, MOST = 5, 10, 20_000  # images: fewer of a class are not asked about, more are drawn from
DEPTH, LEAF, COMMON = 5, 5, 12  # of the trees; modes, formats or cameras that are told apart
CHANCE = 1e-4  # of a finding where there is nothing, each source by itself
GAIN, TOLD = 0.1, 0.5  # least share of the errors that it saves; or of one class, told beyond what others are
CONTENT_GAIN, CONTENT_TOLD = 0.5, 0.8  # of what is partly the picture
MORE = 0.02  # accuracy that all together give beyond the best, to be told
REMEDY = "a net may learn this and not the picture: mix the sources, or judge on images from elsewhere"
CONTENT_REMEDY = "it is partly the picture itself; where it should not be, mix the sources or judge on others"


@dataclass(frozen=True)
class Source:
    """Something that is known of an image without looking at what it shows.

    Attributes:
        columns: of the survey.
        content: whether it is partly the picture.
    """

    columns: tuple[str, ...]
    content: bool = False


BYTES = "bytes a pixel"
SOURCES = {
    "image size": Source(("height", "width")),
    "image mode": Source(("mode",)),
    "file format": Source(("format",)),
    "JPEG quality": Source(("quality",)),
    "camera": Source(("camera",)),
    "bars around the picture": Source(("bar_top", "bar_bottom", "bar_left", "bar_right")),
    BYTES: Source((BYTES,), content=True),
    "border colour": Source(("border_red", "border_green", "border_blue"), content=True),
}


@dataclass(frozen=True)
class Told:
    """How well a source tells the class, of images that were not learned from.

    Attributes:
        accuracy: share of the images whose class it tells.
        majority: the same of naming the commonest class always.
        best: the class that it tells best.
        found, mistaken: share of that class that it finds, and of the other images that it takes for it.
        chance: how likely such an accuracy is where it tells nothing.
    """

    accuracy: float
    majority: float
    best: str
    found: float
    mistaken: float
    chance: float

    def counts(self, content: bool) -> bool:
        """Whether it is a shortcut."""
        gain, told = (CONTENT_GAIN, CONTENT_TOLD) if content else (GAIN, TOLD)
        saved = (self.accuracy - self.majority) / (1 - self.majority)
        return self.chance < CHANCE and (saved >= gain or self.found - self.mistaken >= told)


def shortcuts(table: Table, seen: pl.DataFrame, seed: int = 0) -> list[Finding]:
    """Sources that tell the class by themselves, the best first, and all together where that tells more.

    A small decision tree learns the class from each source and is judged on images it has not seen, whole groups at a
    time, against naming the commonest class.

    Args:
        table: the rows that were surveyed; only images that are named by their class are asked about.
        seen: `Survey.frame`, a row for each of them.
        seed: of the folds.
    """
    import polars as pl

    if table.counted or table.segmented:
        return []
    per_pixel = (pl.col("file_bytes") / (pl.col("height") * pl.col("width"))).alias(BYTES)
    rows = pl.concat([table.frame.select("label", "group"), seen.with_columns(per_pixel)], how="horizontal")
    rows = rows.filter(pl.col("label").is_not_null() & pl.col("height").is_not_null())
    rows = rows.filter(pl.len().over("label") >= LEAST_OF_CLASS)
    if rows["label"].n_unique() < 2 or 0 < rows["group"].n_unique() - rows["group"].has_nulls() < LEAST_OF_CLASS:
        return []
    if len(rows) > MOST:
        rows = rows.sample(MOST, seed=seed_for(seed, "shortcuts") % 2**32)
    known = {name: _features(rows, source.columns) for name, source in SOURCES.items()}
    known = {name: feature_NC for name, feature_NC in known.items() if feature_NC.shape[1]}
    told = {name: _told(feature_NC, rows, seed) for name, feature_NC in known.items()}
    found = {name: one for name, one in told.items() if one.counts(SOURCES[name].content)}
    outside = [name for name in known if not SOURCES[name].content]
    if len(outside) > 1:
        together = _told(np.hstack([known[name] for name in outside]), rows, seed)
        if together.counts(content=False) and together.accuracy >= MORE + max(
            (one.accuracy for one in found.values()), default=together.majority
        ):
            found[" and ".join([", ".join(outside[:-1]), outside[-1]])] = together
    return [_finding(name, one) for name, one in sorted(found.items(), key=lambda item: -item[1].accuracy)]


def _features(rows: pl.DataFrame, columns: tuple[str, ...]) -> np.ndarray:
    """Numbers as they are, of words which it is; nothing of a column that has one value only or none."""
    import polars as pl

    features = []
    for name in columns:
        column = rows[name]
        if column.n_unique() < 2:
            continue
        if column.dtype == pl.String:
            common = column.value_counts(sort=True)[name].to_list()[:COMMON]
            features += [column.eq_missing(pl.Series([value], dtype=pl.String)).to_numpy() for value in common]
        else:
            features.append(column.cast(pl.Float64).fill_null(-1).to_numpy())
    return np.stack(features, axis=1).astype(np.float32) if features else np.zeros((len(rows), 0), np.float32)


def _told(feature_NC: np.ndarray, rows: pl.DataFrame, seed: int) -> Told:
    from scipy.stats import binom
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    classes, label_N = np.unique(rows["label"].to_numpy().astype(str), return_inverse=True)  # numbers are quicker
    group_N = None if rows["group"].null_count() == len(rows) else rows["group"].fill_null("").to_numpy()
    state = seed_for(seed, "shortcuts", "folds") % 2**32
    folds = (StratifiedKFold if group_N is None else StratifiedGroupKFold)(FOLDS, shuffle=True, random_state=state)
    tree = DecisionTreeClassifier(max_depth=DEPTH, min_samples_leaf=LEAF, random_state=state)
    said_N = cross_val_predict(tree, feature_NC, label_N, groups=group_N, cv=folds)
    right_N = said_N == label_N
    majority, accuracy = float(np.bincount(label_N).max() / len(label_N)), float(right_N.mean())
    independent = len(label_N) if group_N is None else len(np.unique(group_N))
    numbers = range(len(classes))
    shares = [(float(right_N[label_N == c].mean()), float((said_N[label_N != c] == c).mean())) for c in numbers]
    best = int(np.argmax([found - mistaken for found, mistaken in shares]))
    chance = float(binom.sf(round(accuracy * independent) - 1, independent, majority))
    return Told(accuracy, majority, str(classes[best]), *shares[best], chance)


def _finding(name: str, told: Told) -> Finding:
    content = name in SOURCES and SOURCES[name].content
    line = (
        f"{name} alone {'tell' if ' and ' in name else 'tells'} the class with accuracy {told.accuracy:.2f} "
        f"(majority {told.majority:.2f}); best {told.best}: {told.found:.0%} of its images, "
        f"and {told.mistaken:.0%} of the others"
    )
    return Finding("shortcut", line, CONTENT_REMEDY if content else REMEDY, values={"source": name, **vars(told)})
