"""Steps on the table: fewer rows for a quick look, rows with another background, and copies that balance the classes.

Each takes a divided table and gives one. None but a row of the training part is left out, changed or made of, and a row
that is made stands behind all others, so that the places of these stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.core.seeds import generator_for
from corpuscle.core.settings import Settings
from corpuscle.data.budget import within_budget
from corpuscle.data.splits import SplitPlan

if TYPE_CHECKING:
    import polars as pl

    from corpuscle.data.table import Table

Background = Literal["removed", "replaced", "swapped"]
LEFT_OUT, COPY = "left out of the subset", "copy"
MADE = ("step", "of", "donor", "copy")  # columns that steps add


class StepsPlan(Settings):
    """What is done to the training part after it was divided; the validation and the test part stay as they are."""

    subset: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the training part that is used, for a quick look: by group, with the same mix of classes",
    )
    apply_mask: tuple[Background, ...] = Field(
        (),
        description="new training images by masks, one of each image for each: background removed (the mean colour in "
        "its place), replaced (a smooth field in the colours of backgrounds), or swapped (that of an image of another "
        "class and group)",
    )
    keep: tuple[str, ...] = Field(
        (), description="classes of the masks that are the object; all but the background if empty"
    )
    balance: Literal["none", "augmented"] = Field(
        "none",
        description="augmented: repeat the rows of rarer classes until each has as many as the largest; augmentation "
        "varies each in its own way",
    )

    @field_validator("apply_mask", "keep", mode="before")
    @classmethod
    def _one_or_several(cls, words: Any) -> Any:
        return tuple(word.strip() for word in words.split(",")) if isinstance(words, str) else words

    @field_validator("apply_mask")
    @classmethod
    def _each_once(cls, kinds: tuple[Background, ...]) -> tuple[Background, ...]:
        if len(set(kinds)) < len(kinds):
            raise ValueError("should name each kind of background once; steps.balance=augmented repeats rows")
        return kinds


def stepped(
    table: Table, plan: StepsPlan, masked_N: np.ndarray, seed: int, together: Iterable[Collection[str]] = ()
) -> Table:
    """The table after all steps: subset, then masks, then balance.

    Args:
        table: divided.
        plan: which steps.
        masked_N: rows whose mask shows an object and something around it.
        seed: of the choices.
        together: sets of image names that a subset has all or none of, for example copies of one another.

    Returns:
        The table with what was done in words among its notes, made rows behind the others, and the columns
            `step` (what was done to a row, or made it; null where nothing was),
            `of` (image that a made row is made of),
            `donor` (image that its background is from) and
            `copy` (1, or the number of the repetition).

    Raises:
        DataFault: classes without a training image.
        CorpuscleError: no mask can be used, or there is no other background.
    """
    import polars as pl

    empty = [pl.lit(None, pl.Int64 if name == "copy" else pl.String).alias(name) for name in MADE]
    table = table.with_frame(table.frame.with_columns(empty))
    if plan.subset < 1:
        table = take_subset(table, plan.subset, seed, together)
    donors = Donors.of(table.frame, masked_N, seed)
    if plan.apply_mask:
        table = change_backgrounds(table, plan.apply_mask, donors)
    return balance(table, donors, seed) if plan.balance == "augmented" else table


def take_subset(table: Table, share: float, seed: int, together: Iterable[Collection[str]] = ()) -> Table:
    """Leave out training rows but for a share: those whose labels a budget of that share would use.

    Raises:
        DataFault: classes without an image in the subset, or groups larger than it; all at once.
    """
    import polars as pl

    try:
        within = within_budget(table, SplitPlan(budget=share), seed, together)
    except DataFault as error:
        faults = [replace(fault, remedy=fault.remedy.replace("split.budget", "steps.subset")) for fault in error.faults]
        raise DataFault(faults) from None
    train = (table.frame["split"] == "train").fill_null(False)
    out = train & (within.frame["split"] != "train").fill_null(True)
    frame = table.frame.with_columns(
        split=pl.when(~out).then("split"), step=pl.when(out).then(pl.lit(LEFT_OUT)).otherwise("step")
    )
    used, whole = int((train & ~out).sum()), "the validation and the test part are whole"
    return _noted(table, frame, f"steps.subset: {used} of {train.sum()} training images; {whole}")


def change_backgrounds(table: Table, kinds: Sequence[Background], donors: Donors) -> Table:
    """A new row of each training image that has a usable mask, for each kind of background.

    Raises:
        CorpuscleError: no image has one, or there is no other background.
    """
    import polars as pl

    sources = table.frame.filter((pl.col("split") == "train") & pl.col("of").is_null())
    usable = sources.filter(pl.col("image").is_in(donors.images))
    if usable.is_empty():
        raise CorpuscleError(
            f"steps.apply_mask expects masks that show an object and what is around it, none of the {len(sources)} "
            "training images has one; mend the masks, name their classes in steps.keep, or leave it out"
        )
    for kind in kinds:
        images = usable["image"]
        donor = [donors.drawn(image, 1) if kind == "swapped" else None for image in images]
        if kind == "swapped" and not any(donor):
            raise CorpuscleError(
                "steps.apply_mask=swapped expects a training image of another class and group with a mask, there is "
                "none; leave swapped out"
            )
        made = [
            _made(source, kind, 1, other)
            for source, other in zip(usable.iter_rows(named=True), donor, strict=True)
            if other or kind != "swapped"
        ]
        note = f"steps.apply_mask: {len(made)} training images made with their background {kind}"
        table = _noted(table, _with_rows(table.frame, made), note)
    return table


def balance(table: Table, donors: Donors, seed: int) -> Table:
    """Repeat training rows of each class in turn, in a drawn order, until it has as many as the largest.

    A row whose background is drawn gets another one in each copy.

    Raises:
        DataFault: classes without a training row, all at once.
    """
    import polars as pl

    train = table.frame.filter(pl.col("split") == "train")
    rows_of = {label: train.filter(pl.col("label") == label).rows(named=True) for label in table.classes}
    lost = [label for label, rows in rows_of.items() if not rows]
    if lost:
        what, remedy = "no training image, so none can be repeated", "add some, or leave out steps.balance"
        raise DataFault([Fault(f"class {label}", what, remedy) for label in lost])
    largest = max(map(len, rows_of.values()))
    made: list[dict[str, Any]] = []
    for label, rows in rows_of.items():
        order = generator_for(seed, "balance", label).permutation(len(rows))
        for number in range(largest - len(rows)):
            row, copy = rows[order[number % len(rows)]], 2 + number // len(rows)
            kind, image = (row["step"] or COPY).removeprefix("background "), row["of"] or row["image"]
            made.append(_made(row | {"image": image}, kind, copy, donors.drawn(image, copy) if row["donor"] else None))
    note = f"steps.balance: {len(made)} copies, so that each class has {largest} training images"
    return _noted(table, _with_rows(table.frame, made), note)


def without_made(table: Table) -> Table:
    """The images alone, without the rows that steps made of them."""
    import polars as pl

    return table.with_frame(table.frame.filter(pl.col("of").is_null())) if table.stepped else table


def made_counts(table: Table) -> dict[str, dict[str, int]]:
    """How many rows each step made of each class."""
    if not table.stepped:
        return {}
    rows = table.frame.drop_nulls("of").group_by("step", "label").len().sort("step", "label").rows()
    return {step: {label: number for one, label, number in rows if one == step} for step, *_ in rows}


@dataclass(frozen=True)
class Donors:
    """Training images whose mask shows an object and a background, which they can give.

    Attributes:
        images: their names, in order.
        place_of: name to place among them.
        label_D, group_D: numbers of their classes and groups.
        seed: of the choices among them.
    """

    images: tuple[str, ...]
    place_of: dict[str, int]
    label_D: np.ndarray
    group_D: np.ndarray
    seed: int

    @classmethod
    def of(cls, frame: pl.DataFrame, masked_N: np.ndarray, seed: int) -> Donors:
        """Those among the rows of a table whose mask can be used."""
        import polars as pl

        rows = frame.filter((pl.col("split") == "train") & pl.Series(masked_N, dtype=pl.Boolean)).sort("image")
        words = rows.select(pl.col("label").fill_null(""), group=pl.coalesce("group", "image"))
        label_D, group_D = (np.unique(words[name].to_numpy(), return_inverse=True)[1] for name in words.columns)
        images = tuple(rows["image"])
        return cls(images, {image: place for place, image in enumerate(images)}, label_D, group_D, seed)

    def drawn(self, image: str, copy: int) -> str | None:
        """One of another class and group, a function of (seed, image, copy) and the donors; None if there is none."""
        at = self.place_of[image]
        others = np.flatnonzero((self.label_D != self.label_D[at]) & (self.group_D != self.group_D[at]))
        if not len(others):
            return None
        return self.images[others[generator_for(self.seed, "donor", image, copy).integers(len(others))]]


def _made(source: dict[str, Any], kind: str, copy: int, donor: str | None) -> dict[str, Any]:
    """The row that a step makes of that of an image; `kind` is that of its background, or `COPY`."""
    image, step = source["image"], kind if kind == COPY else f"background {kind}"
    name = f"{image} ({step} {copy})" if copy > 1 else f"{image} ({step})"
    return source | {"image": name, "step": step, "of": image, "donor": donor, "copy": copy}


def _with_rows(frame: pl.DataFrame, made: Sequence[dict[str, Any]]) -> pl.DataFrame:
    import polars as pl

    return pl.concat([frame, pl.DataFrame(made, schema=frame.schema)])


def _noted(table: Table, frame: pl.DataFrame, note: str) -> Table:
    return replace(table, frame=frame, notes=(*table.notes, note))
