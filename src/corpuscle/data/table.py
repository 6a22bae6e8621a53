"""The one table: whatever a data set looks like on disk, this is what it becomes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from corpuscle.core.legend import Legend

COLUMNS = {
    "image": pl.String,
    "label": pl.String,
    "group": pl.String,
    "split": pl.String,
    "source": pl.String,
    "row": pl.Int64,
}
ANYTHING = "image"  # the one class of images that are learned from without labels


@dataclass(frozen=True)
class Table:
    """One row per image, with a label, with the numbers of its objects where they are counted, or with a mask.

    Attributes:
        frame: a row per image, sorted by path, with at least the columns
            `image` (path relative to `root` with forward slashes, absolute if it lies outside),
            `label` (name of the class, null if unlabelled),
            `group` (patient, slide; null everywhere where nothing is known of groups, never null here and there),
            `split` (train, val, test, unlabelled; null where the data set leaves the split open),
            `source` (name of the CSV, or of the class folder) and
            `row` (row in the CSV as a spreadsheet counts it: the header is row 1; null for folders);
            a table of counts also has
            `counts` (how many objects of each class, in the order of `classes`; null where unlabelled);
            a table of masks also has
            `mask` (path of the mask, as that of the image, or `FILE#IMAGE` where an annotation draws it, see `drawn`;
            null where unlabelled) and, once the masks have been read,
            `pixels` (of each class, in the order of `classes`); after steps on the table it has
            `step`, `of`, `donor` and `copy`, see `steps.stepped`.
        root: folder that the paths start from.
        classes: names of the classes, or of the kinds that are counted, in order; the place of a name is its number.
            Of masks those of the legend, the background first; `label` may then be the class of the whole image.
        layout: what was found on disk, in words.
        notes: what the user should know of how the data were understood.
        points: where the counted objects lie: `image`, `x`, `y` (pixels of the upright image, the centre of the top
            left one is 0, 0; x to the right) and `kind` (one of the classes); None where only numbers are known.
        legend: what the values of the masks mean; None where there are none.
    """

    frame: pl.DataFrame
    root: Path
    classes: tuple[str, ...]
    layout: str
    notes: tuple[str, ...] = ()
    points: pl.DataFrame | None = None
    legend: Legend | None = None

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def counted(self) -> bool:
        """Whether objects are counted, rather than images named."""
        return "counts" in self.frame.columns

    @property
    def segmented(self) -> bool:
        """Whether each image has a mask."""
        return "mask" in self.frame.columns

    @property
    def stepped(self) -> bool:
        """Whether steps have been taken on it, so that rows may be left out, or made of others."""
        return "step" in self.frame.columns

    @property
    def known(self) -> pl.Series:
        """Which rows have a label, counts or a mask."""
        return self.frame["counts" if self.counted else "mask" if self.segmented else "label"].is_not_null()

    @property
    def truth(self) -> pl.Series:
        """What is true of each row, in words: its label, or its counts; a mask is not in words."""
        if not self.counted:
            return self.frame["label"]
        return self.frame["counts"].cast(pl.List(pl.String)).list.join(", ").rename("label")

    def path_of(self, image: str) -> Path:
        """Where an image of the column `image` lies."""
        return self.root / image

    def with_frame(self, frame: pl.DataFrame) -> Table:
        """The same table with other rows or columns; the classes stay."""
        return replace(self, frame=frame)

    def without_masks(self) -> Table:
        """The same images named by their labels alone, for classifying; those without one are left unlabelled."""
        from corpuscle.data.sources.rows import in_order  # here, for sources import this module

        kept = [name for name in self.frame.columns if name not in ("mask", "pixels")]
        unlabelled = pl.when(pl.col("label").is_null()).then(pl.lit("unlabelled")).otherwise("split").alias("split")
        classes = in_order(self.frame["label"].drop_nulls().unique().to_list())
        return replace(self, frame=self.frame.select(kept).with_columns(unlabelled), classes=classes, legend=None)

    def without_labels(self) -> Table:
        """The same images, all of one class, whatever is known of them; what was unlabelled may be learned from."""
        given = self.frame["split"].is_in(["train", "val", "test"]).any()
        learned = pl.lit("train" if given else None, pl.String)
        split = pl.when(pl.col("split") == "unlabelled").then(learned).otherwise("split").alias("split")
        frame = self.frame.drop("counts", "mask", "pixels", strict=False)
        frame = frame.with_columns(split, label=pl.lit(ANYTHING))
        return Table(frame, self.root, (ANYTHING,), self.layout, self.notes)

    def part(self, split: str | None) -> Table:
        """The rows of one split, `None` for those without one; the classes stay."""
        return self.with_frame(self.frame.filter(pl.col("split").eq_missing(pl.lit(split, pl.String))))
