"""A finished run at work: images in, predictions out, with the passport the net was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.core.files import whole_file
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.settings import validated
from corpuscle.data.cache import survey_few
from corpuscle.data.loader import Images
from corpuscle.data.prepare import PreparePlan
from corpuscle.data.readers.image import ReadPlan
from corpuscle.engine.device import DevicePlan, Machine, choose_machine
from corpuscle.engine.evaluate import AT_ONCE, predict_places, probability_columns
from corpuscle.nets.card import Card, load
from corpuscle.nets.net import Net


@dataclass(frozen=True)
class Predicted:
    """Predictions of some images.

    Attributes:
        table: a row an image, in the order given: image, prediction, confidence, p_<class>, raw_<class>, fault,
            remedy; all between the image and the fault are null where the image cannot be read.
        seen: what the survey found, a row an image.
    """

    table: pl.DataFrame
    seen: pl.DataFrame

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The images that cannot be read, each with its remedy."""
        bad = self.table.filter(pl.col("fault").is_not_null()).select("image", "fault", "remedy")
        return tuple(Fault(*row) for row in bad.rows())


@dataclass(frozen=True)
class Predictor:
    """A net with its card, ready for images."""

    net: Net
    card: Card
    machine: Machine

    @classmethod
    def of(cls, run: Path, device: str = "auto", task: str = "classify") -> Predictor:
        """Load a finished run.

        Raises:
            CorpuscleError: no run there, damaged, or of another task.
        """
        machine = choose_machine(DevicePlan(name=device, workers=0))
        loaded = load(run, machine.device)
        if loaded.card.task != task:
            raise CorpuscleError(
                f"expected a run that can {task}, {run} was trained to {loaded.card.task}; name another run"
            )
        import torch

        return cls(loaded.net.to(memory_format=torch.channels_last), loaded.card, machine)

    def predict(self, paths: Sequence[Path], progress: Progress = SILENT) -> Predicted:
        """Predict images by name; the ones that cannot be read are reported and passed over."""
        chunks = [paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE)] or [[]]
        few = [self._predict_few(chunk) for chunk in progress.track(chunks, "predicting", len(paths), per_item=AT_ONCE)]
        return Predicted(pl.concat([one.table for one in few]), pl.concat([one.seen for one in few]))

    def _predict_few(self, paths: Sequence[Path]) -> Predicted:
        seen = survey_few(paths, validated(ReadPlan, self.card.read), validated(PreparePlan, self.card.prepare))
        assert seen.canvases is not None
        mean_3, std_3 = np.array(self.card.mean), np.array(self.card.std)
        images = Images(seen.canvases, np.full(len(paths), -1), mean_3, std_3)
        sound = seen.frame["fault"].is_null()
        places = np.flatnonzero(sound.to_numpy())
        probs_NK = predict_places(self.net, images, places, self.machine, self.card.views)
        columns = probability_columns(probs_NK, self.card.classes, self.card.temperature)
        columns = columns.with_columns(pl.Series("place", places, pl.Int64))
        paths_N = pl.Series([str(path) for path in paths], dtype=pl.String)
        frame = pl.DataFrame({"image": paths_N, "place": range(len(paths))})
        frame = pl.concat([frame, seen.frame.select("fault", "remedy")], how="horizontal")
        joined = frame.join(columns, on="place", how="left", maintain_order="left")
        names = ("image", *(name for name in columns.columns if name != "place"), "fault", "remedy")
        return Predicted(joined.select(names), seen.frame)


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
