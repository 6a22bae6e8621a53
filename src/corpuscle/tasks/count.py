"""How many objects of each of K kinds an image holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from torch import Tensor

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.masks import Masks
from corpuscle.data.points import near_neighbours
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.table import Table
from corpuscle.data.targets import Counts, Densities, Targets
from corpuscle.losses.density import count_loss, density_loss
from corpuscle.metrics.conformal import fit_quantile, interval
from corpuscle.metrics.counting import Counted, score_counts
from corpuscle.metrics.dots import match_images
from corpuscle.nets.net import Net
from corpuscle.tasks.task import Calibration, Held, Judging, Watch
from corpuscle.tasks.zoo import CountPlan

DIGITS = 4  # of a count that is written; more would be the rounding of the machine
BLOB = 0.25  # deviation of a blob, as a share of the distance of near neighbours
ALONE = 10.0  # pixels a found dot may lie from a true one where no image holds two


class Count:
    """Counting. Output: count_NK, or density_NKhw whose sum is the count; what is said: count_NK.

    Where the data tell where the objects lie, a density is trained against one that is drawn from the points. Where
    they tell only how many there are, its sum is trained.
    """

    watch = Watch("val_mae", "min")
    counts_whole_images = True  # a number said of an image holds for one of the size that was learned
    learns_masks = False
    learns_images = False
    learns_labels = True
    views = 1

    def __init__(self, plan: CountPlan) -> None:
        self.plan = plan

    def num_outputs(self, classes: Sequence[str]) -> int:
        """One count, or one density, a kind."""
        return len(classes)

    def check(self, table: Table) -> None:
        """Refuse a table of labels."""
        if not table.counted:
            raise CorpuscleError(
                f"{table.layout}: expected images with numbers of objects, dots or boxes, these come with a class "
                "each; leave out --recipe, or name the column of numbers with --set data.count_column=NAME"
            )

    def targets(self, table: Table, plan: PreparePlan, net: Net, masks: Masks | None = None) -> Targets:
        """Densities where points are known and the net gives densities, else the counts."""
        if table.points is None or not net.gives_maps:
            return Counts(counts_of(table))
        sigma = self.plan.sigma or BLOB * (near_neighbours(table.points) or ALONE) / plan.shrink
        return Densities(on_canvas(table, plan.shrink), len(table.classes), net.stride, sigma)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Of densities where there are any, else of counts."""
        if target.ndim == 4:
            return density_loss(output.float(), target)
        return count_loss(_summed(output.float()), target)

    def decode(self, output: Tensor, seen: Tensor | None = None) -> np.ndarray:
        """count_NK in double precision, at least 0."""
        return _summed(output).double().clamp_min(0).cpu().numpy()

    def sums(self, output: Tensor, target: Tensor) -> dict[str, Any]:
        """Images, and the summed absolute and squared error of the counts over all kinds."""
        true_N = _summed(target).double().sum(dim=1).cpu().numpy()
        error_N = self.decode(output).sum(axis=1) - true_N
        return {
            "images": len(true_N),
            "absolute": float(np.abs(error_N).sum()),
            "squared": float(np.square(error_N).sum()),
        }

    def scores(self, sums: dict[str, Any]) -> dict[str, float]:
        """Mean absolute error, and root mean squared error of the total count."""
        images = sums["images"]
        return {
            "mae": sums["absolute"] / images,
            "rmse": math.sqrt(sums["squared"] / images),
        }

    def calibrate(self, held: Held | None) -> Calibration:
        """The conformal quantile of each kind, null where too few images or groups were held out."""
        quantiles: dict[str, float | None] = dict.fromkeys(held.table.classes if held else ())
        groups = 0
        if held is not None:
            group_N, true_NK = held.table.frame["group"].to_list(), counts_of(held.table)
            groups = len({group for group in group_N if group is not None}) or len(group_N)
            for k, kind in enumerate(held.table.classes):
                found = fit_quantile(true_NK[:, k], held.said_NK[:, k], group_N, self.plan.level)
                quantiles[kind] = None if math.isnan(found) else found
        return {"level": self.plan.level, "quantiles": quantiles, "groups": groups}

    def columns(self, said_NK: np.ndarray, classes: Sequence[str], calibration: Calibration) -> pl.DataFrame:
        """`count_<kind>`, and the ends of its interval: `low_<kind>` and `high_<kind>`, null where there is none."""
        said_NK = said_NK.reshape(-1, len(classes))
        low_NK, high_NK = _intervals(said_NK, classes, calibration)
        columns: dict[str, np.ndarray] = {}
        for k, kind in enumerate(classes):
            columns |= {f"count_{kind}": said_NK[:, k], f"low_{kind}": low_NK[:, k], f"high_{kind}": high_NK[:, k]}
        return pl.DataFrame(columns).fill_nan(None).with_columns(pl.all().round(DIGITS))

    def predictions(self, held: Held, calibration: Calibration) -> pl.DataFrame:
        """For each kind the true count, the count, and its interval."""
        classes, true_NK = held.table.classes, counts_of(held.table)
        said = self.columns(held.said_NK, classes, calibration)
        columns = [held.table.frame.select("image", "split", "group")]
        for k, kind in enumerate(classes):
            true = pl.Series(f"true_{kind}", true_NK[:, k], pl.Int64)
            columns.append(said.select(true, f"count_{kind}", f"low_{kind}", f"high_{kind}"))
        return pl.concat(columns, how="horizontal")

    def judge(self, held: Held, calibration: Calibration, how: Judging) -> dict[str, Any]:
        """Every score of `metrics.counting`; of dots where both the true and the found ones are known."""
        classes = held.table.classes
        low_NK, high_NK = _intervals(held.said_NK, classes, calibration)
        dots = None
        if held.found is not None and held.table.points is not None:
            images = held.table.frame["image"].to_list()
            true = held.table.points.filter(pl.col("image").is_in(images))
            distance = self.plan.distance or (near_neighbours(true) or 2 * ALONE) / 2
            dots = match_images(_by_image(held.found, images, classes), _by_image(true, images, classes), distance)
        known = not np.isnan(low_NK).all()
        counted = Counted(
            held.said_NK, counts_of(held.table), low_NK if known else None, high_NK if known else None, dots
        )
        group_N = held.table.frame["group"].to_list()
        return score_counts(counted, group_N, classes=classes, seed=how.seed, resamples=how.resamples).as_dict()

    def headline(self, calibration: Calibration, classes: Sequence[str]) -> dict[str, Any]:
        """What the intervals rest on."""
        return {"calibration": dict(calibration)}


