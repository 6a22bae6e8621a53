"""A finished run, as what reads it sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Run:
    """A finished run or evaluation, read from its folder; wherever a run's path is wanted, it stands for it."""

    folder: Path

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def metrics(self) -> dict[str, Any]:
        """Every score of every part with its interval: metrics.json."""
        from corpuscle.engine.run_folder import METRICS, read_json

        content: dict[str, Any] = read_json(self.folder / METRICS)
        return content

    @property
    def scores(self) -> pl.DataFrame:
        """A row a part and score: part, score, value, low, high, n, groups, direction."""
        rows = [
            {"part": part, "score": name, **score}
            for part, content in self.metrics["parts"].items()
            for name, score in content["scores"].items()
        ]
        return pl.DataFrame(rows)

    @property
    def log(self) -> pl.DataFrame:
        """A row an epoch."""
        return pl.read_csv(self.folder / "log.csv")

    @property
    def predictions(self) -> pl.DataFrame:
        """A row an image that was held out."""
        return pl.read_csv(self.folder / "predictions.csv", infer_schema_length=None)

    @property
    def points(self) -> pl.DataFrame | None:
        """A row a dot in these images: image, what (found or true), kind, x, y, score; None where none are found."""
        path = self.folder / "points.csv"
        return pl.read_csv(path, infer_schema_length=None) if path.is_file() else None

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures of the report, by name."""
        from corpuscle.report.page import draw
        from corpuscle.report.run_data import read_run

        return draw(read_run(self.folder))

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.folder / "report.html"
