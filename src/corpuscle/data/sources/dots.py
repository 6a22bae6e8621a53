"""Layout of pairs in one folder: an image and an image of dots, `001cell.png` and `001dots.png`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from corpuscle.core.errors import Fault
from corpuscle.core.threads import in_threads
from corpuscle.data.readers.dots import Dots, read_dots
from corpuscle.data.readers.image import UnreadableImage
from corpuscle.data.sources.disk import absolute, listing
from corpuscle.data.sources.found import Found, points_frame
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.sizes import sizes_of
from corpuscle.data.table import COLUMNS

WORD = r"(?:^|[_\-. ]|(?<=\d)){}(?=[_\-. ]|$)"
IS_DOTS = re.compile(WORD.format("dots?"), re.IGNORECASE)
IS_CELL = re.compile(WORD.format("cells?"), re.IGNORECASE)


def scan_dots(path: Path, plan: SourcePlan) -> Found:
    """One row per image of a folder; the image of dots of the same name, but for `dots` and `cell`, marks its objects.

    Reads the images of dots, which are annotations, and of the others the headers.
    """
    root = absolute(path)
    faults: list[Fault] = []
    pairs = _pairs(listing(root).images, faults)
    read = list(in_threads(_read, [root / dots for dots in pairs.values()]))
    sizes = sizes_of([root / image for image in pairs])
    kind = "cell" if plan.kind == "auto" else plan.kind
    points: list[tuple[str | None, float, float, str, str | None]] = []
    none: list[str] = []
    for (image, name), dots, size in zip(pairs.items(), read, sizes, strict=True):
        if isinstance(dots, Fault):
            faults.append(Fault(name, dots.what, dots.remedy))
            continue
        if size and size != (dots.width, dots.height):
            what = f"is {dots.width} x {dots.height} pixels, its image {image} is {size[0]} x {size[1]}"
            faults.append(Fault(name, what, "save the dots at the size of the image"))
        if not len(dots.xy_M2):
            none.append(name)
        points += [(image, x, y, kind, None) for x, y in dots.xy_M2.tolist()]
    if plan.empty == "error":
        remedy = "mark its objects, or pass --set data.empty=allow if it holds none"
        faults += [Fault(name, "holds no dot, every pixel is black", remedy) for name in none]
    notes = [f"{len(pairs)} images of dots were read, such as {next(iter(pairs.values()))}"] if pairs else []
    if none and plan.empty == "allow":
        notes.append(f"{len(none)} images of dots hold none and count as 0 (first: {none[0]})")
    rows = [(image, None, None, None, root.name, None) for image in pairs]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    return Found(frame, root, tuple(notes), tuple(faults), points_frame(points))


def has_dots(names: Iterable[str]) -> bool:
    """Whether one of some images is named like an image of dots.

    >>> has_dots(["001cell.png", "001dots.png"]), has_dots(["a_dots_000.png"]), has_dots(["polkadots.png"])
    (True, True, False)
    """
    return any(IS_DOTS.search(Path(name).stem) for name in names)


def dots_in(names: Iterable[str]) -> frozenset[str]:
    """The images of dots among some images that are there beside them.

    >>> sorted(dots_in(["001cell.png", "001dots.png", "dots.png"]))
    ['001dots.png']
    """
    return frozenset(_pairs(names, []).values())


def _pairs(names: Iterable[str], faults: list[Fault]) -> Mapping[str, str]:
    """Each image to its image of dots; a fault for each that has none or several."""
    images: dict[str, list[str]] = {}
    dots: dict[str, list[str]] = {}
    for name in names:
        stem = Path(name).stem
        plain = IS_CELL.sub("", IS_DOTS.sub("", stem)).strip("_-. ")
        (dots if IS_DOTS.search(stem) else images).setdefault(plain, []).append(name)
    for plain in sorted(images.keys() | dots.keys()):
        ours, theirs = images.get(plain, []), dots.get(plain, [])
        if len(ours) > 1 or len(theirs) > 1:
            what = f"{' and '.join(ours + theirs)} could belong together, one image and one of dots were expected"
            faults.append(Fault(ours[0] if ours else theirs[0], what, "rename or remove the others"))
        elif not theirs:
            faults.append(Fault(ours[0], "has no image of dots", "add it, or remove the image"))
        elif not ours:
            faults.append(Fault(theirs[0], "has no image that its dots belong to", "add it, or remove the dots"))
    return {
        images[plain][0]: dots[plain][0]
        for plain in images
        if len(images[plain]) == 1 and len(dots.get(plain, ())) == 1
    }


def _read(path: Path) -> Dots | Fault:
    try:
        return read_dots(path)
    except UnreadableImage as error:
        return Fault(path.name, error.what, error.remedy)
