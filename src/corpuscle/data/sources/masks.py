"""Layouts of images and masks: two folders, pairs of names in one folder, or a CSV that names both."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.data.drawn import PLACE, is_drawn
from corpuscle.data.sources.csvs import find_images, parts_of, splits_of
from corpuscle.data.sources.disk import absolute, counted_by_suffix, files_under, is_image, listing, suffix_of
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.sheet import Sheet, plain, read_sheet
from corpuscle.data.table import COLUMNS

SCHEMA = COLUMNS | {"mask": pl.String}
IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img", "originals", "original"})
MASK_FOLDERS = frozenset(
    {"masks", "mask", "labels", "annotations", "gt", "ground truth", "segmentations", "segmentation"}
)
MASK_COLUMNS = ("mask", "mask path", "mask file", "mask name", "masks", "segmentation")
ENDING = re.compile(r"(?<=.)[_\-. ](?:masks?|seg|segmentation|labels?|gt)$", re.IGNORECASE)


def scan_masks(path: Path, plan: SourcePlan) -> Found:
    """One row per image, with its mask: of folders, of train, val and test folders of those, or of CSVs.

    A test folder without masks is unlabelled.
    """
    if path.is_file() or _sheet_in(path, plan):
        return _scan_sheets(path, plan)
    root = absolute(path)
    parts: dict[str, str | None] = {
        f"{name}/": part for name in listing(root).folders if (part := PARTS.get(name.lower()))
    }
    if _folders(root) or not parts:
        parts = {"": None}
    found = [_scan_folder(root, prefix, part) for prefix, part in parts.items()]
    return Found(
        pl.concat([one.frame for one in found]),
        root,
        tuple(note for one in found for note in one.notes),
        tuple(fault for one in found for fault in one.faults),
    )


def has_masks(folder: Path, plan: SourcePlan) -> bool:
    """Whether a folder is one of images and masks; no pixels are needed to see it."""
    if plan.masks == "none":
        return False
    inside = listing(folder)
    if _sheet_in(folder, plan):
        return True
    if inside.tables and plan.masks == "beside":
        return False  # the table has labels, and its images get their masks
    parts = [folder / name for name in inside.folders if name.lower() in PARTS]
    if _folders(folder) or any(_folders(part) for part in parts):
        return True
    flat = [*parts, folder] if not inside.tables else []
    return any(_is_beside(listing(one).images, plan) for one in flat)


def is_mask_sheet(file: Path, plan: SourcePlan) -> bool:
    """Whether a CSV names a mask for each image; False where it cannot be read."""
    if plan.masks == "none":
        return False
    try:
        sheet = _sheet(file, plan)
    except CorpuscleError:
        return False
    names = sheet.values("mask").drop_nulls().head(1)
    return {"image", "mask"} <= sheet.columns.keys() and any(is_image(name) or is_drawn(name) for name in names)


def with_masks_beside(found: Found, layout: str) -> Found:
    """The rows of another layout, each with the mask that lies beside its image or in a folder beside its folder.

    Rows that are themselves masks of others are left out.

    Raises:
        CorpuscleError: its objects are counted.
    """
    if found.counted:
        raise CorpuscleError(
            f"data.masks=beside expects images with masks or with areas drawn on them, got {layout} without any; leave "
            "it out, or pass --recipe count"
        )
    images = found.frame["image"].drop_nulls().unique().to_list()
    mask_of: dict[str, str] = {}
    taken: set[str] = set()
    faults: list[Fault] = []
    for folder in sorted({posixpath.dirname(image) for image in images}):
        ours = [posixpath.basename(image) for image in images if posixpath.dirname(image) == folder]
        masks_in, masks = _masks_beside(found.root, folder)
        pairs = _pairs([name for name in ours if folder != masks_in or name not in masks], masks)
        prefix = f"{folder}/" if folder else ""
        mask_of |= {prefix + image: posixpath.join(masks_in, mask) for image, mask in pairs.mask_of.items()}
        taken |= {posixpath.join(masks_in, mask) for mask in masks}
        faults += [Fault(prefix + fault.where, fault.what, fault.remedy) for fault in pairs.faults]
    frame = found.frame.filter(~pl.col("image").is_in(list(taken)) | pl.col("image").is_null())
    mask = frame["image"].replace_strict(mask_of, default=None, return_dtype=pl.String).alias("mask")
    return replace(found, frame=frame.with_columns(mask), faults=(*found.faults, *faults))


@dataclass(frozen=True)
class _Pairs:
    """Each image to its mask, the masks that are left, and what cannot be told."""

    mask_of: dict[str, str]
    left: tuple[str, ...]
    faults: tuple[Fault, ...]


def _pairs(images: Iterable[str], masks: Iterable[str]) -> _Pairs:
    """Match names by their stems; a mask's may end in `_mask` and the like."""
    of_stem: dict[str, list[str]] = {}
    for name in masks:
        stem = posixpath.splitext(name)[0]
        for known in {stem, ENDING.sub("", stem)}:
            of_stem.setdefault(known, []).append(name)
    mask_of: dict[str, str] = {}
    image_of: dict[str, str] = {}
    faults = []
    for image in images:
        could = of_stem.get(posixpath.splitext(image)[0], [])
        if len(could) > 1:
            what = f"has {len(could)} masks, {' and '.join(could)}, one was expected"
            faults.append(Fault(image, what, "remove or rename the others"))
        elif could and could[0] in image_of:
            what = f"shares its mask {could[0]} with {image_of[could[0]]}"
            faults.append(Fault(image, what, "give each image a name of its own, and a mask of that name"))
        if could:
            mask_of[image] = could[0]
        image_of |= dict.fromkeys(could, image)
    return _Pairs(mask_of, tuple(name for name in masks if name not in image_of), tuple(faults))