def counts_of(table: Table) -> np.ndarray:
    """count_NK of every row, -1 where unknown."""
    unknown = [-1] * len(table.classes)
    counts = [unknown if row is None else row for row in table.frame["counts"].to_list()]
    return np.array(counts, dtype=np.int64).reshape(-1, len(table.classes))


def on_canvas(table: Table, shrink: int) -> dict[int, np.ndarray]:
    """point_M3 of each row: x and y in pixels of the canvas, and the number of the kind."""
    assert table.points is not None
    number = {kind: k for k, kind in enumerate(table.classes)}
    known = table.points.with_columns(k=pl.col("kind").replace_strict(number, return_dtype=pl.Float64))
    parts = known.select("image", "x", "y", "k").partition_by("image", as_dict=True, include_key=False)
    nothing = np.empty((0, 3))
    found = {}
    for place, image in enumerate(table.frame["image"]):
        part = parts.get((image,))
        point_M3 = nothing if part is None else part.to_numpy().copy()
        point_M3[:, :2] = (point_M3[:, :2] + 0.5) / shrink - 0.5
        found[place] = point_M3
    return found


def _by_image(points: pl.DataFrame, images: Sequence[str], classes: Sequence[str]) -> list[list[np.ndarray]]:
    """For each image, for each kind, x and y of its points (M, 2)."""
    parts = points.select("image", "kind", "x", "y").partition_by("image", "kind", as_dict=True, include_key=False)
    nothing = pl.DataFrame(schema={"x": pl.Float64, "y": pl.Float64})
    return [[parts.get((image, kind), nothing).to_numpy() for kind in classes] for image in images]


def _summed(output: Tensor) -> Tensor:
    """count_NK of densities_NKhw; counts as they are."""
    return output.sum(dim=(2, 3)) if output.ndim == 4 else output


def _intervals(said_NK: np.ndarray, classes: Sequence[str], calibration: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """low_NK and high_NK, NaN where there is no interval."""
    quantile_K = [calibration["quantiles"].get(kind) for kind in classes]
    ends = [interval(said_NK[:, k], math.nan if q is None else q) for k, q in enumerate(quantile_K)]
    return np.stack([end[0] for end in ends], axis=1), np.stack([end[1] for end in ends], axis=1)
