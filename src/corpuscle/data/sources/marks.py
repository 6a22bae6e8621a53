"""Layout of points in a JSON file that names images."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import polars as pl

from corpuscle.core.errors import Fault
from corpuscle.data.sources.disk import absolute
from corpuscle.data.sources.found import Found, points_frame
from corpuscle.data.sources.named import find_named, json_in, read_json
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.points import unnamed
from corpuscle.data.table import COLUMNS

Row = tuple[str | None, float, float, str, str | None]


def scan_json(path: Path, plan: SourcePlan) -> Found:
    """One row per image of `{"a.png": [[x, y], ...], "b.png": {"kind": [[x, y], ...]}}`; an empty list counts as 0."""
    if path.is_dir():
        path = json_in(path)
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        what = f"holds {type(content).__name__ if content else 'nothing'}, images and their points were expected"
        return _nothing(path, [Fault(path.name, what, 'write it as {"image.png": [[x, y], ...]}')])
    root, images = find_named(list(content), path, plan)
    kind = "cell" if plan.kind == "auto" else plan.kind
    faults: list[Fault] = []
    points: list[Row] = []
    for (name, marked), image in zip(content.items(), images, strict=True):
        if image is None:
            what = f"image '{name}' does not exist in {root}"
            faults.append(Fault(path.name, what, "mend the name, or name its folder with --set data.root=FOLDER"))
        for of_kind, listed in (marked if isinstance(marked, dict) else {kind: marked}).items():
            for number, point in enumerate(listed if isinstance(listed, list) else [listed], 1):
                where = f"{path.name} {name} point {number}" + f" of {of_kind}" * isinstance(marked, dict)
                if _is_point(point):
                    points.append((image, float(point[0]), float(point[1]), of_kind, where))
                else:
                    what = f"{json.dumps(point)[:60]} is no point"
                    faults.append(Fault(where, what, "write two numbers, [x, y]"))
    rows = [(image, None, None, None, path.name, None) for image in images]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    return Found(frame, root, unnamed(frame, root), tuple(faults), points_frame(points))


def _is_point(point: Any) -> bool:
    numbers = point[:2] if isinstance(point, list) and len(point) in (2, 3) else []
    return len(numbers) == 2 and all(
        isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number) for number in numbers
    )


def _nothing(path: Path, faults: list[Fault]) -> Found:
    return Found(pl.DataFrame(schema=COLUMNS), absolute(path).parent, (), tuple(faults), points_frame([]))
