"""Layouts of points in JSON: one file that names images, and GeoJSON as QuPath writes it, a file an image."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import polars as pl

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.data.geojson import UNNAMED, read_points_geojson
from corpuscle.data.sources.disk import absolute, is_image, listing, suffix_of
from corpuscle.data.sources.found import Found, points_frame
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.points import unnamed
from corpuscle.data.sources.resolve import resolve
from corpuscle.data.table import COLUMNS

Row = tuple[str | None, float, float, str, str | None]


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        CorpuscleError: it cannot be read or is none.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise CorpuscleError(f"{path}: cannot be read ({error.strerror}); name a file you may read") from error
    except (ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise CorpuscleError(f"{path}: is not a JSON file ({reason}); replace it by a whole copy") from None


def json_in(folder: Path) -> Path:
    """The JSON file of a folder that names images.

    Raises:
        CorpuscleError: there is none that can be read.
    """
    for name in listing(folder).files:
        content = read_json(folder / name) if suffix_of(name) == ".json" else None
        if isinstance(content, dict) and ("images" in content or any(is_image(key) for key in content)):
            return folder / name
    raise CorpuscleError(f"{folder} holds no JSON file that names images; name the file itself")


def find_named(names: list[str], path: Path, plan: SourcePlan) -> tuple[Path, list[str | None]]:
    """The root, and the path from it of each image that a file names; null for those that are not there.

    They are looked for beside the file, or in `data.root`; where none is there, in the only folder that has images.
    """
    root = absolute(plan.root or path.parent)
    found = resolve(pl.Series("image", names, pl.String), root, root, plan.image_suffix)["image"]
    if not plan.root and found.null_count() == len(found):
        inside = [root / name for name in listing(root).folders]
        folders = [folder for folder in inside if listing(folder).images]
        if len(folders) == 1:
            found = resolve(pl.Series("image", names, pl.String), folders[0], root, plan.image_suffix)["image"]
    return root, found.to_list()


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


def scan_geojson(path: Path, plan: SourcePlan) -> Found:
    """One row per image of a folder with a GeoJSON file of its name; its points are the objects.

    Coordinates are QuPath's, in pixels with 0, 0 at the corner of the image; the kind is the classification's name.
    """
    root = absolute(path if path.is_dir() else path.parent)
    inside = listing(root)
    files = {Path(name).stem: name for name in inside.files if suffix_of(name) == ".geojson"}
    if path.is_file():
        files = {path.stem: path.name}
    images: dict[str, list[str]] = {}
    for name in inside.images:
        images.setdefault(Path(name).stem, []).append(name)
    faults: list[Fault] = []
    points: list[Row] = []
    for stem, names in images.items() if path.is_dir() else ():
        if stem not in files:
            remedy = "add it, with an empty FeatureCollection if the image holds no object, or remove the image"
            faults.append(Fault(names[0], f"has no {stem}.geojson", remedy))
    rows = []
    for stem, name in files.items():
        ours = images.get(stem, [])
        if len(ours) != 1:
            what = f"could belong to {' or '.join(ours)}" if ours else "has no image of its name"
            faults.append(Fault(name, what, "put one image of that name beside it"))
            continue
        rows.append((ours[0], None, None, None, name, None))
        points += _points_of(root / name, ours[0], plan, faults)
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    return Found(frame, root, (), tuple(faults), points_frame(points))


def _points_of(file: Path, image: str, plan: SourcePlan, faults: list[Fault]) -> list[Row]:
    try:
        points = read_points_geojson(file)
    except DataFault as fault:
        faults += [Fault(one.where.replace(str(file), file.name), one.what, one.remedy) for one in fault.faults]
        return []
    named = {} if plan.kind == "auto" else {UNNAMED: plan.kind}
    rows = points.select("x", "y", "kind").iter_rows()
    return [(image, x, y, named.get(kind, kind), f"{file.name} point {n}") for n, (x, y, kind) in enumerate(rows, 1)]


def _is_point(point: Any) -> bool:
    numbers = point[:2] if isinstance(point, list) and len(point) in (2, 3) else []
    return len(numbers) == 2 and all(
        isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number) for number in numbers
    )


def _nothing(path: Path, faults: list[Fault]) -> Found:
    return Found(pl.DataFrame(schema=COLUMNS), absolute(path).parent, (), tuple(faults), points_frame([]))
