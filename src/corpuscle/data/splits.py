"""Splits: which rows train the model, which choose its best epoch and which judge it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.core.seeds import generator_for
from corpuscle.core.settings import Settings

if TYPE_CHECKING:
    import polars as pl

    from corpuscle.data.table import Table

PARTS = ("train", "val", "test")
FOR_FOLDS, RANKS = 10, 4
REMEDY = "add images, ask for fewer parts or folds, or pass --set split.rare=train to keep it whole in train"


class SplitPlan(Settings):
    """How the rows are divided; rows that come with a split keep it."""

    test: float = Field(0.15, ge=0, lt=1, description="share of the rows that judge the finished model; 0 for none")
    val: float = Field(
        0.15,
        ge=0,
        lt=1,
        description="share of the rows that choose the best epoch; 0 for none. Where the test part is a fold or given: "
        "of the rows beside it",
    )
    folds: int = Field(0, ge=0, description="number of folds, each the test part once; 0 divides by ratio")
    fold: int = Field(1, ge=1, description="the fold that is the test part, counted from 1; unused without folds")
    stratify: bool = Field(True, description="give each part the same mix of classes")
    rare: Literal["refuse", "train"] = Field(
        "refuse", description="a class with fewer groups than parts: refuse it, or keep it whole in train"
    )
    budget: float = Field(
        1.0, description="share of the training part whose labels are used; the rest of it counts as unlabelled"
    )
    per_class: int = Field(
        0,
        ge=0,
        description="labels of each class that are used, in the place of a share (groups that hold several classes "
        "stay whole and may bring more); 0 goes by the budget",
    )

    @field_validator("val")
    @classmethod
    def _leaves_rows_to_train(cls, val: float, info: ValidationInfo) -> float:
        test = info.data.get("test", 0.0)
        if val + test >= 1:
            raise ValueError(f"should leave rows to train: less than {1 - test:g} beside split.test={test:g}")
        return val

    @field_validator("folds")
    @classmethod
    def _more_than_one_fold(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("should be 0 (by ratio) or at least 2")
        return folds

    @field_validator("fold")
    @classmethod
    def _is_one_of_the_folds(cls, fold: int, info: ValidationInfo) -> int:
        folds = info.data.get("folds", 0)
        if folds and fold > folds:
            raise ValueError(f"should be one of the {folds} folds, counted from 1")
        return fold

    @field_validator("budget")
    @classmethod
    def _is_a_share(cls, budget: float) -> float:
        if not 0 < budget <= 1:
            raise ValueError("should be a share of the training labels, above 0 and at most 1 (10 % is 0.1)")
        return budget

    @field_validator("per_class")
    @classmethod
    def _beside_no_budget(cls, per_class: int, info: ValidationInfo) -> int:
        if per_class and info.data.get("budget", 1.0) != 1:
            raise ValueError(f"should be 0 beside split.budget={info.data['budget']:g}: one of the two says how many")
        return per_class


def split_table(table: Table, plan: SplitPlan, seed: int, together: Iterable[Collection[str]] = ()) -> Table:
    """Give every labelled row a split: by group, stratified by label or count, the same whatever the rows' order.

    Rows of one group, and images that must stay together, are in one part. A row without a group is its own group.
    Where rows come with a split they keep it, and a validation part that is missing is taken from train alone. With
    folds, a column `fold` holds the fold in which a row is the test part (null: always in train).

    Args:
        table: rows of any source; unlabelled rows stay as they are.
        plan: shares or folds.
        seed: the same seed gives the same split.
        together: sets of image names, for example copies of one another.

    Raises:
        DataFault: classes with fewer groups than parts, or without a row in train; all at once.
        CorpuscleError: folds of rows that come with a test part, or a split given to some rows only.
    """
    import polars as pl

    frame = table.frame.with_row_index("_row").sort("image", "_row")
    ordered = table.with_frame(frame)
    labelled = (ordered.known & frame["split"].ne_missing("unlabelled")).to_numpy()
    split = np.where(labelled, frame["split"].to_numpy(), "unlabelled").astype(object)
    stratum_N = strata_of(ordered).astype(object)
    stratum_N[~labelled] = None
    rows = _Rows.of(frame, stratum_N, plan, together)
    given = {part: int(np.sum(split == part)) for part in PARTS}
    _check_given(given, int(labelled.sum()), plan)

    fold = None
    if plan.folds:
        shares = dict.fromkeys(map(str, range(1, plan.folds + 1)), 1 / plan.folds)
        fold = rows.divide(labelled, shares, "", generator_for(seed, "folds"))
        split[labelled] = np.where(fold[labelled] == str(plan.fold), "test", "train")
    elif not any(given.values()):
        shares = {"train": 1 - plan.val - plan.test, "val": plan.val, "test": plan.test}
        split = np.where(labelled, rows.divide(labelled, shares, "train", generator_for(seed, "split")), split)
    train = split == "train"
    if plan.val and train.any() and "val" not in split:
        shares = {"train": 1 - plan.val, "val": plan.val}
        split = np.where(train, rows.divide(train, shares, "train", generator_for(seed, "val", plan.fold)), split)
    _check_train(stratum_N[labelled], split[labelled])

    columns = [pl.Series("split", split.tolist(), pl.String)]
    if fold is not None:
        columns.append(pl.Series("fold", [int(name) if name else None for name in fold], pl.Int64))
    return table.with_frame(frame.with_columns(columns).sort("_row").drop("_row"))


def divide_anew(table: Table) -> Table:
    """The table without the parts it came with; what is unlabelled stays so."""
    import polars as pl

    return table.with_frame(table.frame.with_columns(split=pl.when(~table.known).then("split")))


def strata_of(table: Table) -> np.ndarray:
    """What each row is stratified by: its label; where objects are counted, how its group ranks by their mean number.

    Where masks are learned a label only balances the parts: a rare one counts with the commonest.

    Four ranks, or fewer where there are few groups: each should hold enough groups for ten folds.
    """
    import polars as pl

    if table.segmented:
        return _balancing(table.frame)
    if not table.counted:
        return table.frame["label"].to_numpy()
    units = table.frame.select(unit=pl.coalesce("group", "image"), number=pl.col("counts").list.sum())
    means = units.group_by("unit").agg(pl.col("number").mean()).sort("number", "unit", nulls_last=True)
    ranks = min(max(len(means) // FOR_FOLDS, 1), RANKS)
    rank = (pl.int_range(pl.len()) * ranks // pl.len() + 1).cast(pl.String)
    ranked = means.select("unit", stratum=pl.format("counts of rank {} of {}", rank, pl.lit(ranks)))
    return units.join(ranked, on="unit", how="left", maintain_order="left")["stratum"].to_numpy()


def _balancing(frame: pl.DataFrame) -> np.ndarray:
    """Labels that enough groups have, in the place of all others the commonest of them."""
    import polars as pl

    units = frame.select("label", unit=pl.coalesce("group", "image")).drop_nulls("label").unique()
    common = units["label"].value_counts(name="groups").filter(pl.col("groups") >= FOR_FOLDS)
    names = common.sort("groups", "label", descending=[True, False])["label"].to_list() or ["all"]
    kept = pl.when(pl.col("label").is_in(names)).then("label").otherwise(pl.lit(names[0]))
    return frame.select(kept).to_series().to_numpy()


@dataclass(frozen=True)
class _Rows:
    """Rows in image order: the stratum of each (-1: unlabelled), its unit (what stays together), and the plan."""

    classes: tuple[str, ...]
    class_of: np.ndarray
    unit_of: np.ndarray
    plan: SplitPlan

    @classmethod
    def of(
        cls, frame: pl.DataFrame, stratum_N: np.ndarray, plan: SplitPlan, together: Iterable[Collection[str]]
    ) -> _Rows:
        classes = sorted({name for name in stratum_N if name is not None})
        place = {name: at for at, name in enumerate(classes)}
        class_N = np.array([place.get(name, -1) for name in stratum_N], int)
        return cls(tuple(classes), class_N, units_of(frame, together), plan)

    def divide(
        self, rows: np.ndarray, shares: Mapping[str, float], rare_in: str, random: np.random.Generator
    ) -> np.ndarray:
        """The part of each of `rows` ("" for other rows); rare classes go to `rare_in` if the plan allows them."""
        parts = [name for name, share in shares.items() if share > 0]
        unit_R = np.unique(self.unit_of[rows], return_inverse=True)[1]
        counts_UC = np.zeros((unit_R.max(initial=-1) + 1, len(self.classes)))
        np.add.at(counts_UC, (unit_R, self.class_of[rows]), 1)
        if not self.plan.stratify:
            counts_UC = counts_UC.sum(1, keepdims=True)
        free_U = ~self._rare(counts_UC, parts)
        part_U = np.full(len(counts_UC), rare_in, object)
        part_U[free_U] = np.array(parts, object)[_fill(counts_UC[free_U], [shares[name] for name in parts], random)]
        part_N = np.full(len(rows), "", object)
        part_N[rows] = part_U[unit_R]
        return part_N

    def _rare(self, counts_UC: np.ndarray, parts: Sequence[str]) -> np.ndarray:
        """Which units hold a class that has fewer groups than there are parts.

        Raises:
            DataFault: there are such classes, and the plan refuses them.
        """
        groups_C, images_C = (counts_UC > 0).sum(0), counts_UC.sum(0).astype(int)
        few = [at for at, groups in enumerate(groups_C) if 0 < groups < len(parts)]
        if few and self.plan.rare == "refuse":
            kind = "folds" if "train" not in parts else f"parts ({', '.join(parts)})"
            where = [f"class {name}" for name in self.classes] if self.plan.stratify else ["all classes"]
            has = [f"{counted(groups_C[at], 'group')} ({counted(images_C[at], 'image')})" for at in few]
            raise DataFault(
                [Fault(where[at], f"{came} for {len(parts)} {kind}", REMEDY) for at, came in zip(few, has, strict=True)]
            )
        return np.any(counts_UC[:, few] > 0, axis=1)


def units_of(frame: pl.DataFrame, together: Iterable[Collection[str]]) -> np.ndarray:
    """The unit of each row: connected by image name, by group, or by having to stay together (union-find)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    row_of: dict[tuple[str, str], int] = {}
    pairs = []
    for row, (image, group) in enumerate(frame.select("image", "group").iter_rows()):
        pairs.append((row, row_of.setdefault(("image", image), row)))
        if group is not None:
            pairs.append((row, row_of.setdefault(("group", group), row)))
    for images in together:
        rows = [row_of["image", image] for image in images if ("image", image) in row_of]
        pairs += [(row, rows[0]) for row in rows[1:]]
    ends = np.array(pairs, int).reshape(-1, 2)
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(frame), len(frame)))
    unit_N = connected_components(links, directed=False)[1]
    # numbered by first row, so that the numbers depend on the names alone
    _, first, inverse = np.unique(unit_N, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _fill(counts_UC: np.ndarray, shares: Sequence[float], random: np.random.Generator) -> np.ndarray:
    """The part of each unit: shuffled, largest first, each to the part that lacks most of what the unit holds.

    What a part lacks is measured as a share of the class, so that a rare class weighs as much as a common one. Each
    part is wished at least one group of each class, as far as the groups reach.
    """
    counts_UC = np.hstack([counts_UC, counts_UC.sum(1, keepdims=True)])
    weight_C = np.ones(counts_UC.shape[1])
    weight_C[-1] = 1e-3  # the size of a part only decides between parts that lack the same of a class
    share_UC = counts_UC / np.maximum(counts_UC.sum(0), 1)
    lack_CP = np.maximum(shares, 1 / np.maximum((counts_UC > 0).sum(0), 1)[:, None])
    lack_CP /= lack_CP.sum(1, keepdims=True)
    order = random.permutation(len(share_UC))
    part_U = np.zeros(len(share_UC), int)
    for unit in order[np.argsort(-share_UC.sum(1)[order], kind="stable")]:
        part = int(np.argmax(((weight_C * share_UC[unit])[:, None] * lack_CP).sum(0)))
        lack_CP[:, part] -= share_UC[unit]
        part_U[unit] = part
    return part_U


def _check_given(given: Mapping[str, int], labelled: int, plan: SplitPlan) -> None:
    missing = labelled - sum(given.values())
    if 0 < missing < labelled:
        raise CorpuscleError(
            f"column 'split' expects train, val or test in each labelled row, {missing} of {labelled} have none; "
            "fill it, or leave it out to have all rows divided"
        )
    if plan.folds and given["test"] + given["val"]:
        raise CorpuscleError(
            f"folds expect rows that are not divided, these come as {in_parts(given)}; "
            "leave out the folds, or the split that is given"
        )


def _check_train(label_R: np.ndarray, split_R: np.ndarray) -> None:
    parts_of: dict[str, Counter[str]] = defaultdict(Counter)
    for label, part in zip(label_R, split_R, strict=True):
        parts_of[label][part] += 1
    faults = [
        Fault(f"class {label}", f"no image in train, only in {in_parts(parts)}", "put some of its images in train")
        for label, parts in sorted(parts_of.items())
        if not parts["train"]
    ]
    if faults:
        raise DataFault(faults)


def in_parts(parts: Mapping[str, int]) -> str:
    """The parts in order with their counts, for a sentence.

    >>> in_parts({"test": 1, "train": 2})
    'train (2 images) and test (1 image)'
    """
    return " and ".join(f"{part} ({counted(parts[part], 'image')})" for part in PARTS if parts.get(part))


def counted(count: int, word: str) -> str:
    """A count and its word, for a sentence.

    >>> counted(1, "group")
    '1 group'
    """
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
