"""Masks: from a file to the class of each pixel, and one pass over all masks of a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from PIL import Image, ImageOps

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import digest_of
from corpuscle.core.legend import Colour, Legend
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.threads import in_threads
from corpuscle.data.cache import Filling, Look, digests_of, kept
from corpuscle.data.drawn import file_of_mask, is_drawn, read_drawn
from corpuscle.data.prepare import PreparePlan, onto_canvas
from corpuscle.data.readers.image import ReadPlan, UnreadableImage, header_of
from corpuscle.data.table import Table

FORMAT = 1  # raise when the same file would give another mask than before
LOSSY = ("JPEG", "WEBP")
UNDECLARED = 254  # in a table of numbers; above all classes and below what is ignored
SHOWN = 5  # values that an error names
SAVE_AGAIN = "save it as a grey or palette PNG, a number a class"
SCHEMA: dict[str, Any] = {"fault": pl.String, "remedy": pl.String, "pixels": pl.List(pl.Int64)}


class Masks(Protocol):
    """Prepared masks by their place in the table: mask_HW uint8 of the canvas's size, read only."""

    def __getitem__(self, place: int, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Values:
    """What a mask holds as it stands in its file.

    Attributes:
        value_HW: grey values, indices of a palette, or colours as 24 bits.
        colour: whether these are colours.
        palette_I: colour of each index as 24 bits; None where there is no palette.
        clear_HW: which pixels are wholly transparent, and thus background; None where there are none.
        one_bit: whether the file knows two values only; they are 0 and 255 here.
    """

    value_HW: np.ndarray
    colour: bool = False
    palette_I: np.ndarray | None = None
    clear_HW: np.ndarray | None = None
    one_bit: bool = False


def read_mask(path: Path, legend: Legend, plan: ReadPlan = ReadPlan()) -> np.ndarray:  # noqa: B008 (frozen)
    """The class of each pixel of a mask in PNG, TIFF, BMP or GIF, grey, palette or colours, or of one that is drawn.

    A palette is read by its indices, or by its colours where the legend names those. What is wholly transparent is
    background.

    Returns:
        mask_HW, uint8, upright; IGNORED where pixels do not count.

    Raises:
        UnreadableImage: it cannot be decoded, was compressed with loss, or holds values that the legend does not name.
    """
    if is_drawn(str(path)):
        return read_drawn(path, legend, plan)
    values = read_values(path, plan)
    number_of = _numbers(values, legend)
    mask_HW = _looked_up(values.value_HW, number_of)
    if values.clear_HW is not None:
        mask_HW[values.clear_HW] = 0
    if mask_HW.size and (mask_HW == UNDECLARED).any():
        raise _undeclared(path, values, mask_HW)
    return mask_HW


def read_values(path: Path, plan: ReadPlan = ReadPlan()) -> Values:  # noqa: B008 (frozen)
    """A mask as it stands in its file.

    Raises:
        UnreadableImage: it cannot be decoded, was compressed with loss, or is of a kind that masks are not.
    """
    with header_of(path) as image:
        if image.format in LOSSY:
            raise UnreadableImage(path, f"is a {image.format} file, which does not keep values", SAVE_AGAIN)
        width, height = image.size
        if width * height > plan.max_pixels:
            what = f"has {width} x {height} pixels, more than the limit of {plan.max_pixels:,}"
            raise UnreadableImage(path, what, f"pass --set read.max_pixels={width * height}")
        upright: Image.Image = image if image.format == "TIFF" else ImageOps.exif_transpose(image)
        if upright.mode == "1":
            return Values(np.asarray(upright).astype(np.uint8) * np.uint8(255), one_bit=True)
        if upright.mode == "P" and image.format != "GIF":  # which orders its palette anew in each file
            return Values(np.asarray(upright), palette_I=_palette(upright))
        if upright.mode in ("L", "I", "I;16", "I;16B"):
            return Values(np.asarray(upright))
        clear_HW = None
        if upright.mode in ("LA", "PA", "RGBA"):
            clear_HW = np.asarray(upright.getchannel("A")) == 0
        if upright.mode == "LA":
            return Values(np.asarray(upright.getchannel("L")), clear_HW=clear_HW)
        if upright.mode in ("P", "PA", "RGB", "RGBA"):
            return Values(_packed(upright.convert("RGB")), colour=True, clear_HW=clear_HW)
        raise UnreadableImage(path, f"is of the kind {upright.mode}, numbers or colours were expected", SAVE_AGAIN)


def met(values: Values) -> np.ndarray:
    """The different values of a mask, in order, without those that are transparent."""
    value_P = values.value_HW.ravel() if values.clear_HW is None else values.value_HW[~values.clear_HW]
    if not value_P.size:
        return value_P
    changes_P = np.flatnonzero(value_P[1:] != value_P[:-1]) + 1  # masks are patches of one value: few are left to sort
    return np.unique(value_P[np.concatenate([[0], changes_P])])


def colour_of(value: int) -> Colour:
    """Red, green and blue of 24 bits.

    >>> colour_of(0xFBBEBE)
    (251, 190, 190)
    """
    return value >> 16, value >> 8 & 255, value & 255


def word_of(value: int | Colour) -> str:
    """How a value is written in a legend.

    >>> word_of(128), word_of((251, 190, 190))
    ('128', '#fbbebe')
    """
    return "#{:02x}{:02x}{:02x}".format(*value) if isinstance(value, tuple) else str(value)


def prepare_mask(mask_HW: np.ndarray, plan: PreparePlan) -> np.ndarray:
    """Bring a mask to its image's canvas, in the same way: each pixel has the class at its middle.

    Raises:
        CorpuscleError: the surround of the image is cut off, which does not show in its mask.
    """
    if plan.fit != "keep":
        if plan.trim_border:
            raise CorpuscleError(
                "masks expect images that keep their surround, got prepare.trim_border=true; "
                "pass --set prepare.trim_border=false"
            )
        return onto_canvas(mask_HW, plan, nearest=True)
    if plan.shrink <= 1:
        return mask_HW
    y_H, x_W = (
        np.minimum(np.arange(plan.shrink // 2, side + plan.shrink // 2, plan.shrink), side - 1)
        for side in mask_HW.shape
    )
    return np.ascontiguousarray(mask_HW[np.ix_(y_H, x_W)])


@dataclass(frozen=True)
class MaskSurvey:
    """What one pass over the masks found.

    Attributes:
        frame: a row an image, in the table's order: fault and remedy (null where the mask is sound, or there is none),
            and pixels (of each class; null where there is no sound mask).
        masks: the prepared masks, None where none were asked for.
    """

    frame: pl.DataFrame
    masks: Masks | None

    def joined(self, seen: pl.DataFrame) -> pl.DataFrame:
        """What is known of each image and its mask together: a fault of either is one of both.

        Args:
            seen: `Survey.frame` of the same rows.
        """
        either = [pl.coalesce(seen[name], self.frame[name]).alias(name) for name in ("fault", "remedy")]
        return seen.with_columns(*either, self.frame["pixels"])


@dataclass(frozen=True)
class ReadEachTime:
    """Masks that are read anew each time, for where the cache is off or the disk too small."""

    paths: Sequence[Path | None]
    legend: Legend
    read: ReadPlan
    prepare: PreparePlan

    def __getitem__(self, place: int) -> np.ndarray:
        path = self.paths[place]
        if path is None:
            return np.zeros((0, 0), np.uint8)
        return prepare_mask(read_mask(path, self.legend, self.read), self.prepare)


def survey_masks(
    table: Table,
    seen: pl.DataFrame,
    read: ReadPlan,
    preparation: PreparePlan | None,
    cache: bool = True,
    progress: Progress = SILENT,
) -> MaskSurvey:
    """Read every mask of the table once.

    Args:
        table: names the masks, and has a legend.
        seen: `Survey.frame` of the same rows: the sizes of the images.
        read: limits of the reader.
        preparation: of the images, with its shrinkage chosen; None only looks.
        cache: keep the masks for the next run.
        progress: shows how far it is.

    Raises:
        CorpuscleError: canvases that masks do not follow.
    """
    assert table.legend is not None
    if preparation is not None:
        prepare_mask(np.zeros((1, 1), np.uint8), preparation)  # refuses before any time is spent
    paths = [None if mask is None else table.path_of(mask) for mask in table.frame["mask"]]
    sizes = seen.select("height", "width").rows()
    looks = partial(_look_at, paths, sizes, table.legend, read, preparation, progress)
    if cache and preparation is not None:
        filling = Filling(
            key=_key(paths, sizes, table.legend, read, preparation, progress),
            looks=looks,
            need=partial(_bytes_of, sizes, preparation),
            schema=SCHEMA,
            channels=(),
        )
        found = kept(filling, "masks", progress)
        if found is not None:
            return MaskSurvey(found.frame, found.canvases)
    frame = pl.DataFrame([look.row for look in looks()], schema=SCHEMA)
    each = None if preparation is None else ReadEachTime(paths, table.legend, read, preparation)
    return MaskSurvey(frame, each)


def _key(
    paths: Sequence[Path | None],
    sizes: Sequence[tuple[int, int]],
    legend: Legend,
    read: ReadPlan,
    preparation: PreparePlan,
    progress: Progress,
) -> str:
    """Names an entry of the cache by all that its masks and its faults depend on."""
    files = list(dict.fromkeys(file_of_mask(path) for path in paths if path is not None))
    digest = dict(zip(files, digests_of(files, progress), strict=True))
    masks = ["none" if path is None else digest[file_of_mask(path)] for path in paths]
    masks += [str(path).rpartition("#")[2] for path in paths if path is not None and is_drawn(str(path))]
    meaning = [legend.classes, sorted((str(value), number) for value, number in legend.number_of.items())]
    settings = [f"masks {FORMAT}", json.dumps(meaning), read.model_dump_json(), preparation.model_dump_json()]
    return digest_of("\n".join([*settings, json.dumps(sizes), *masks]).encode())


def _bytes_of(sizes: Sequence[tuple[int | None, int | None]], preparation: PreparePlan) -> int:
    if preparation.fit != "keep":
        return len(sizes) * preparation.size**2
    factor = max(preparation.shrink, 1)
    return sum(-(-(height or 0) // factor) * -(-(width or 0) // factor) for height, width in sizes)


def _look_at(
    paths: Sequence[Path | None],
    sizes: Sequence[tuple[int | None, int | None]],
    legend: Legend,
    read: ReadPlan,
    preparation: PreparePlan | None,
    progress: Progress,
) -> Iterator[Look]:
    look = partial(_look_at_one, legend=legend, read=read, preparation=preparation)
    yield from progress.track(in_threads(look, zip(paths, sizes, strict=True)), "reading masks", len(paths))


def _look_at_one(
    item: tuple[Path | None, tuple[int | None, int | None]],
    legend: Legend,
    read: ReadPlan,
    preparation: PreparePlan | None,
) -> Look:
    path, (height, width) = item
    row: dict[str, Any] = dict.fromkeys(SCHEMA)
    if path is None:
        return Look(row, None)
    try:
        mask_HW = read_mask(path, legend, read)
    except CorpuscleError as error:
        what, _, remedy = str(error).removeprefix(f"{path}: ").partition("; ")
        return Look(row | {"fault": f"its mask {file_of_mask(path).name}: {what}", "remedy": remedy}, None)
    if height is not None and mask_HW.shape != (height, width):
        name = file_of_mask(path).name
        what = f"is {width} x {height} pixels, its mask {name} is {mask_HW.shape[1]} x {mask_HW.shape[0]}"
        return Look(row | {"fault": what, "remedy": "save the mask at the size of the image"}, None)
    row["pixels"] = np.bincount(mask_HW.ravel(), minlength=256)[: len(legend.classes)].tolist()
    return Look(row, None if preparation is None else prepare_mask(mask_HW, preparation))


def _numbers(values: Values, legend: Legend) -> dict[int, int]:
    """The class number of each value that the legend names, in the file's own values."""
    plain = {value: number for value, number in legend.number_of.items() if isinstance(value, int)}
    colours = {_as_24_bits(value): number for value, number in legend.number_of.items() if isinstance(value, tuple)}
    if values.colour:
        return colours or {value * 0x10101: number for value, number in plain.items() if value <= 255}
    if values.palette_I is not None:
        by_colour = {at: colours[colour] for at, colour in enumerate(values.palette_I.tolist()) if colour in colours}
        return by_colour if colours and (not plain or set(met(values).tolist()) <= by_colour.keys()) else plain
    if not plain:
        return {colour & 255: number for colour, number in colours.items() if colour % 0x10101 == 0}
    if values.one_bit and 1 in plain and 255 not in plain:
        return plain | {255: plain[1]}
    return plain


def _looked_up(value_HW: np.ndarray, number_of: Mapping[int, int]) -> np.ndarray:
    """The number of each value, UNDECLARED where it has none."""
    if value_HW.dtype in (np.uint8, np.uint16):
        number_V = np.full(np.iinfo(value_HW.dtype).max + 1, UNDECLARED, np.uint8)
        for value, number in number_of.items():
            if 0 <= value < len(number_V):
                number_V[value] = number
        return number_V[value_HW]
    if not number_of:
        return np.full(value_HW.shape, UNDECLARED, np.uint8)
    value_V = np.array(sorted(number_of), value_HW.dtype)
    number_V = np.array([number_of[value] for value in value_V.tolist()], np.uint8)
    place_HW = np.minimum(np.searchsorted(value_V, value_HW), len(value_V) - 1)
    return np.where(value_V[place_HW] == value_HW, number_V[place_HW], np.uint8(UNDECLARED))


def _undeclared(path: Path, values: Values, mask_HW: np.ndarray) -> UnreadableImage:
    """Which values have no name, the commonest first."""
    value_V, pixels_V = np.unique(values.value_HW[mask_HW == UNDECLARED], return_counts=True)
    names = [
        word_of(colour_of(value) if values.colour else value)
        for value in value_V[np.argsort(-pixels_V, kind="stable")].tolist()
    ]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    what = f"holds {pixels_V.sum()} pixels of values that the legend does not name ({', '.join(names[:SHOWN])}{more})"
    return UnreadableImage(
        path, what, "add them to data.legend or legend.json ('ignore' leaves them out), or mend the mask"
    )


def _palette(image: Image.Image) -> np.ndarray:
    red, green, blue = np.array(image.getpalette("RGB"), np.int32).reshape(-1, 3).T
    colour_I: np.ndarray = np.zeros(256, np.int32)
    colour_I[: len(red)] = red << 16 | green << 8 | blue
    return colour_I


def _packed(image: Image.Image) -> np.ndarray:
    """The colours of an image as 24 bits."""
    return np.frombuffer(image.tobytes("raw", "BGRX"), "<i4").reshape(image.height, image.width)


def _as_24_bits(colour: Colour) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue
