"""Label budgets: the part of the training labels that is used, as where labels are dear."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.core.seeds import generator_for
from corpuscle.data.splits import SplitPlan, counted, strata_of, units_of

if TYPE_CHECKING:
    from corpuscle.data.table import Table


class BudgetFault(DataFault):
    """A budget that is too small.

    Attributes:
        smallest: share of the training part that works.
        images: so many these are.
    """

    def __init__(self, faults: Sequence[Fault], smallest: float, images: int) -> None:
        super().__init__(faults)
        self.smallest, self.images = smallest, images


def within_budget(table: Table, plan: SplitPlan, seed: int, together: Iterable[Collection[str]] = ()) -> Table:
    """The table with the training labels that the budget allows; the other rows of train become `unlabelled`.

    All training units (a group, a set of copies, or an image that is in neither) stand in one order that depends on
    the seed alone: first what gives each class an image, then all others so that any stretch from the start has nearly
    the mix of classes of the whole. A budget takes from the start, so the smaller one lies in the larger one.

    Args:
        table: rows with their split.
        plan: the budget.
        seed: the same seed gives the same labels.
        together: sets of image names, for example copies of one another.

    Raises:
        BudgetFault: classes without an image within the budget, or groups larger than it; all at once.
        DataFault: groups of more images of a class than `plan.per_class`.
        CorpuscleError: so many labels a class are asked for where images have counts or masks.
    """
    import polars as pl

    if plan.budget == 1 and not plan.per_class:
        return table
    if plan.per_class and (table.counted or table.segmented):
        raise CorpuscleError(
            f"split.per_class={plan.per_class} expects a class an image, these come with "
            f"{'numbers of objects' if table.counted else 'masks'}; pass --set split.budget=0.1, say"
        )
    frame = table.frame.with_row_index("_row").sort("image", "_row")
    train = (frame["split"] == "train").fill_null(False)
    units = _Units.of(table.with_frame(frame.filter(train)), seed, together)
    taken_U = units.of_each_class(plan.per_class) if plan.per_class else units.share(plan.budget)
    left_out = np.zeros(len(frame), bool)
    left_out[train.to_numpy()] = ~taken_U[units.unit_N]
    split = pl.when(pl.Series(left_out)).then(pl.lit("unlabelled")).otherwise("split").alias("split")
    return table.with_frame(frame.with_columns(split).sort("_row").drop("_row"))


@dataclass(frozen=True)
class _Units:
    """The training part by units.

    Attributes:
        classes: names of the classes, or of the strata where there are none.
        unit_N: unit of each row.
        names: what each unit is called in a message.
        count_UC: images of each class.
        order_U: the units as budgets take them.
        first: so many of these are needed whatever the budget.
    """

    classes: list[str]
    unit_N: np.ndarray
    names: list[str]
    count_UC: np.ndarray
    order_U: np.ndarray
    first: int

    @classmethod
    def of(cls, table: Table, seed: int, together: Iterable[Collection[str]]) -> _Units:
        """The units of rows that are in the order of their images."""
        frame = table.frame
        classes, class_N = np.unique(strata_of(table).astype(str), return_inverse=True)
        unit_N = units_of(frame, together)
        count_UC = np.zeros((int(unit_N.max()) + 1, len(classes)), int)
        np.add.at(count_UC, (unit_N, class_N), 1)
        names = [""] * len(count_UC)
        for unit, image, group in zip(unit_N, frame["image"], frame["group"], strict=True):
            names[unit] = names[unit] or (f"group {group}" if group is not None else image)
        order_U = _mixed(count_UC, generator_for(seed, "budget"))
        front = [] if table.counted or table.segmented else _one_of_each(count_UC, order_U)
        order_U = np.concatenate([np.array(front, int), order_U[~np.isin(order_U, front)]])
        return cls(classes.tolist(), unit_N, names, count_UC, order_U, max(len(front), 1))

    def share(self, budget: float) -> np.ndarray:
        """Which units a share of the images takes: as many as do not exceed it."""
        size_U = self.count_UC.sum(axis=1)
        total, reached_U = int(size_U.sum()), np.cumsum(size_U[self.order_U])
        limit = math.floor(budget * total + 0.5)
        needed = int(reached_U[self.first - 1])
        if limit < needed:
            smallest = min(1.0, math.ceil(1e4 * needed / total) / 1e4)
            remedy = f"the smallest that works is split.budget={smallest:g} ({counted(needed, 'image')})"
            of = f"{budget * 100:g} % of the {total} training images ({limit})"
            raise BudgetFault(self._lacking(limit, of, remedy), smallest, needed)
        taken_U = np.zeros(len(size_U), bool)
        taken_U[self.order_U[reached_U <= limit]] = True
        return taken_U

    def _lacking(self, limit: int, of: str, remedy: str) -> list[Fault]:
        """Why the units that are needed are more than a budget."""
        needed = self.order_U[: self.first]
        size_U = self.count_UC.sum(axis=1)
        within = needed[np.cumsum(size_U[needed]) <= limit]
        lost = np.flatnonzero(self.count_UC[within].sum(axis=0) == 0)
        faults = [
            Fault(self.names[unit], f"{counted(size_U[unit], 'image')} that stay together, more than {of}", remedy)
            for unit in needed
            if size_U[unit] > max(limit, 1)
        ]
        return faults + [Fault(f"class {self.classes[k]}", f"no image within {of}", remedy) for k in lost]

    def of_each_class(self, number: int) -> np.ndarray:
        """Which units give at most so many images of each class, or all it has.

        Units of mixed classes count for the class of which they hold the largest share alone; of others they may bring
        more. Were these left out, a smaller number would not lie in a larger one.
        """
        home_U, taken_U = _home(self.count_UC), np.zeros(len(self.count_UC), bool)
        taken_U[self.order_U[: self.first]] = True
        least = self.count_UC[taken_U].max()
        remedy = f"the smallest that works is split.per_class={least}"
        faults = [
            Fault(self.names[unit], f"{most} images of class {self.classes[k]}, more than the {number} asked", remedy)
            for unit in self.order_U[: self.first]
            for k, most in enumerate(self.count_UC[unit])
            if most > number
        ]
        if faults:
            raise DataFault(faults)
        for k in range(len(self.classes)):
            own = self.order_U[home_U[self.order_U] == k]
            taken_U[own[np.cumsum(self.count_UC[own, k]) <= number]] = True
        return taken_U


def _home(count_UC: np.ndarray) -> np.ndarray:
    """The class of which each unit holds the largest share."""
    home_U: np.ndarray = (count_UC / count_UC.sum(axis=0)).argmax(axis=1)
    return home_U


def _mixed(count_UC: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The units in an order of chance in which each class comes at an even pace."""
    order_U, home_U = random.permutation(len(count_UC)), _home(count_UC)
    place_U = np.zeros(len(count_UC))
    for k in range(count_UC.shape[1]):
        own = order_U[home_U[order_U] == k]
        size = count_UC[own].sum(axis=1)
        place_U[own] = (np.cumsum(size) - size / 2) / max(size.sum(), 1)
    mixed_U: np.ndarray = order_U[np.argsort(place_U[order_U], kind="stable")]
    return mixed_U


def _one_of_each(count_UC: np.ndarray, order_U: np.ndarray) -> list[int]:
    """The first units of the order that hold all classes together, the rarest class first."""
    chosen: list[int] = []
    for k in np.argsort((count_UC > 0).sum(axis=0), kind="stable"):
        if not count_UC[chosen, k].any():
            chosen.append(int(order_U[count_UC[order_U, k] > 0][0]))
    return chosen
