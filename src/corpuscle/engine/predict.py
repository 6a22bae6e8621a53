"""A net at work: images in, numbers out, with the passport the net was trained with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np
import polars as pl
import torch

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.core.files import disk_errors, whole_file
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.settings import validated
from corpuscle.data.cache import SCHEMA, Canvases, content_of, survey_few
from corpuscle.data.geojson import write_points_geojson
from corpuscle.data.loader import Features, Images, Loader, Order
from corpuscle.data.masks import Masks
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.readers.windows import ArrayWindows, open_windows
from corpuscle.data.table import Table
from corpuscle.data.targets import Numbers
from corpuscle.engine.device import DevicePlan, Machine, choose_machine
from corpuscle.engine.features import Passing
from corpuscle.engine.joining import beside_of, joined_features
from corpuscle.engine.maps import Eye, Looked, dots_table
from corpuscle.engine.stitch import Scale
from corpuscle.metrics.overlap import overlap_of
from corpuscle.nets.card import Card, load
from corpuscle.nets.net import Net
from corpuscle.tasks.task import Held, Task
from corpuscle.tasks.zoo import Choices, build_task

AT_ONCE = 32
OTHER_SIZE = 0.1  # a side may differ by this share from those whose count was learned

Show = Callable[[int, np.ndarray], None]


@dataclass(frozen=True)
class Predicted:
    """Predictions of some images.

    Attributes:
        table: a row an image, in the order given: image, what the task tells of it, fault, remedy; all between the
            image and the fault are null where the image cannot be read.
        said_NK: the numbers behind it, NaN where the image cannot be read.
        seen: what the survey found, a row an image.
        found: dots that were found, `image`, `kind`, `x`, `y` and `score`; None where the net gives none.
    """

    table: pl.DataFrame
    said_NK: np.ndarray
    seen: pl.DataFrame
    found: pl.DataFrame | None = None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The images that cannot be read, each with its remedy."""
        bad = self.table.filter(pl.col("fault").is_not_null()).select("image", "fault", "remedy")
        return tuple(Fault(*row) for row in bad.rows())

    def with_faults(self, faults: Sequence[Fault]) -> Predicted:
        """The same, and behind it a row for each image that could not even be looked at."""
        if not faults:
            return self
        told = [(fault.where, fault.what, fault.remedy) for fault in faults]
        rows = pl.DataFrame(told, schema=["image", "fault", "remedy"], orient="row")
        table = pl.concat([self.table, rows], how="diagonal")
        seen = pl.concat([self.seen, rows.drop("image")], how="diagonal")
        said_NK = np.vstack([self.said_NK, np.full((len(faults), self.said_NK.shape[1]), np.nan)])
        return replace(self, table=table, said_NK=said_NK, seen=seen)


