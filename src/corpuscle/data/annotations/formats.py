"""The formats of annotations: how each is told, read and written, and what it has room for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.annotations.coco import read_coco
from corpuscle.data.annotations.cvat import read_cvat
from corpuscle.data.annotations.fitting import Holds
from corpuscle.data.annotations.labelme import read_labelme
from corpuscle.data.annotations.masks import read_masks, write_masks
from corpuscle.data.annotations.points import read_points, write_points
from corpuscle.data.annotations.qupath import read_qupath
from corpuscle.data.annotations.record import Annotations, Kind
from corpuscle.data.annotations.voc import read_voc
from corpuscle.data.annotations.write_coco import write_coco
from corpuscle.data.annotations.write_cvat import write_cvat
from corpuscle.data.annotations.write_labelme import write_labelme
from corpuscle.data.annotations.write_qupath import write_qupath
from corpuscle.data.annotations.write_voc import write_voc
from corpuscle.data.annotations.write_yolo import write_yolo
from corpuscle.data.annotations.yolo import read_yolo
from corpuscle.data.sources.archive import is_archive, unpacked
from corpuscle.data.sources.layouts import layout_of
from corpuscle.data.sources.plan import SourcePlan


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        title: its name for people.
        layouts: keys of `LAYOUTS` that it is found under.
        read: of a path.
        write: into an empty folder, images named by where they lie in it; gives notes on what was lost.
        holds: what it has room for.
        place: of an image in a folder, as `places_for` takes it.
        flat: its images lie in one folder.
    """

    title: str
    layouts: tuple[str, ...]
    read: Callable[[Path, SourcePlan], Annotations]
    write: Callable[[Annotations, Path], tuple[str, ...]]
    holds: Holds
    place: str
    flat: bool = False


ALL: tuple[Kind, ...] = ("box", "polygon", "point")
AREAS: tuple[Kind, ...] = ("box", "polygon")

FORMATS: dict[str, Format] = {
    "voc": Format(
        "Pascal VOC",
        ("boxes in Pascal VOC",),
        read_voc,
        write_voc,
        Holds(("box",), {"polygon": "box"}, difficult=True),
        "JPEGImages/{name}",
        flat=True,
    ),
    "coco": Format(
        "COCO",
        ("boxes in COCO",),
        read_coco,
        write_coco,
        Holds(AREAS, holes=True, pieces=True, crowd=True),
        "images/{name}",
    ),
    "yolo": Format(
        "YOLO",
        ("shapes in YOLO",),
        read_yolo,
        write_yolo,
        Holds(AREAS, mixed=False),
        "images/{part}/{name}",
    ),
    "labelme": Format(
        "LabelMe",
        ("shapes in LabelMe",),
        read_labelme,
        write_labelme,
        Holds(ALL, pieces=True),
        "{part}/{name}",
        flat=True,
    ),
    "cvat": Format(
        "CVAT",
        ("shapes in CVAT",),
        read_cvat,
        write_cvat,
        Holds(ALL, pieces=True),
        "images/{name}",
    ),
    "qupath": Format(
        "QuPath",
        ("images and GeoJSON files",),
        read_qupath,
        write_qupath,
        Holds(ALL, holes=True, pieces=True, parts=False),
        "{name}",
        flat=True,
    ),
    "masks": Format(
        "masks",
        ("images and masks", "nnU-Net"),
        read_masks,
        write_masks,
        Holds(("polygon",), holes=True, pieces=True),
        "{part}/images/{name}",
    ),
    "points": Format(
        "points",
        ("images and images of dots", "a CSV of points", "a JSON file of points"),
        read_points,
        write_points,
        Holds(("point",), {"box": "point", "polygon": "point"}),
        "images/{name}",
    ),
}


def read_annotations(path: Path, plan: SourcePlan, progress: Progress = SILENT) -> Annotations:
    """What is drawn on the images of a data set, whatever its format, also in an archive; not yet checked.

    Raises:
        CorpuscleError: it is of no format of annotations.
    """
    whole = unpacked(path, plan.archive) if is_archive(path.name) and path.is_file() else None
    folder = whole.root if whole else path
    source = _format_of(folder, plan)
    progress.say(f"{path}: {source.title}")
    found = source.read(folder, plan)
    return replace(found, notes=(*whole.notes, *found.notes)) if whole else found


def _format_of(path: Path, plan: SourcePlan) -> Format:
    layout = layout_of(path, plan)
    for one in FORMATS.values():
        if layout in one.layouts:
            return one
    if plan.masks == "beside":
        return FORMATS["masks"]
    known = ", ".join(one.title for one in FORMATS.values())
    raise CorpuscleError(f"expected boxes, outlines or points ({known}), {path} is {layout}; name data that have some")
