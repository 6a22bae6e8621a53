"""What a format cannot hold is drawn otherwise or left out, and each such thing is said with its number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.annotations.record import Annotations, Kind, Marked, Part, Ring, Shape
from corpuscle.data.annotations.rings import one_ring

CUT = 0.01  # pixels; what lies less far beyond the border is cut without a word
WORDS: Mapping[Kind, str] = {"box": "boxes", "polygon": "polygons", "point": "points"}


@dataclass(frozen=True)
class Holds:
    """What a format has room for.

    Attributes:
        kinds: of shapes.
        instead: a kind it has no room for to the kind that is drawn in its place; others are left out.
        mixed: kinds may stand together; else all becomes boxes.
        holes: in polygons.
        pieces: several polygons may be one object.
        parts: which part each image is in.
        difficult, crowd: marks of shapes.
    """

    kinds: tuple[Kind, ...]
    instead: Mapping[Kind, Kind] = field(default_factory=dict)
    mixed: bool = True
    holes: bool = False
    pieces: bool = False
    parts: bool = True
    difficult: bool = False
    crowd: bool = False


def fitted(annotations: Annotations, holds: Holds, title: str) -> tuple[Annotations, tuple[str, ...]]:
    """What a format can hold of some annotations, and a note on each thing that it cannot.

    Raises:
        CorpuscleError: it can hold none of the shapes.
    """
    met: set[Kind] = {shape.kind for one in annotations.images for shape in one.shapes}
    if not holds.mixed and len(met & set(holds.kinds)) > 1:
        holds = replace(holds, kinds=("box",), instead={"polygon": "box"})
    if met and not met & {*holds.kinds, *holds.instead}:
        held = " and ".join(WORDS[kind] for kind in holds.kinds)
        came = " and ".join(WORDS[kind] for kind in sorted(met))
        raise CorpuscleError(f"{title}: expected {held}, {annotations.root} has {came} alone; choose another format")
    told: Counter[str] = Counter()
    images = [replace(one, shapes=tuple(_shapes(one, holds, told))) for one in annotations.images]
    split, notes = _parts(images, holds, title)
    return replace(annotations, images=split), (*(f"{what}: {number}" for what, number in told.items()), *notes)


def _shapes(one: Marked, holds: Holds, told: Counter[str]) -> Iterator[Shape]:
    for pieces in one.objects():
        kind = pieces[0].kind
        if pieces[0].crowd and not holds.crowd:
            told["crowds of several objects left out"] += 1
            continue
        if kind not in holds.kinds and kind not in holds.instead:
            told[f"{WORDS[kind]} left out, for which there is no room"] += 1
            continue
        inside = [_cut(shape, one, told) for shape in pieces]
        if pieces[0].difficult and not holds.difficult:
            told["marks of difficult objects left out"] += 1
            inside = [replace(shape, difficult=False) for shape in inside]
        if kind == "box" and len(inside) > 1:
            told["objects of several boxes drawn as one box"] += 1
            inside = [_instead(inside, "box")]
        if kind not in holds.kinds:
            target = holds.instead[kind]
            told[f"{WORDS[kind]} drawn as {WORDS[target]}{', their middles' * (target == 'point')}"] += 1
            yield _instead(inside, target)
        else:
            yield from _polygons(inside, holds, told) if kind == "polygon" else inside


def _polygons(pieces: Sequence[Shape], holds: Holds, told: Counter[str]) -> Iterator[Shape]:
    """An object whose holes, and whose pieces, are joined to one outline where they must be."""
    holed = any(shape.holes for shape in pieces) and not holds.holes
    split = len(pieces) > 1 and not holds.pieces
    if holed:
        told["polygons whose holes were joined to the outline by cuts of no width"] += 1
    if split:
        told["objects whose pieces were joined by cuts of no width"] += 1
        yield replace(pieces[0], xy=one_ring(pieces), holes=(), instance=None)
    elif holed:
        yield from (replace(shape, xy=one_ring([shape]), holes=()) for shape in pieces)
    else:
        yield from pieces


def _instead(pieces: Sequence[Shape], kind: Kind) -> Shape:
    """The box around an object, or the middle of it."""
    lefts, tops, rights, bottoms = zip(*(shape.box for shape in pieces), strict=True)
    left, top, right, bottom = min(lefts), min(tops), max(rights), max(bottoms)
    middle = (left + right) / 2, (top + bottom) / 2
    xy = (middle,) if kind == "point" else ((left, top), (right, bottom))
    return replace(pieces[0], kind=kind, xy=xy, holes=(), instance=None)


def _cut(shape: Shape, one: Marked, told: Counter[str]) -> Shape:
    """The shape with what lies beyond the border of its image drawn onto the border."""

    def inside(ring: Ring) -> Ring:
        return tuple((min(max(x, 0.0), one.width), min(max(y, 0.0), one.height)) for x, y in ring)

    kept = replace(shape, xy=inside(shape.xy), holes=tuple(map(inside, shape.holes)))
    if max(abs(x - u) + abs(y - v) for (x, y), (u, v) in zip(shape.xy, kept.xy, strict=True)) > CUT:
        told[f"{WORDS[shape.kind]} cut at the border of their image"] += 1
    return kept


def _parts(images: Sequence[Marked], holds: Holds, title: str) -> tuple[tuple[Marked, ...], tuple[str, ...]]:
    """The images with their parts, if all have one, these are several, and the format has room for them."""
    parts = Counter(one.split for one in images)
    if holds.parts and None not in parts and len(parts) > 1:
        return tuple(images), ()
    plain = tuple(replace(one, split=None) for one in images)
    if set(parts) <= {None}:
        return plain, ()
    shown = ", ".join(f"{part or 'none'} {parts[part]}" for part in (*get_args(Part), None) if part in parts)
    why = "some images are in none" if None in parts else f"{title} has none" if not holds.parts else "there is but one"
    return plain, (f"parts left out, for {why} ({shown})",)
