"""Layout of whole slides: a row a tile, which is read from its slide when it is needed; nothing is taken out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError, DataFault, Fault, nearest
from corpuscle.core.seeds import generator_for
from corpuscle.data.readers.slides import SLIDE_SUFFIXES, TIFF_SUFFIXES, SlideWindows, is_slide, kept_slide
from corpuscle.data.readers.tiles import tile_path
from corpuscle.data.regions.beside import Annotation, Annotations, fault_of, read_annotation, slide_stem
from corpuscle.data.regions.cover import Grid, covered, grid_of
from corpuscle.data.regions.raster import thumbnail, tissue
from corpuscle.data.sources.disk import absolute, counted_by_suffix, files_under, listing, suffix_of
from corpuscle.data.sources.folders import PARTS
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.plan import SlidePlan, SourcePlan
from corpuscle.data.sources.resolve import TILE
from corpuscle.data.sources.rows import without_copies
from corpuscle.data.table import ANYTHING, COLUMNS

IGNORE = "ignore"
CAMELYON = {"Tumor": "tumor", "_0": "tumor", "_1": "tumor", "_2": "", "Exclusion": "", "Ignore*": IGNORE}
UNLABELLED = (
    "lay an annotation beside it (.xml, .geojson or _mask.tif), sort slides into a folder a class, or learn without "
    "labels, by --set data.labels=none"
)
NAMELESS = """give them one, or say what they are, as in --set 'data.slides.layers={"": "tumor"}'"""
EMPTY = r"#\d+,\d+,(0+@\d+|\d+@0+)$"
TILES_ARE = "name it as in a.svs#1024,0,512@256: corner, side and the pixels that it is brought to"
ROUNDING = 0.02  # to which annotated shares are known
FIRST = 8  # TIFFs that are looked into to know what they all are
FINER = 1.02  # beyond this pixels are invented


@dataclass(frozen=True)
class _Tiled:
    """The tiles of one slide, the layers of its annotation, and what the user should know."""

    frame: pl.DataFrame
    layers: tuple[str, ...] = ()
    annotated: bool = False
    enlarged: bool = False


def has_slides(path: Path) -> bool:
    """Whether the images of a folder are whole slides; of TIFFs the first ones speak for all."""
    return any(True for _ in _slides_among(path, [name for name in files_under(path) if slide_stem(name) is None]))


def scan_slides(path: Path, plan: SourcePlan) -> Found:
    """One row per tile of a slide, or of the slides of a folder.

    Folders named train, val and test are parts. The name of any other is the class of the slides in it that have no
    annotation; where there are annotations, only if it is one of their classes.
    """
    if path.is_file():
        root, names, others = absolute(path).parent, [path.name], []
        annotations = _annotations(names, root, plan)
    else:
        root = absolute(path)
        files = list(files_under(root))
        names = list(_slides_among(root, [name for name in files if slide_stem(name) is None]))
        others = sorted(set(files) - set(names))
        annotations = _annotations(names, root, plan, [root / name for name in others])
    annotated = bool(annotations.files_of.keys() & annotations.slides_of.keys())
    rows = [_row(name, root, plan.slides, annotated or plan.slides.annotations is not None) for name in names]
    found = Found(pl.DataFrame(rows, schema=COLUMNS, orient="row"), root, (), ())
    found = _with_tiles_of(names, found, plan, annotations)
    loose = [name for name in others if slide_stem(name) is None]
    faults = [*found.faults]
    notes = [f"left out: {counted_by_suffix(loose)}, not slides"] if loose else []
    alone = list(_unused(annotations)) if path.is_dir() else []
    if alone and plan.slides.annotations is not None:  # which may be of more slides than these
        notes.append(f"left out: {len(alone)} annotation{'s' * (len(alone) != 1)} without a slide (first: {alone[0]})")
    elif plan.slides.bad == "skip":
        notes += map(_left_out, alone)
    else:
        faults += alone
    return Found(found.frame, root, (*found.notes, *notes), tuple(faults))


def _row(name: str, root: Path, how: SlidePlan, annotated: bool) -> tuple[Any, ...]:
    """What its folders say of a slide, in the order of `COLUMNS`."""
    folders = name.split("/")[:-1]
    parts = [PARTS[folder.lower()] for folder in folders if folder.lower() in PARTS]
    label = next((folder for folder in folders if folder.lower() not in PARTS), None)
    if annotated:
        known = {name.lower(): name for name in (how.normal, *(how.layers or CAMELYON).values())}
        label = known.get((label or "").lower()) or None
    return name, label, None, parts[0] if parts else None, "/".join(folders) or root.name, None


def with_tiles(found: Found, plan: SourcePlan) -> Found:
    """The rows of what was found, those of slides replaced by their tiles; the tiles of a slide are one group."""
    image = pl.col("image")
    own = pl.when(image.str.contains(TILE)).then(image.str.replace(TILE, ""))
    found = replace(found, frame=found.frame.with_columns(group=pl.coalesce("group", own)))
    empty = found.frame.filter(image.str.contains(EMPTY))["image"].to_list()
    wrong = [Fault(str(found.root / name), "is a tile of no pixels", TILES_ARE) for name in empty]
    found = replace(found, faults=(*found.faults, *wrong))
    slides = list(_slides_among(found.root, found.frame["image"].drop_nulls().to_list()))
    return _with_tiles_of(slides, found, plan, _annotations(slides, found.root, plan))


def tiles_of_slides(paths: Sequence[Path], how: SlidePlan, named: bool = False) -> tuple[list[Path], list[Fault]]:
    """Some images to predict, each slide among them replaced by its tiles, and a fault for each that cannot be used.

    Args:
        paths: of images, slides and tiles.
        how: slides become tiles.
        named: any tiled TIFF is a slide, see `is_slide`.

    Raises:
        DataFault: nothing is left.
    """
    plan = SourcePlan(labels="none", slides=how.model_copy(update={"bad": "error"}))
    images: list[Path] = []
    faults: list[Fault] = []
    for path in paths:
        if not is_slide(path, named):
            images.append(path)
            continue
        row = dict.fromkeys(COLUMNS) | {"image": path.name}
        found = Found(pl.DataFrame([row], schema=COLUMNS), path.parent, (), ())
        found = _with_tiles_of([path.name], found, plan, Annotations((), ()))
        if found.faults:
            whats, remedies = ([getattr(one, name) for one in found.faults] for name in ("what", "remedy"))
            faults.append(Fault(str(path), " and ".join(whats), "; ".join(remedies)))
        images += [path.parent / image for image in found.frame["image"]]
    if faults and not images:
        raise DataFault(faults)
    return images, faults


def _annotations(names: Sequence[str], root: Path, plan: SourcePlan, files: Sequence[Path] = ()) -> Annotations:
    """The annotations of slides: in the folder that was named, else among some files, else beside each."""
    slides, folder = [root / name for name in names], plan.slides.annotations
    if plan.labels == "none" or not slides:
        return Annotations(slides, files)
    if folder is not None and not folder.is_dir():
        raise CorpuscleError(f"data.slides.annotations expects a folder, got {folder}; name the folder they lie in")
    if folder is not None or not files:
        folders = [absolute(folder)] if folder is not None else dict.fromkeys(slide.parent for slide in slides)
        files = [place / name for place in folders if place.is_dir() for name in listing(place).files]
    return Annotations(slides, files)


def _unused(annotations: Annotations) -> Iterator[Fault]:
    stems = sorted(annotations.slides_of)
    for file in annotations.unused():
        stem = slide_stem(file.name) or ""
        if stem in annotations.slides_of:
            slide = annotations.slides_of[stem][0].name
            yield Fault(str(file), f"is an annotation of {slide}, which has another beside it", "remove one of them")
        else:
            yield Fault(str(file), "is an annotation without its slide", nearest(stem, stems))


def _with_tiles_of(slides: Sequence[str], found: Found, plan: SourcePlan, annotations: Annotations) -> Found:
    if not slides or found.counted or found.segmented:
        return found
    notes, faults = [*found.notes], [*found.faults]
    done: dict[str, _Tiled] = {}
    are_slides = pl.col("image").is_in(slides).fill_null(False)
    kept = [found.frame.filter(~are_slides)]
    for row in without_copies(found.frame.filter(are_slides), notes, faults).iter_rows(named=True):
        wrong: Sequence[Fault] = ()
        try:
            done[row["image"]] = _tiled(row, found.root, plan, annotations)
            kept.append(done[row["image"]].frame)
        except DataFault as fault:
            wrong = fault.faults
        except CorpuscleError as error:
            wrong = [fault_of(found.root / row["image"], error)]
        if plan.slides.bad == "skip":
            notes += map(_left_out, wrong)
        else:
            faults += wrong
    faults += _unused_layers(done, plan.slides)
    notes += _in_words(done, plan)
    frame = pl.concat(kept)
    if not done and not faults:
        faults.append(Fault(str(found.root), "no slide of it can be used", "see why with --set data.slides.bad=error"))
    elif frame["label"].is_null().all() and not faults:
        what = f"{len(frame)} tiles, and no slide with an annotation or a label"
        faults.append(Fault(str(found.root / slides[0] if len(slides) == 1 else found.root), what, UNLABELLED))
    return Found(frame, found.root, tuple(notes), tuple(faults))


def _tiled(row: Mapping[str, Any], root: Path, plan: SourcePlan, annotations: Annotations) -> _Tiled:
    """The tiles of one slide, as rows that else say what its own row says.

    Raises:
        CorpuscleError: the slide cannot be used, and why.
        DataFault: its annotation is wrong, and all of why.
    """
    path, how = root / row["image"], plan.slides
    slide = kept_slide(path)
    scale = _scale(slide, how)
    side, stride = (max(1, round(pixels * scale)) for pixels in (how.tile, how.stride or how.tile))
    grid = grid_of((slide.height, slide.width), side, stride)
    unlabelled = row["split"] == "unlabelled"
    beside = None if plan.labels == "none" or unlabelled else annotations.of(path)
    annotation = None if beside is None else read_annotation(beside, slide, side)
    faults = [] if annotation is None else [*annotation.faults, *_unknown_layers(annotation, how)]
    try:
        tissue_RC = _tissue_of(slide, grid, how)
    except CorpuscleError as error:
        raise DataFault([*faults, fault_of(path, error)]) from None
    if faults:
        raise DataFault(faults)
    if annotation is not None:
        label_RC = _labels(annotation, grid, how)
    elif plan.labels == "none":
        label_RC = np.full(tissue_RC.shape, ANYTHING, object)
    else:
        none_known = row["label"] is None and not unlabelled and how.unannotated == "normal"
        label_RC = np.full(tissue_RC.shape, how.normal if none_known else row["label"], object)
    rows_N, columns_N = np.nonzero(tissue_RC & (label_RC != IGNORE))
    if not len(rows_N):
        what = "every tile with tissue is to be ignored, or annotated by more than negative and less than positive"
        raise CorpuscleError(f"{path}: {what}; mend its annotation, or lower data.slides.positive")
    label_N = label_RC[rows_N, columns_N]
    chosen_N = _some(label_N, how.most, row["image"])
    corners = zip(grid.left_C[columns_N[chosen_N]].tolist(), grid.top_R[rows_N[chosen_N]].tolist(), strict=True)
    images = [tile_path(row["image"], left, top, side, how.tile) for left, top in corners]
    labels = pl.Series("label", label_N[chosen_N].tolist(), pl.String)
    frame = pl.DataFrame({"image": images, "label": labels}).with_columns(
        group=pl.lit(row["group"] or row["image"], pl.String),
        split=pl.lit("unlabelled" if labels.null_count() else row["split"], pl.String),
        source=pl.lit(row["source"], pl.String),
        row=pl.lit(row["row"], pl.Int64),
    )
    layers = () if annotation is None else annotation.layers
    return _Tiled(frame.select(*COLUMNS), layers, annotation is not None, scale * FINER < 1)


def _scale(slide: SlideWindows, how: SlidePlan) -> float:
    """Pixels of level 0 along one of a tile's."""
    if not how.mpp:
        return 1.0
    own = slide.mpp or how.slide_mpp
    if not own:
        x, y = slide.stated_mpp
        stated = (
            f"states {x:g} x {y:g} microns a pixel, which cannot be"
            if x > 0 and y > 0
            else "does not state its microns a pixel"
        )
        raise CorpuscleError(
            f"{slide.path}: {stated}, tiles of {how.mpp:g} were asked for; give its own with "
            "--set data.slides.slide_mpp=MICRONS, or take its pixels as they are with --set data.slides.mpp=0"
        )
    return how.mpp / own