@dataclass(frozen=True)
class Predictor:
    """A net with its card, ready for images. Arithmetic is fp32, so that every machine gives the same numbers.

    Attributes:
        net, card, machine, task: of the run.
        passing: where the encoder is frozen, how its features are kept; None where the whole net is passed each time.
        beside: how those of the frozen encoders that the net joins are kept; None where they are passed each time.
    """

    net: Net
    card: Card
    machine: Machine
    task: Task
    passing: Passing | None = None
    beside: Passing | None = None

    @classmethod
    def of(cls, run: Path, device: str = "auto") -> Predictor:
        """Load a finished run.

        Raises:
            CorpuscleError: no run there, or damaged.
        """
        machine = choose_machine(DevicePlan(name=device, workers=0))
        loaded = load(run, machine.device)
        net = loaded.net.to(memory_format=torch.channels_last)
        task = build_task(loaded.card.task, Choices(mean=loaded.card.mean, std=loaded.card.std))
        return cls(net, loaded.card, machine, task)

    def held(
        self,
        table: Table,
        canvases: Canvases,
        places: np.ndarray,
        masks: Masks | None = None,
        progress: Progress = SILENT,
        show: Show | None = None,
    ) -> Held:
        """What the net says of prepared images.

        Args:
            table: the rows of all of them.
            canvases: the images, prepared as the card says.
            places: which of them.
            masks: the true ones, prepared likewise, where the net gives masks.
            progress: shows how far it is.
            show: is given the place and the density_KHW or mask_HW of each image, where the net gives maps.
        """
        part = table.with_frame(table.frame[places])
        if not self.net.gives_maps:
            return Held(part, self._numbers(canvases, places, progress))
        eye, looked, overlaps = self._eye(), [], []
        for place in progress.track(places, "looking", len(places)):
            one = eye.look(ArrayWindows(canvases[int(place)]), shrunk=True)
            looked.append(one.without_map())
            if masks is not None:
                overlaps.append(overlap_of(masks[int(place)], one.map, len(table.classes), self.tolerance))
            if show is not None:
                show(int(place), one.map)
        said_NK = np.array([one.said_K for one in looked]).reshape(-1, self.width)
        found = None if self.net.gives_masks else dots_table(part.frame["image"].to_list(), looked, table.classes)
        return Held(part, said_NK, found, overlaps)

    def predict(self, paths: Sequence[Path], progress: Progress = SILENT, show: Show | None = None) -> Predicted:
        """Predict images by name; the ones that cannot be read are reported and passed over.

        Args:
            paths: of the images.
            progress: shows how far it is.
            show: is given the place in `paths` and the density_KHW or mask_HW of each image, where the net gives maps.
        """
        if self.net.gives_maps:
            return self._predict_maps(paths, progress, show)
        chunks = [paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE)] or [[]]
        few = [self._predict_few(chunk) for chunk in progress.track(chunks, "predicting", len(paths), per_item=AT_ONCE)]
        return Predicted(
            pl.concat([one.table for one in few]),
            np.concatenate([one.said_NK for one in few]),
            pl.concat([one.seen for one in few]),
        )

    def _predict_few(self, paths: Sequence[Path]) -> Predicted:
        read, prepare = validated(ReadPlan, self.card.read), validated(PreparePlan, self.card.prepare)
        seen = survey_few(paths, read, prepare)
        assert seen.canvases is not None
        frame = self._of_known_size(seen.frame) if self.task.counts_whole_images else seen.frame
        sound = frame["fault"].is_null().to_numpy()
        said_NK = np.full((len(paths), self.width), np.nan)
        said_NK[sound] = self._numbers(seen.canvases, np.flatnonzero(sound))
        return Predicted(self._told(paths, said_NK, frame), said_NK, frame)

    def _of_known_size(self, seen: pl.DataFrame) -> pl.DataFrame:
        """What was seen, with a fault where an image is not of a size whose counts were learned."""
        learned = self.card.trained_on.get("sizes") or {}
        if not learned.get("min"):
            return seen
        (low_H, low_W), (high_H, high_W) = learned["min"], learned["max"]
        tall = pl.col("height").is_between(low_H * (1 - OTHER_SIZE), high_H * (1 + OTHER_SIZE))
        wide = pl.col("width").is_between(low_W * (1 - OTHER_SIZE), high_W * (1 + OTHER_SIZE))
        what = pl.format(f"is {{}} × {{}} pixels, the net counts whole images of {low_H} × {low_W}", "height", "width")
        remedy = pl.lit("cut it to that size, or train with --recipe count, which counts images of any size")
        foreign = pl.col("fault").is_null() & ~(tall & wide)
        return seen.with_columns(
            fault=pl.when(foreign).then(what).otherwise("fault"),
            remedy=pl.when(foreign).then(remedy).otherwise("remedy"),
        )

    def _predict_maps(self, paths: Sequence[Path], progress: Progress, show: Show | None) -> Predicted:
        read, eye = validated(ReadPlan, self.card.read), self._eye()
        looked: list[Looked | None] = []
        rows, several = [], len(paths) > 1
        for place, path in enumerate(progress.track(paths, "predicting", len(paths)) if several else paths):
            one, row = None, dict.fromkeys(SCHEMA)
            try:
                with open_windows(path, read) as windows:
                    row |= {"height": windows.height, "width": windows.width}
                    if isinstance(windows, ArrayWindows):
                        row["content"] = content_of(windows.array_HWC)
                    one = eye.look(windows, progress=SILENT if several else progress)
            except CorpuscleError as error:
                what, _, remedy = str(error).removeprefix(f"{path}: ").partition("; ")
                row |= {"fault": what, "remedy": remedy}
            if one is not None and show is not None:
                show(place, one.map)
            looked.append(None if one is None else one.without_map())
            rows.append(row)
        seen = pl.DataFrame(rows, schema=SCHEMA)
        nothing_K = np.full(self.width, np.nan)
        said_NK = np.array([nothing_K if one is None else one.said_K for one in looked]).reshape(-1, self.width)
        names = [str(path) for path in paths]
        found = None if self.net.gives_masks else dots_table(names, looked, self.card.classes)
        return Predicted(self._told(paths, said_NK, seen), said_NK, seen, found)

    @property
    def width(self) -> int:
        """Numbers that are said of an image: one a class, pixels and then objects of each, an error and a likeness, or
        features."""
        if self.task.views > 1:
            return self.net.num_features
        return len(self.card.classes) * (2 if self.net.gives_masks or self.task.learns_images else 1)

    @property
    def tolerance(self) -> float:
        """Pixels by which the boundary of a mask may be off."""
        return float(self.card.calibration.get("tolerance", 0))

    def _eye(self) -> Eye:
        """The net as it is shown images of any size."""
        shrink = validated(PreparePlan, self.card.prepare).shrink
        scale = Scale(shrink, np.array(self.card.mean), np.array(self.card.std), self.card.views)
        smallest = self.card.calibration.get("smallest", 1)
        return Eye(self.net, scale, self.machine.device, len(self.card.classes), smallest)

    def _numbers(self, canvases: Canvases, places: np.ndarray, progress: Progress = SILENT) -> np.ndarray:
        """said_NK of images of one size, in the order of the places; views are averaged."""
        nothing = Numbers(np.full(int(max(places, default=-1)) + 1, -1))
        images = Images(
            canvases, nothing, np.array(self.card.mean), np.array(self.card.std), multiple=self.net.multiple
        )
        dataset: Images | Features = images
        see = self.net.encoder if self.task.views > 1 else self.net
        beside, views = None, 1 if self.net.turned_alike else self.card.views
        if self.passing is not None and views == 1 and len(places):
            dataset, see = joined_features(self.net, images, places, self.passing.exact), self.net.head
        elif self.beside is not None and views == 1 and len(places):
            beside = beside_of(self.net, images, places, self.beside)
        pin = self.machine.device.type == "cuda"
        loader = Loader(dataset, Order(places, AT_ONCE), self.machine.workers, pin, beside)
        self.net.eval()
        said = []
        with torch.inference_mode():
            for batch in progress.track(loader.epoch(0), "predicting", len(places), per_item=AT_ONCE):
                batch = batch.to(self.machine.device)
                each = [self.task.decode(see(view, *batch.beside), view) for view in dihedral(batch.image_NCHW, views)]
                said.append(np.mean(each, axis=0))
        return np.concatenate(said) if said else np.zeros((0, self.width))

    def _told(self, paths: Sequence[Path], said_NK: np.ndarray, seen: pl.DataFrame) -> pl.DataFrame:
        sound = np.flatnonzero(seen["fault"].is_null().to_numpy())
        told = self.task.columns(said_NK[sound], self.card.classes, self.card.calibration)
        told = told.with_columns(pl.Series("place", sound, pl.Int64))
        images = pl.Series("image", [str(path) for path in paths], pl.String)
        frame = seen.select("fault", "remedy").with_columns(images, pl.Series("place", range(len(paths)), pl.Int64))
        joined = frame.join(told, on="place", how="left", maintain_order="left")
        return joined.select("image", *(name for name in told.columns if name != "place"), "fault", "remedy")


