"""Sources: from a path to a table, by the layout found there; no image is decoded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.sources.plan import SourcePlan

if TYPE_CHECKING:
    from corpuscle.data.table import Table

__all__ = ["SourcePlan", "scan"]


def scan(path: Path, plan: SourcePlan = SourcePlan(), min_classes: int = 2, spelling: bool = True) -> Table:  # noqa: B008 (frozen)
    """One row per image of a data set, sorted by path, the same each time.

    A data set is a folder per class, train, val and test folders of those, a CSV, several CSVs, a file of arrays (NPZ,
    HDF5), or whole slides, each tile of which is an image; to count, also pairs of images and images of dots, or points
    or boxes beside images; to learn masks, images and masks. An archive of any of these is unpacked into the cache
    folder.
    Decodes no image; where the places of objects or masks are known, the headers of images are read to see that these
    lie inside. Masks are decoded where nothing but their values says which classes there are.

    Args:
        path: folder, table, archive, NPZ, HDF5 or JSON file.
        plan: what does not show by itself.
        min_classes: fewer classes are a fault; 1 where a finished model is only judged; not for counts and masks.
        spelling: labels that differ by case or spaces alone are a fault; else they are left for the doctor to tell.

    Raises:
        DataFault: all faults at once, each with its path or row and its remedy.
        CorpuscleError: there is nothing to scan, or its layout cannot be told.
    """
    from corpuscle.data.sources.archive import is_archive, unpacked
    from corpuscle.data.sources.check import checked  # here, for these load polars and settings must not
    from corpuscle.data.sources.divided import divided_by
    from corpuscle.data.sources.layouts import LAYOUTS, OF_TABLES, layout_of
    from corpuscle.data.sources.masks import with_masks_beside
    from corpuscle.data.sources.slides import with_tiles

    if plan.labels == "none":
        min_classes = 1
    whole = unpacked(path, plan.archive) if is_archive(path.name) and path.is_file() else None
    folder = whole.root if whole else path
    try:
        layout = layout_of(folder, plan)
    except CorpuscleError as error:
        if whole is None:
            raise
        raise CorpuscleError(
            str(error).replace(str(folder), str(path))
        ) from error  # where it was unpacked is of no interest
    found = LAYOUTS[layout](folder, plan)
    if layout in OF_TABLES:
        found = with_tiles(found, plan)
    if plan.masks == "beside" and not found.segmented:
        found, layout = with_masks_beside(found, layout), f"{layout}, with masks"
    if whole:
        found, layout = replace(found, notes=(*whole.notes, *found.notes)), f"{layout}, in {path.name}"
    table = checked(found, layout, plan, min_classes, spelling)
    return divided_by(table, plan.split_file, plan) if plan.split_file else table