def _tissue_of(slide: SlideWindows, grid: Grid, how: SlidePlan) -> np.ndarray:
    """Which tiles show enough tissue, bool_RC."""
    if not how.tissue:
        return np.ones((len(grid.top_R), len(grid.left_C)), bool)
    small = thumbnail(slide, grid.side)
    enough_RC: np.ndarray = covered(tissue(small, grid.side), small.downsample, grid) >= how.tissue - 1e-6
    if not enough_RC.any():
        raise CorpuscleError(
            f"{slide.path}: none of its {enough_RC.size} tiles is tissue by {how.tissue:.0%}; leave it out, or lower "
            "data.slides.tissue (0 takes every tile)"
        )
    return enough_RC


def _labels(annotation: Annotation, grid: Grid, how: SlidePlan) -> np.ndarray:
    """The class of each tile by what is annotated on it, object_RC; `IGNORE` where it is neither this nor that."""
    layers_of: dict[str, list[str]] = {}
    for layer in annotation.layers:
        layers_of.setdefault(_class_of(layer, how) or how.normal, []).append(layer)
    cut = layers_of.pop(how.normal, [])
    all_layers = [layer for name, layers in layers_of.items() if name != IGNORE for layer in layers]
    cut_RC = annotation.covers(cut, grid)
    share = {name: annotation.covers([*layers, *cut], grid) - cut_RC for name, layers in layers_of.items()}
    ignored_RC = share.pop(IGNORE, np.zeros_like(cut_RC))
    share_KRC = np.stack([np.zeros_like(cut_RC), *share.values()])
    annotated_RC = annotation.covers([*all_layers, *cut], grid) - cut_RC
    names = np.array([how.normal, *share], object)
    label_RC = names[share_KRC.argmax(axis=0)]
    most_RC = share_KRC.max(axis=0)
    is_normal_RC = annotated_RC <= how.negative + ROUNDING
    between_RC = (most_RC < how.positive - ROUNDING) & ~is_normal_RC
    label_RC[is_normal_RC] = how.normal
    label_RC[between_RC | (ignored_RC > how.negative + ROUNDING)] = IGNORE
    return label_RC


