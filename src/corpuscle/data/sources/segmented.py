"""From what a layout of masks gave to a checked table: sizes, missing masks and the legend; all faults at once."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from corpuscle.core.errors import DataFault, Fault
from corpuscle.core.threads import in_threads
from corpuscle.data.drawn import is_drawn
from corpuscle.data.masks import LOSSY, SAVE_AGAIN
from corpuscle.data.readers.image import UnreadableImage, header_of
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.legends import Meaning, legend_for
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.rows import alike, named, open_if_all_train, with_groups, without_copies
from corpuscle.data.sources.sizes import sizes_of
from corpuscle.data.table import Table


def checked_masks(found: Found, layout: str, plan: SourcePlan) -> Table:
    """The table of masks of what was found, sorted by path.

    Raises:
        DataFault: everything that is wrong with it and shows without decoding a mask.
        CorpuscleError: groups are asked for in two ways.
    """
    notes, faults = list(found.notes), list[Fault]()
    frame = named(found.frame, plan, faults)
    faults += alike(frame["label"])
    there = without_copies(frame.filter(pl.col("image").is_not_null()), notes, faults)
    there = with_groups(there, plan, notes, faults)
    there = _with_masks(there, plan, notes, faults)
    known = there.drop_nulls("mask")
    faults += _wrong_files(known, found.root)
    masks = [found.root / mask for mask in known["mask"].unique().sort()]
    if not masks and not found.faults and not faults:
        faults.append(Fault(str(found.root), "no image with a mask", "add masks, or pass --set data.masks=none"))
    meaning = Meaning(found.legend) if found.legend else legend_for(masks, found.root, plan.legend)
    if faults or found.faults or meaning.legend is None:
        raise DataFault(list(dict.fromkeys([*faults, *found.faults, *meaning.faults])))
    there = open_if_all_train(there).sort("image")
    legend, notes = meaning.legend, [*notes, *meaning.notes]
    return Table(there, found.root, legend.classes, layout, tuple(notes), legend=legend)


def _with_masks(frame: pl.DataFrame, plan: SourcePlan, notes: list[str], faults: list[Fault]) -> pl.DataFrame:
    """The rows without those whose mask is missing though it should not be; faults unless they are skipped."""
    missing = pl.col("mask").is_null() & pl.col("split").ne_missing(pl.lit("unlabelled"))
    bad = frame.filter(missing)
    if bad.is_empty():
        return frame
    if plan.unlabelled == "skip":
        notes.append(f"left out: {len(bad)} of {len(frame)} images without a mask (first: {bad['image'][0]})")
        return frame.filter(~missing)
    remedy = "add it, or pass --set data.unlabelled=skip to leave such images out"
    places = bad.select("image", pl.when(pl.col("row").is_not_null()).then(pl.format(" ({} row {})", "source", "row")))
    faults += [Fault(f"{image}{place or ''}", "has no mask", remedy) for image, place in places.iter_rows()]
    return frame


def _wrong_files(known: pl.DataFrame, root: Path) -> list[Fault]:
    """A fault for each mask of a kind that loses values, or of another size than its image; reads headers alone."""
    pairs = [(image, mask) for image, mask in known.select("image", "mask").rows() if not is_drawn(mask)]
    images = sizes_of([root / image for image, _ in pairs])
    masks = sizes_of([root / mask for _, mask in pairs])
    kinds = list(in_threads(_kind, [root / mask for _, mask in pairs]))
    faults = []
    for (image, mask), size, own, kind in zip(pairs, images, masks, kinds, strict=True):
        if mask == image:
            faults.append(Fault(image, "is named as its own mask", "name the mask"))
        elif kind in LOSSY:
            faults.append(Fault(mask, f"is a {kind} file, which does not keep values", SAVE_AGAIN))
        elif size and own and size != own:
            what = f"is {own[0]} x {own[1]} pixels, its image {image} is {size[0]} x {size[1]}"
            faults.append(Fault(mask, what, "save the mask at the size of the image"))
    return faults


def _kind(path: Path) -> str | None:
    try:
        with header_of(path) as image:
            return image.format
    except UnreadableImage:  # told with its remedy when the masks are read
        return None
