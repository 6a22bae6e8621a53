"""Which images a user means: files, folders, patterns and CSVs; for prediction, where no label is needed."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.data.sources.csvs import find_images
from corpuscle.data.sources.disk import absolute, files_under, is_image, no_such_path, suffix_of
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.sheet import read_sheet


def list_images(paths: Sequence[Path | str], plan: SourcePlan = SourcePlan()) -> list[Path]:  # noqa: B008 (frozen)
    """The images that some paths mean, each once, in the order they were named; opens none.

    Args:
        paths: files (of any kind, the reader says what it cannot read), folders with all that is in them, patterns
            such as `scans/*.png`, and CSVs with a column of images.
        plan: how those CSVs are laid out.

    Raises:
        DataFault: paths that are not there, or mean no image; all at once.
    """
    images: dict[Path, None] = {}
    faults: list[Fault] = []
    for path in paths:
        try:
            images |= dict.fromkeys(_images_of(Path(path), plan))
        except DataFault as fault:
            faults += fault.faults
        except CorpuscleError as error:
            what, _, remedy = str(error).removeprefix(str(path)).strip(" :").partition("; ")
            faults.append(Fault(str(path), what, remedy))
    if faults:
        raise DataFault(faults)
    return list(images)


def images_of_csv(path: Path, plan: SourcePlan = SourcePlan()) -> list[Path]:  # noqa: B008 (frozen)
    """The image of each row of a CSV in the CSV's own order, copies kept; labels are not needed.

    Raises:
        DataFault: there is no column of images, or images that are not there.
    """
    sheet = read_sheet(path, plan, needs_label=False)
    faults = [fault for fault in sheet.faults if "image" not in sheet.columns]
    root = absolute(path.parent)
    if not faults:
        rows = pl.DataFrame([sheet.values("image"), sheet.row_N])
        images = find_images(rows, sheet, root, plan, [], faults)
    if faults:
        raise DataFault(faults)
    return [root / image for image in images]


def _images_of(path: Path, plan: SourcePlan) -> list[Path]:
    if path.is_dir():
        found = [path / name for name in files_under(path) if is_image(name)]
        if not found:
            raise CorpuscleError(f"{path} holds no image; name a folder with images in it")
        return found
    if path.is_file():
        return images_of_csv(path, plan) if suffix_of(path.name) in (".csv", ".tsv") else [path]
    if glob.has_magic(str(path)):
        found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if is_image(name)]  # noqa: PTH207
        if not found:
            raise CorpuscleError(f"{path} matches no image; mend the pattern")
        return found
    raise no_such_path(path)