def dihedral(image_NCHW: torch.Tensor, views: int) -> list[torch.Tensor]:
    """The first of the eight mirrored and quarter-turned views of a square image; the first is the image itself."""
    if views == 1:
        return [image_NCHW]
    mirrored = [image_NCHW, image_NCHW.flip(3), image_NCHW.flip(2), image_NCHW.flip(2, 3)]
    turned = [view.transpose(2, 3) for view in mirrored]
    return (mirrored + turned)[:views]


def write_table(table: pl.DataFrame, out: Path) -> None:
    """Write predictions as CSV or Parquet, by the ending of the name, whole or not at all.

    Raises:
        CorpuscleError: another ending, or the place cannot be written.
    """
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise CorpuscleError(f"expected a name that ends in .csv or .parquet, got {out}; name such a file with --out")
    with whole_file(out) as part:
        if out.suffix.lower() == ".csv":
            table.write_csv(part)
        else:
            table.write_parquet(part)


def write_points(predicted: Predicted, out: Path) -> None:
    """Write every dot into `points.csv`, and the dots of each image into a GeoJSON of its own.

    Raises:
        CorpuscleError: the folder cannot be written.
    """
    assert predicted.found is not None
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    write_table(predicted.found, out / "points.csv")
    sound = predicted.table.filter(pl.col("fault").is_null())["image"].to_list()
    for image, name in zip(sound, unlike_names(sound), strict=True):
        write_points_geojson(out / f"{name}.geojson", predicted.found.filter(pl.col("image") == image))


def unlike_names(images: Sequence[str]) -> list[str]:
    """A file name for each image, without an ending; images of one name keep as much of their folders as differs.

    >>> unlike_names(["a/1.png", "b/1.png", "b/2.png", "b/2.bmp"])
    ['a_1', 'b_1', '2_png', '2_bmp']
    """
    paths = [PurePath(image) for image in images]
    times = Counter(path.with_suffix("") for path in paths)
    parts = [_unended(path, alone=times[path.with_suffix("")] == 1).parts for path in paths]
    names = []
    for part in parts:
        depth = next((d for d in range(1, len(part)) if sum(p[-d:] == part[-d:] for p in parts) == 1), len(part))
        names.append("_".join(piece.strip("/") for piece in part[-depth:]))
    return names


def _unended(path: PurePath, alone: bool) -> PurePath:
    """A path without its ending, where no other image of the folder has the same; a row of an HDF5 file keeps all."""
    if "#" in path.name:
        return path
    return path.with_suffix("") if alone else path.with_name(path.name.replace(".", "_"))
