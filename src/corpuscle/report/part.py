"""The finished numbers of one part of the data, as metrics.json holds them, by task."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from corpuscle.core.records import Score
from corpuscle.metrics.calibration import Bin
from corpuscle.metrics.classification import ClassScores

PART_WORDS = {"val": "validation", "test": "test", "train": "training"}


def in_words(parts: set[str]) -> dict[str, str]:
    """Parts in the order they are used, with their words; unknown ones last, as they are called.

    >>> in_words({"test", "train", "extra"})
    {'train': 'training', 'test': 'test', 'extra': 'extra'}
    """
    known = {name: PART_WORDS[name] for name in ("train", "val", "test") if name in parts}
    return known | {name: name for name in sorted(parts - set(known))}


@dataclass(frozen=True)
class JudgedPart:
    """What the numbers of a part rest on, and its scores, whatever the task.

    Attributes:
        n: number of images.
        groups: number of groups (patients, slides) they come from.
    """

    name: str
    n: int
    groups: int
    scores: Mapping[str, Score]

    @property
    def words(self) -> str:
        """The part as a reader calls it: `validation` for `val`."""
        return PART_WORDS.get(self.name, self.name)


@dataclass(frozen=True)
class Part(JudgedPart):
    """A part that was classified; rows of `confusion` are true classes, columns predicted ones."""

    per_class: Mapping[str, ClassScores]
    confusion: tuple[tuple[int, ...], ...]
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]


@dataclass(frozen=True)
class CountPart(JudgedPart):
    """A part that was counted; `scores` judge the total over the kinds.

    Attributes:
        per_class: kind to score name to score.
        objects: kind to the true number of its objects in all images of the part.
        distance: within which a found dot is taken for a true one, in pixels of the original; None without points.
    """

    per_class: Mapping[str, Mapping[str, Score]]
    objects: Mapping[str, int]
    distance: float | None

    @property
    def mean_count(self) -> float:
        """True objects an image, over all kinds; NaN where there is no image."""
        return sum(self.objects.values()) / self.n if self.n else math.nan


@dataclass(frozen=True)
class MaskPart(JudgedPart):
    """A part whose pixels were classified; rows of `confusion` are true classes, columns predicted ones, in pixels.

    Attributes:
        per_class: class to score name to score.
        pixels: class to its true pixels in all images of the part.
        images: class to the number of images that truly show it; 0 where the part cannot judge it.
    """

    per_class: Mapping[str, Mapping[str, Score]]
    pixels: Mapping[str, int]
    images: Mapping[str, int]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def absent(self) -> list[str]:
        """The classes that no image of the part shows."""
        return [kind for kind, images in self.images.items() if not images]


def classified_part(name: str, content: Mapping[str, Any]) -> Part:
    """One part of a classifier's metrics.json."""
    return Part(
        **_judged(name, content),
        per_class={
            key: ClassScores(
                **{score: _score(scores[score]) for score in ("precision", "recall", "f1", "auroc")},
                support=scores["support"],
            )
            for key, scores in content["per_class"].items()
        },
        confusion=_matrix(content["confusion"]),
        before=_bins(content.get("calibration", {}).get("before", ())),
        after=_bins(content.get("calibration", {}).get("after", ())),
    )


def counted_part(name: str, content: Mapping[str, Any]) -> CountPart:
    """One part of a counter's metrics.json."""
    return CountPart(
        **_judged(name, content),
        per_class=_by_kind(content),
        objects={kind: int(one["objects"]) for kind, one in content["per_class"].items()},
        distance=content.get("distance"),
    )


def segmented_part(name: str, content: Mapping[str, Any]) -> MaskPart:
    """One part of the metrics.json of a net that classifies pixels."""
    return MaskPart(
        **_judged(name, content),
        per_class=_by_kind(content),
        pixels={kind: int(one["pixels"]) for kind, one in content["per_class"].items()},
        images={kind: int(one["images"]) for kind, one in content["per_class"].items()},
        confusion=_matrix(content["confusion"]),
    )


def label_free_part(name: str, content: Mapping[str, Any]) -> JudgedPart:
    """One part of the metrics.json of a net that learned without labels."""
    return JudgedPart(**_judged(name, content))


PARTS: dict[str, Callable[[str, Mapping[str, Any]], JudgedPart]] = {
    "classify": classified_part,
    "cluster": label_free_part,
    "contrast": label_free_part,
    "count": counted_part,
    "reconstruct": label_free_part,
    "segment": segmented_part,
}


def _judged(name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """What every part has."""
    return {
        "name": name,
        "n": content["n"],
        "groups": content["groups"],
        "scores": _scores(content["scores"]),
    }


def _by_kind(content: Mapping[str, Any]) -> dict[str, dict[str, Score]]:
    return {kind: _scores(one["scores"]) for kind, one in content["per_class"].items()}


def _matrix(rows: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in rows)


def _scores(contents: Mapping[str, Any]) -> dict[str, Score]:
    return {name: _score(content) for name, content in contents.items()}


def _score(content: Mapping[str, Any]) -> Score:
    value, low, high = (_number(content[key]) for key in ("value", "low", "high"))
    return Score(value, low, high, content["n"], content["groups"], content["direction"])


def _bins(contents: Any) -> tuple[Bin, ...]:
    """The bins that hold anything."""
    return tuple(
        Bin(_number(b["low"]), _number(b["high"]), _number(b["confidence"]), _number(b["accuracy"]), b["n"])
        for b in contents
        if b["n"]
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