def _apart(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The images and the masks in one folder: `x_mask.png`, and `x.png` beside an `x` of another kind, are masks."""
    others = {posixpath.splitext(name)[0] for name in names if suffix_of(name) != ".png"}
    is_mask = [
        bool(ENDING.search(stem)) or (suffix_of(name) == ".png" and stem in others)
        for name in names
        for stem in [posixpath.splitext(name)[0]]
    ]
    images = [name for name, mask in zip(names, is_mask, strict=True) if not mask]
    return images, [name for name, mask in zip(names, is_mask, strict=True) if mask]


def _is_beside(names: Sequence[str], plan: SourcePlan) -> bool:
    images, masks = _apart(names)
    if plan.masks != "beside":
        masks = [name for name in masks if ENDING.search(posixpath.splitext(name)[0])]
    return bool(_pairs(images, masks).mask_of)


def _masks_beside(root: Path, folder: str) -> tuple[str, list[str]]:
    """Where the masks of the images of a folder lie, and their names."""
    above, name = posixpath.split(folder)
    if _is_word(name, IMAGE_FOLDERS):
        for other in listing(root / above).folders:
            if _is_word(other, MASK_FOLDERS):
                inside = posixpath.join(above, other)
                return inside, list(listing(root / inside).images)
    return folder, _apart(listing(root / folder).images)[1]


def _folders(folder: Path) -> tuple[str, str] | None:
    """The folder of images and that of masks in a folder that has both; None where it has not.

    Raises:
        CorpuscleError: there are several of one kind.
    """
    inside = listing(folder).folders
    both = [[name for name in inside if _is_word(name, words)] for words in (IMAGE_FOLDERS, MASK_FOLDERS)]
    both = [[name for name in names if any(map(is_image, files_under(folder / name)))] for names in both]
    if not all(both):
        return None
    images, masks = both
    if len(images) > 1 or len(masks) > 1:
        shown = ", ".join([*images, *masks])
        raise CorpuscleError(f"{folder} holds {shown}, one folder of images and one of masks were expected; move one")
    return images[0], masks[0]


def _is_word(name: str, words: frozenset[str]) -> bool:
    return plain(name) in words


def _scan_folder(root: Path, prefix: str, split: str | None) -> Found:
    inside = listing(root / prefix)
    folders = _folders(root / prefix)
    notes = []
    if folders:
        images_in, masks_in = (f"{prefix}{name}/" for name in folders)
        files = list(files_under(root / images_in))
        images = [name for name in files if is_image(name)]
        masks = [name for name in files_under(root / masks_in) if is_image(name)]
        others = [f"{prefix}{name}" for name in inside.images] + [name for name in files if not is_image(name)]
        notes += [f"left out: folder '{prefix}{name}'" for name in inside.folders if name not in folders]
        notes += [f"left out: {name}" for name in inside.tables]
    else:
        images_in = masks_in = prefix
        images, masks = _apart(inside.images)
        others = []
        if split == "test" and not images and not masks:
            images = [name for name in files_under(root / prefix) if is_image(name)]
    if others:
        notes.append(f"left out: {counted_by_suffix(others)}, which are no images of '{images_in}'")
    if split == "test" and not masks:
        split = "unlabelled"
    pairs = _pairs(images, masks)
    faults = [Fault(images_in + fault.where, fault.what, fault.remedy) for fault in pairs.faults]
    faults += [
        Fault(masks_in + name, "is a mask without an image", "add the image, or remove it") for name in pairs.left
    ]
    nested = {name: PARTS.get(name.partition("/")[0].lower()) for name in images}
    parts = nested if split is None and all(nested.values()) else dict.fromkeys(images, split)
    source = (prefix or root.name).rstrip("/")
    rows = [
        (images_in + name, None, None, parts[name], source, None, mask and masks_in + mask)
        for name in images
        for mask in [pairs.mask_of.get(name)]
    ]
    return Found(pl.DataFrame(rows, schema=SCHEMA, orient="row"), root, tuple(notes), tuple(faults))


def _sheet_in(folder: Path, plan: SourcePlan) -> bool:
    """Whether the only CSV of a folder names masks, or its train CSV."""
    tables = listing(folder).tables
    train = [name for name in tables if PARTS.get(Path(name).stem.lower()) == "train"]
    named = train or (tables if len(tables) == 1 else ())
    return any(is_mask_sheet(folder / name, plan) for name in named[:1])


def _sheet(file: Path, plan: SourcePlan) -> Sheet:
    """The CSV, with its column of masks."""
    sheet = read_sheet(file, plan.model_copy(update={"count_column": "none"}), needs_label=False)
    names = {plain(name): name for name in reversed(sheet.frame.columns)}
    mask = next((names[word] for word in MASK_COLUMNS if word in names), None)
    columns = {meaning: name for meaning, name in sheet.columns.items() if name != mask}
    return replace(sheet, columns=columns | ({"mask": mask} if mask else {}))


def _scan_sheets(path: Path, plan: SourcePlan) -> Found:
    parts = parts_of(path, plan)
    root = absolute(plan.root or next(iter(parts)).parent)
    found = [_scan_sheet(_sheet(file, plan), part, root, plan) for file, part in parts.items()]
    return Found(
        pl.concat([one.frame for one in found]),
        root,
        tuple(note for one in found for note in one.notes),
        tuple(fault for one in found for fault in one.faults),
    )


def _scan_sheet(sheet: Sheet, part: str | None, root: Path, plan: SourcePlan) -> Found:
    name = sheet.path.name
    notes = [f"{name}: " + ", ".join(f"{meaning} from '{column}'" for meaning, column in sheet.columns.items())]
    faults = list(sheet.faults)
    rows = pl.DataFrame([sheet.values(meaning) for meaning in ("image", "label", "group", "mask")]).with_columns(
        sheet.row_N, source=pl.lit(name), split=pl.lit(part, pl.String)
    )
    if part is None and "split" in sheet.columns:
        rows = rows.with_columns(splits_of(sheet, plan, notes, faults))
    if part != "test" and "mask" not in sheet.columns:
        shown = ", ".join(sheet.frame.columns)
        faults.append(Fault(name, f"no column of masks; the columns are: {shown}", "name that column mask"))
    if "image" not in sheet.columns:
        return Found(pl.DataFrame(schema=SCHEMA), root, tuple(notes), tuple(faults))
    test = pl.col("split").eq_missing(pl.lit("test"))
    unlabelled = test & ~(test & pl.col("mask").is_not_null()).any()
    rows = rows.with_columns(split=pl.when(unlabelled).then(pl.lit("unlabelled")).otherwise("split"))
    rows = rows.with_columns(find_images(rows, sheet, root, plan, notes, faults).alias("image"))
    named = rows.drop_nulls("mask")
    asked = named.select(pl.col("mask").str.replace(PLACE, "$1").alias("image"), "row")
    drawn = named["mask"].str.extract(PLACE, 2).fill_null("")
    as_image = replace(sheet, columns=dict(sheet.columns) | {"image": sheet.columns.get("mask", "mask")})
    files = find_images(asked, as_image, root, plan, notes, faults) if len(named) else pl.Series([], dtype=pl.String)
    known = dict(zip(named["row"], files + drawn, strict=True))
    rows = rows.with_columns(mask=pl.col("row").replace_strict(known, default=None, return_dtype=pl.String))
    lost = {row for row, file in known.items() if file is None}
    return Found(rows.filter(~pl.col("row").is_in(lost)).select(*SCHEMA), root, tuple(notes), tuple(faults))
