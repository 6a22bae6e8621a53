"""Which images a user means: files, folders, patterns and CSVs; for prediction, where no label is needed."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.data.readers.read import array_contents, exists, file_of, is_member, members_of
from corpuscle.data.readers.slides import kept_slide
from corpuscle.data.readers.stacks import images_in, is_hdf5, is_npz, member_of
from corpuscle.data.readers.tiles import tile_of
from corpuscle.data.sources.archive import is_archive, unpacked
from corpuscle.data.sources.csvs import find_images
from corpuscle.data.sources.disk import (
    TABLE_SUFFIXES,
    absolute,
    files_under,
    is_image,
    listing,
    no_such_path,
    suffix_of,
)
from corpuscle.data.sources.dots import dots_in
from corpuscle.data.sources.masks import has_masks, scan_masks
from corpuscle.data.sources.nnunet import is_nnunet, scan_nnunet
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.sheet import read_sheet


def list_images(paths: Sequence[Path | str], plan: SourcePlan = SourcePlan()) -> list[Path]:  # noqa: B008 (frozen)
    """The images that some paths mean, each once, in the order they were named; opens none.

    Args:
        paths: files (of any kind, the reader says what it cannot read), folders and archives with all images in them
            but masks and images of dots, patterns such as `scans/*.png`, tables with a column of images, HDF5 and NPZ
            files for all of their rows, single rows such as `training.h5#12`, and single tiles of slides.
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
    if is_archive(path.name) and path.is_file():
        path = unpacked(path, plan.archive).root
    if path.is_dir():
        names = list(files_under(path))
        found = _without_answers(path, [name for name in names if is_image(name)], plan)
        found = found or [row for name in names if _is_arrays(name) for row in members_of(path / name)]
        if not found:
            raise CorpuscleError(f"{path} holds no image; name a folder with images in it")
        return found
    if path.is_file() and _is_arrays(path.name):
        return members_of(path)
    if path.is_file():
        return images_of_csv(path, plan) if suffix_of(path.name) in TABLE_SUFFIXES - {".txt"} else [path]
    if is_member(path) and file_of(path).is_file():
        if not exists(path):
            file = file_of(path)
            if tile_of(path) is not None:
                slide = kept_slide(file)
                what = f"begins outside of the slide, which has {slide.width} x {slide.height} pixels"
                raise CorpuscleError(f"{path} {what}; name a place within it")
            raise _no_such_row(path)
        return [path]
    if glob.has_magic(str(path)):
        names = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
        found = [
            image
            for name in names
            if is_image(name) or _is_arrays(name)
            for image in (members_of(Path(name)) if _is_arrays(name) else [Path(name)])
        ]
        if not found:
            raise CorpuscleError(f"{path} matches no image; mend the pattern")
        return found
    raise no_such_path(path)


def _without_answers(root: Path, names: Sequence[str], plan: SourcePlan) -> list[Path]:
    """The images of a folder; the masks or images of dots of a data set are none to be predicted."""
    inside = listing(root)
    if is_nnunet(inside) or has_masks(root, plan):
        scan = scan_nnunet if is_nnunet(inside) else scan_masks
        found = scan(root, plan)
        return [found.root / image for image in found.frame["image"].drop_nulls().unique().sort()]
    dots = dots_in(inside.images)
    return [root / name for name in names if name not in dots]


def _is_arrays(name: str) -> bool:
    return is_hdf5(name) or is_npz(name)


def _no_such_row(path: Path) -> CorpuscleError:
    """The error for a row that an HDF5 or NPZ file does not have."""
    member = member_of(path)
    assert member is not None
    numbers = images_in(member.file, array_contents(member.file))
    held = ", ".join(f"{part} {number}" if part else f"{number}" for part, number in numbers.items())
    return CorpuscleError(f"{path} is no row of {member.file.name}, it has {held}; rows are counted from 0")
