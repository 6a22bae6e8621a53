"""What was read, held against its images and the user's choices; all faults at once."""

from __future__ import annotations

from dataclasses import replace

from corpuscle.core.errors import CorpuscleError, DataFault, Fault, nearest
from corpuscle.data.annotations.record import Annotations, Marked
from corpuscle.data.geojson import UNNAMED
from corpuscle.data.sources.boxes import Box, box_around, sound_boxes
from corpuscle.data.sources.plan import SourcePlan

LOST = "replace it by a whole copy, or leave it out"


def sound(found: Annotations, plan: SourcePlan) -> Annotations:
    """The annotations under the names, and of the kinds, that the user asks for; images that nothing tells of left out.

    Where no part but train is told apart, none is.

    Raises:
        DataFault: images without a readable header, shapes that do not lie in their image, and what the reader found.
        CorpuscleError: kinds that nobody has.
    """
    notes, faults = list(found.notes), list(found.faults)
    told = [one for one in found.images if one.source]
    if len(told) < len(found.images):
        notes.append(f"left out: {len(found.images) - len(told)} images that nothing was said of")
    faults += [Fault(one.image, "its header cannot be read", LOST) for one in told if not one.width]
    kept = _inside(told, plan, notes, faults)
    if not told and not faults:
        faults.append(Fault(str(found.root), "no image with annotations", "name the folder or file that holds them"))
    if faults:
        raise DataFault(faults)
    if all(one.split == "train" for one in kept):
        kept = tuple(replace(one, split=None) for one in kept)
    return of_kinds(replace(found, images=kept, notes=tuple(notes)), plan)


def _inside(images: list[Marked], plan: SourcePlan, notes: list[str], faults: list[Fault]) -> tuple[Marked, ...]:
    """The images without shapes that have no area; a fault for each that is reversed or lies outside."""
    sizes = {one.image: (one.width, one.height) for one in images if one.width}
    boxes: dict[tuple[str, int], Box] = {}
    for one in images:
        for place, shape in enumerate(one.shapes):
            if shape.kind != "point":
                boxes[one.image, place] = box_around(one.image, shape.label, [shape])
            elif not (0 <= shape.xy[0][0] <= one.width and 0 <= shape.xy[0][1] <= one.height):
                x, y = shape.xy[0]
                what = f"the point x {x:g}, y {y:g} lies outside of {one.image} ({one.width} x {one.height} pixels)"
                faults.append(Fault(shape.where, what, "mend it or remove it"))
    held = {id(box) for box in sound_boxes(list(boxes.values()), sizes, plan, notes, faults)}
    return tuple(
        replace(
            one,
            shapes=tuple(
                shape
                for place, shape in enumerate(one.shapes)
                if (one.image, place) not in boxes or id(boxes[one.image, place]) in held
            ),
        )
        for one in images
    )


def of_kinds(found: Annotations, plan: SourcePlan) -> Annotations:
    """The annotations with the plan's names for their classes, and only of its kinds.

    Raises:
        CorpuscleError: kinds that nobody has.
    """
    said = ({} if plan.kind == "auto" else {UNNAMED: plan.kind}) | plan.label_names
    names = {name: said.get(name, name) for name in found.classes}
    classes = tuple(dict.fromkeys(names.values()))
    for kind in plan.kinds:
        if kind not in classes:
            raise CorpuscleError(f"data.kinds: '{kind}' is no class of {found.root}; {nearest(kind, classes)}")
    wanted = [name for name in classes if not plan.kinds or name in plan.kinds]
    images = tuple(
        replace(
            one,
            shapes=tuple(
                replace(shape, label=names[shape.label]) for shape in one.shapes if names[shape.label] in wanted
            ),
        )
        for one in found.images
    )
    number = sum(len(one.shapes) for one in found.images) - sum(len(one.shapes) for one in images)
    left = (f"left out: {number} shapes of classes that data.kinds does not name",) if number else ()
    return replace(found, images=images, classes=tuple(wanted), notes=(*found.notes, *left))
