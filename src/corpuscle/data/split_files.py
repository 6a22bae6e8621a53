"""A division on disk: as a CSV, or as train, val and test folders."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.core.files import digest_of, whole_file, whole_folder
from corpuscle.core.records import in_8_bits
from corpuscle.data.readers.read import is_member, read_pixels
from corpuscle.data.splits import PARTS

if TYPE_CHECKING:
    from corpuscle.data.table import Table


def write_split_csv(table: Table, path: Path) -> None:
    """Write image, label, group and split (and fold) of each row as a CSV that `corpuscle train` reads.

    In the place of the label of a table of counts stands the count, or x, y and kind of each point, a row a point; an
    image without a point has one row without x and y, and one that is unlabelled has none. A table of masks has the
    mask's path as well. An image is named relative to the CSV's folder where the data lie below it, and by its whole
    path elsewhere.

    Raises:
        CorpuscleError: the place cannot be written.
    """
    import polars as pl

    base = base_of(table, path)
    images = [(base / image).as_posix() for image in table.frame["image"]]
    frame, known = table.frame.with_columns(pl.Series("named", images, pl.String)), ["label"]
    if table.points is not None:
        frame, known = frame.filter(table.known).join(table.points, on="image", how="left"), ["x", "y", "kind"]
    elif table.counted:
        frame, known = frame.with_columns(count=pl.col("counts").list.sum()), ["count"]
    elif table.segmented:
        masks = [mask if mask is None else (base / mask).as_posix() for mask in frame["mask"]]
        frame, known = frame.with_columns(pl.Series("mask", masks, pl.String)), ["mask", "label"]
        known = known[: 1 + frame["label"].is_not_null().any()]
    columns = [name for name in ("named", *known, "group", "split", "fold") if name in frame.columns]
    with whole_file(path) as part:
        frame.select(columns).rename({"named": "image"}).write_csv(part)


def base_of(table: Table, path: Path) -> Path:
    """What goes before an image's name in a CSV at this place."""
    here, root = path.parent.resolve(), table.root.resolve()
    return root.relative_to(here) if root.is_relative_to(here) else root


def write_split_folder(table: Table, out: Path, how: Literal["copy", "link"]) -> None:
    """Make out/train/<class>/…, out/val/…, out/test/… of the labelled rows, whole or not at all.

    Args:
        table: rows with their split; unlabelled rows are left out.
        out: a new or empty folder.
        how: copy the files, or make symbolic links to them; tiles of slides are copied as PNGs.

    Raises:
        CorpuscleError: `out` is not empty or cannot be written, the table has folds, counts or masks, or a class
            cannot name a folder.
    """
    if table.counted:
        raise CorpuscleError(
            "a divided folder expects a class for each image, these come with numbers of objects; write a CSV instead"
        )
    if table.segmented:
        raise CorpuscleError("a divided folder expects a class for each image, these have masks; write a CSV instead")
    if "fold" in table.frame.columns:
        raise CorpuscleError("a divided folder holds one split, this table has one a fold; write it as a CSV instead")
    from PIL import Image

    places = _places(table)
    if how == "link" and any(is_member(Path(image)) for image in places.values()):
        raise CorpuscleError("links expect images that are files, these lie within other files; copy them instead")
    with whole_folder(out) as whole:
        for place, image in places.items():
            target = whole / place
            target.parent.mkdir(parents=True, exist_ok=True)
            source = table.path_of(image).absolute()
            if is_member(source):
                Image.fromarray(in_8_bits(read_pixels(source).array_HWC)).save(target)
            elif how == "link":
                target.symlink_to(source)
            else:
                shutil.copy2(source, target)


def _places(table: Table) -> dict[str, str]:
    """Place in the divided folder to image; files of one name are kept apart by a digest of their paths."""
    frame = table.frame.select("image", "label", "split").unique().sort("image")
    rows = [row for row in frame.iter_rows() if row[2] in PARTS]
    unfit = sorted({label for _, label, _ in rows if "/" in label or label in ("", ".", "..")})
    if unfit:
        raise DataFault([Fault(f"class {name!r}", "cannot be a folder's name", "rename it") for name in unfit])
    names = [f"{part}/{label}/{Path(image).name}{'.png' * is_member(Path(image))}" for image, label, part in rows]
    taken = Counter(name.casefold() for name in names)  # without case, so that the folder can be copied to any disk
    places = {}
    for (image, _, _), name in zip(rows, names, strict=True):
        place = Path(name)
        if taken[name.casefold()] > 1:
            place = place.with_stem(f"{place.stem}_{digest_of(image.encode())[:8]}")
        places[place.as_posix()] = image
    return places