def _class_of(layer: str, how: SlidePlan) -> str | None:
    """The class of a layer, empty for that of unannotated tiles; None where nobody has said it."""
    return how.layers.get(layer) if how.layers else CAMELYON.get(layer, layer or None)


def _unknown_layers(annotation: Annotation, how: SlidePlan) -> Iterator[Fault]:
    for layer in annotation.layers:
        if _class_of(layer, how) is not None:
            continue
        what = f"layer '{layer}' is not in data.slides.layers" if layer else "has areas without a layer or class"
        remedy = nearest(layer, how.layers) if layer else NAMELESS
        yield Fault(str(annotation.path), what, remedy)


def _some(label_N: np.ndarray, most: int, name: str) -> np.ndarray:
    """Places of at most so many tiles, as many of each class as can be; chosen by the slide's name alone."""
    if not most or len(label_N) <= most:
        return np.arange(len(label_N))
    rng = generator_for(0, "tiles", name)
    turn_N = np.empty(len(label_N), np.int64)
    for label in dict.fromkeys(label_N.tolist()):
        same = np.flatnonzero(label_N == label)
        turn_N[same] = rng.permutation(len(same))
    return np.sort(np.argsort(turn_N, kind="stable")[:most])


def _slides_among(root: Path, names: Sequence[str]) -> Iterator[str]:
    """Those that are slides; TIFFs are if one of the first few is, for one may be damaged or a thumbnail."""
    tiffs = itertools.islice((name for name in names if suffix_of(name) in TIFF_SUFFIXES), FIRST)
    tiffs_are = any(is_slide(root / name) for name in tiffs)
    for name in names:
        if suffix_of(name) in SLIDE_SUFFIXES or (tiffs_are and suffix_of(name) in TIFF_SUFFIXES):
            yield name


def _unused_layers(done: Mapping[str, _Tiled], how: SlidePlan) -> list[Fault]:
    found = {layer for tiled in done.values() for layer in tiled.layers}
    wrong = [layer for layer in how.layers if found and layer not in found]
    return [
        Fault("data.slides.layers", f"no annotation has the layer '{layer}'", nearest(layer, sorted(found)))
        for layer in wrong
    ]


def _in_words(done: Mapping[str, _Tiled], plan: SourcePlan) -> Iterator[str]:
    """What was understood, for the user."""
    annotated = sum(tiled.annotated for tiled in done.values())
    of_what = f"{plan.slides.mpp:g} microns a pixel" if plan.slides.mpp else "the slides' own pixels"
    known = f", {annotated} of them with an annotation" if plan.labels == "auto" else ""
    yield f"{len(done)} slide{'s' * (len(done) != 1)}{known}; tiles of {plan.slides.tile} pixels of {of_what}"
    enlarged = [name for name, tiled in done.items() if tiled.enlarged]
    if enlarged:
        yield f"{len(enlarged)} slides are coarser than {of_what} and were enlarged (first: {enlarged[0]})"


def _left_out(fault: Fault) -> str:
    return f"left out: {fault.where} ({fault.what})"
