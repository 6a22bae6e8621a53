"""What a survey of the images means: which rows are set aside, which are copies, and when a run must not start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl
from pydantic import Field

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.core.settings import Settings
from corpuscle.data.doctor.faults import is_blank
from corpuscle.data.doctor.finding import Finding
from corpuscle.data.doctor.leaks import find_copies
from corpuscle.data.table import Table


class GuardPlan(Settings):
    """What a run accepts of its data."""

    max_faulty: float = Field(0.01, ge=0.0, le=1.0, description="share of unreadable images a run goes on without")
    allow_leaks: bool = Field(False, description="train although parts share groups, copies, near-copies or fields")
    near_copies: Literal["together", "ignore"] = Field(
        "together", description="images that are nearly the same: keep them in one part of a split, or look for none"
    )
    overlaps: Literal["together", "ignore"] = Field(
        "ignore", description="crops of one field that overlap: keep them in one part of a split, or look for none"
    )


@dataclass(frozen=True)
class Audit:
    """The findings, ready to be shown and acted upon.

    Attributes:
        faults: a fault an image that cannot be used, for itself or its mask, in the table's order.
        copies: images with identical pixels, together.
        disagreeing: those copies whose labels differ.
        sound: the table's rows that are used, as a mask over its rows.
        empty: images whose mask is background all over.
        near: images that are nearly the same, together.
        overlaps: images that show some of the same field, together.
        found: everything that was found, before the rows are divided.
    """

    faults: tuple[Fault, ...]
    copies: tuple[tuple[str, ...], ...]
    disagreeing: tuple[tuple[str, ...], ...]
    sound: pl.Series
    empty: tuple[str, ...] = ()
    near: tuple[tuple[str, ...], ...] = ()
    overlaps: tuple[tuple[str, ...], ...] = ()
    found: tuple[Finding, ...] = ()

    @property
    def together(self) -> tuple[tuple[str, ...], ...]:
        """Sets of images that must be in one part of a split."""
        return (*self.copies, *self.near, *self.overlaps)


def audit(table: Table, seen: pl.DataFrame) -> Audit:
    """Read the findings off a survey.

    Args:
        table: the rows that were surveyed.
        seen: `Survey.frame`, a row for each of them; of a table of masks `MaskSurvey.joined`.
    """
    rows = pl.concat([table.frame.select("image", table.truth), seen], how="horizontal")
    bad = rows.filter(pl.col("fault").is_not_null())
    faults = tuple(Fault(image, what, remedy) for image, what, remedy in bad.select("image", "fault", "remedy").rows())
    sound = rows.filter(pl.col("fault").is_null())
    labels = dict(sound.select("image", "label").rows())
    showing = sound.filter(~is_blank(sound))  # glass that many slides have is no copy of one another
    copies = find_copies(dict(showing.select("image", "content").rows()), labels)
    return Audit(
        faults=faults,
        copies=copies.same,
        disagreeing=copies.disagreeing,
        sound=seen["fault"].is_null(),
        empty=_empty(sound) if table.segmented else (),
    )


def check_faults(table: Table, findings: Audit, plan: GuardPlan) -> None:
    """Refuse data with too many unreadable images, or a class left without one, or masks that show nothing.

    Raises:
        DataFault: names them all.
    """
    total, bad = len(table.frame), len(findings.faults)
    read = "used" if table.segmented else "read"
    if bad == total:
        first = findings.faults[0]
        raise CorpuscleError(
            f"none of the {total} images can be {read} (first: {first.where}: {first.what}); {first.remedy}"
        )
    if bad > plan.max_faulty * total:
        summary = Fault(
            f"{bad} of {total} images",
            f"cannot be {read}, more than the {plan.max_faulty * 100:g} % a run goes on without",
            f"mend or remove them, or pass --set guard.max_faulty={-(-bad * 100 // total) / 100:g}",
        )
        raise DataFault([summary, *findings.faults])
    if table.segmented and len(findings.empty) == (table.known & findings.sound).sum():
        what = f"of {len(findings.empty)} images are background all over"
        raise DataFault([Fault("the masks", what, f"mark {_listed(table.classes[1:])}, or mend the legend")])
    if table.counted or table.segmented:
        return
    labelled = table.frame.filter(findings.sound)["label"].drop_nulls().unique().to_list()
    lost = [name for name in table.classes if name not in labelled]
    if lost:
        label_of = dict(table.frame.select("image", "label").iter_rows())
        unread = {label_of[fault.where] for fault in findings.faults}
        told = "none of its images is used: they are blank, or copies with other labels"
        reason = {name: "none of its images can be read" if name in unread else told for name in lost}
        raise DataFault([Fault(f"class {name}", reason[name], "mend its images") for name in lost])


def _empty(rows: pl.DataFrame) -> tuple[str, ...]:
    """The images whose mask shows no class but the background."""
    return tuple(rows.filter(pl.col("pixels").list.slice(1).list.sum() == 0)["image"])


def _listed(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
