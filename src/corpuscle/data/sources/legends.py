"""What the values of masks mean: as the user says, as a legend.json says, or by the values themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.core.legend import BACKGROUND, IGNORED, SMEAR, Colour, Legend, colours_for
from corpuscle.core.threads import in_threads
from corpuscle.data.drawn import is_drawn, labels_on
from corpuscle.data.masks import Values, colour_of, met, read_values, word_of
from corpuscle.data.readers.image import UnreadableImage
from corpuscle.data.sources.named import read_json
from corpuscle.data.sources.rows import in_order

FILE = "legend.json"
IGNORE = "ignore"
MOST = 64  # classes that are told by their values alone; above it they are soft edges, or numbers of objects
OF_ITS_OWN = "give each class values of its own"
SHOWN = 12  # labels that a fault names
EXAMPLE = """{"0": "background", "255": "nucleus"}"""


@dataclass(frozen=True)
class Meaning:
    """A legend, and what the user should know of where it comes from; faults where there is none."""

    legend: Legend | None
    notes: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


def legend_for(masks: Sequence[Path], root: Path, chosen: Mapping[str, str]) -> Meaning:
    """The legend of some masks.

    Args:
        masks: their files; read only where nothing else says what their values mean.
        root: folder of the data set, where a legend.json may lie; or beside the masks, or in a folder above them.
        chosen: value or colour to name, as the user has set it.
    """
    drawn = [mask for mask in masks if is_drawn(str(mask))]
    if drawn and len(drawn) < len(masks):
        what = f"are files of pixels, and {len(drawn)} are drawn by annotations; one kind was expected"
        return Meaning(None, faults=(Fault(f"{len(masks) - len(drawn)} masks", what, "name masks of one kind"),))
    if drawn:
        return legend_of_labels(frozenset[str]().union(*in_threads(labels_on, drawn)), chosen, {})
    try:
        if chosen:
            return Meaning(legend_of(chosen, "data.legend"))
        file = _legend_file(masks, root)
        if file:
            return Meaning(_of_file(file), (f"the classes of the masks are from {file.name}",))
    except DataFault as fault:
        return Meaning(None, faults=fault.faults)
    except CorpuscleError as error:
        what, _, remedy = str(error).partition(": ")[2].partition("; ")
        return Meaning(None, faults=(Fault(FILE, what, remedy),))
    return _of_values(masks)


def _legend_file(masks: Sequence[Path], root: Path) -> Path | None:
    folders = [root, *dict.fromkeys(folder for mask in masks[:1] for folder in list(mask.parents)[:3])]
    return next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)


def _of_file(file: Path) -> Legend:
    """A legend.json: `{"0": "background", ...}`, or classes and their colours in the order of their numbers."""
    content = read_json(file)
    if isinstance(content, dict) and isinstance(content.get("classes"), list):
        return _of_classes(content, file)
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content.values()):
        raise DataFault([Fault(file.name, "is no table of values and names", f"write it as {EXAMPLE}")])
    return legend_of(content, file.name)


def _of_classes(content: Mapping[str, Any], file: Path) -> Legend:
    classes, colours = content["classes"], content.get("colours", [])
    sound = all(
        isinstance(colour, list) and len(colour) == 3 and all(isinstance(c, int) and 0 <= c <= 255 for c in colour)
        for colour in (colours if isinstance(colours, list) else [None])
    )
    if not sound or len(colours) not in (0, len(classes)):
        what = f"has {len(classes)} classes and {len(colours) if sound else 'no proper'} colours"
        remedy = 'write "colours": [[red, green, blue], ...], one a class, or leave them out'
        raise DataFault([Fault(file.name, what, remedy)])
    pairs: list[tuple[int | Colour, str]] = [(place, str(name)) for place, name in enumerate(classes)]
    pairs += [((c[0], c[1], c[2]), str(name)) for c, name in zip(colours, classes, strict=bool(colours))]
    return _legend(pairs, file.name)


def legend_of(names: Mapping[str, str], where: str) -> Legend:
    """The legend of values or colours as they are written, and their names.

    Args:
        names: value to name.
        where: what says so, for messages.

    Raises:
        DataFault: a value that is none, or no background.
    """
    values = {word: _value(word) for word in names}
    faults = [
        Fault(where, f"'{word}' is no value of a mask", "write a whole number from 0 to 65535 or a colour, #rrggbb")
        for word, value in values.items()
        if value is None
    ]
    if faults:
        raise DataFault(faults)
    return _legend([(value, names[word]) for word, value in values.items() if value is not None], where)


def _legend(pairs: Sequence[tuple[int | Colour, str]], where: str) -> Legend:
    """The legend of values and their names; the background is class 0 and the others are as they are named."""
    faults = []
    name_of: dict[int | Colour, str] = {}
    for value, name in pairs:
        name = name.strip()
        if not name:
            faults.append(Fault(where, f"{word_of(value)} has no name", "name it, or call it ignore"))
        if name_of.setdefault(value, name) != name:
            what = f"{word_of(value)} is both '{name_of[value]}' and '{name}'"
            faults.append(Fault(where, what, OF_ITS_OWN))
    faults += _grey_twice(name_of, where)
    classes = tuple(dict.fromkeys([BACKGROUND, *(name for name in name_of.values() if name != IGNORE)]))
    shown = ", ".join(f"{word_of(value)} {name}" for value, name in name_of.items())
    if BACKGROUND not in name_of.values():
        what = f"names no background ({shown})"
        faults.append(Fault(where, what, f"call the value of what is none of the classes {BACKGROUND}"))
    if len(classes) < 2:
        faults.append(Fault(where, f"names the {BACKGROUND} alone", "name the value of another class"))
    if len(classes) > IGNORED - 1:
        faults.append(Fault(where, f"names {len(classes)} classes, at most 254 were expected", "name fewer"))
    if faults:
        raise DataFault(faults)
    number = {name: place for place, name in enumerate(classes)} | {IGNORE: IGNORED}
    named = {name: value for value, name in reversed(name_of.items()) if isinstance(value, tuple)}
    colours = tuple(named.get(name, drawn) for name, drawn in zip(classes, colours_for(classes), strict=True))
    return Legend(classes, {value: number[name] for value, name in name_of.items()}, colours)


def _grey_twice(name_of: Mapping[int | Colour, str], where: str) -> Iterator[Fault]:
    """A fault for each grey value whose grey as a colour is of another name: which is meant would rest on the file."""
    for value, name in name_of.items():
        if isinstance(value, tuple):
            continue
        grey = value, value, value
        if name_of.get(grey, name) != name:
            what = f"{value} is '{name}' and the same grey as a colour, {word_of(grey)}, is '{name_of[grey]}'"
            yield Fault(where, what, OF_ITS_OWN)


def _value(word: str) -> int | Colour | None:
    """A grey value, or a colour, as a legend writes it.

    >>> _value("128"), _value("#FBBEBE"), _value("nucleus")
    (128, (251, 190, 190), None)
    """
    if re.fullmatch(r"\d{1,5}", word.strip()) and int(word) <= 65535:
        return int(word)
    if re.fullmatch(r"#[0-9a-fA-F]{6}", word.strip()):
        return colour_of(int(word.strip()[1:], 16))
    return None


def legend_of_labels(
    labels: Collection[str], chosen: Mapping[str, str], names: Mapping[str, str], raw: Mapping[str, str] | None = None
) -> Meaning:
    """The legend of areas that are drawn and labelled: a class a label, by name.

    Args:
        labels: of all areas.
        chosen: label to class, or to ignore, as the user has set it; it must name them all.
        names: other names for some labels, where nothing is chosen.
        raw: what stands in the files to the label that is meant, where that is something else.
    """
    unnamed = in_order([label for label in labels if chosen and label not in chosen])
    if unnamed:
        what = f"does not name {', '.join(unnamed[:SHOWN])} (it names {', '.join(list(chosen)[:SHOWN])})"
        return Meaning(None, faults=(Fault("data.legend", what, f"name each label of the areas, or call it {IGNORE}"),))
    class_of = {label: chosen[label] if chosen else names.get(label, label) for label in labels}
    classes = in_order([name for name in set(class_of.values()) if name not in (IGNORE, BACKGROUND)])
    if len(classes) > IGNORED - 2:
        what = f"are of {len(classes)} classes, at most {IGNORED - 2} were expected"
        return Meaning(None, faults=(Fault("the areas", what, "give several one name with data.legend"),))
    classes = (BACKGROUND, *classes)
    number = {name: place for place, name in enumerate(classes)} | {IGNORE: IGNORED}
    written = raw or dict(zip(labels, labels, strict=True))
    number_of: dict[int | Colour | str, int] = {
        word: number[class_of[label]] for word, label in written.items() if label in class_of
    }
    return Meaning(Legend(classes, number_of, colours_for(classes)))


@dataclass(frozen=True)
class _Met:
    """The values of one mask, as numbers (None where they are colours) and as colours."""

    plain: frozenset[int] | None
    colours: frozenset[Colour]


def _of_values(masks: Sequence[Path]) -> Meaning:
    """A class a value: the ten of a smear where all colours are theirs; else grey values or colours in order."""
    read = list(in_threads(_met_in, masks))
    found = [one for one in read if one is not None]
    colours = frozenset[Colour]().union(*(one.colours for one in found))
    smear = set(SMEAR.colours)
    if colours <= smear and len(colours) > 1 and any(len(set(colour)) > 1 for colour in colours):
        return Meaning(SMEAR, ("all colours of the masks are those of a blood smear in ten classes",))
    values: Iterable[int | Colour]
    if all(one.plain is not None for one in found):
        values = sorted(frozenset[int]().union(*(one.plain for one in found if one.plain is not None)))
        zero: int | Colour = 0
    else:
        values, zero = sorted(colours), (0, 0, 0)
    values = list(values)
    if not values:
        return Meaning(None)
    named = {word_of(value): BACKGROUND if value == zero else "NAME" for value in values[:8]}
    name_them = f"name them, as in --set data.legend='{json.dumps(named)}'"
    shown = ", ".join(map(word_of, values[:8])) + (f" and {len(values) - 8} more" if len(values) > 8 else "")
    if len(values) > MOST:
        most = max(zip(masks, read, strict=True), key=lambda pair: len(pair[1].colours) if pair[1] else 0)[0]
        what = f"hold {len(values)} different values, most of them in {most.name}, a few were expected, one a class"
        remedy = "save them without soft edges and without a number an object"
        return Meaning(None, faults=(Fault(f"{len(found)} masks", what, f"{remedy}, or name each in {FILE}"),))
    if zero not in values:
        what = f"hold the values {shown} and none is {word_of(zero)}, the background"
        return Meaning(None, faults=(Fault(f"{len(found)} masks", what, name_them.replace("NAME", BACKGROUND, 1)),))
    others = [value for value in values if value != zero]
    if not others:
        what = "are background all over: every pixel is 0"
        return Meaning(None, faults=(Fault(f"{len(found)} masks", what, "mark the objects in some of them"),))
    kind = "value" if isinstance(zero, int) else "colour"
    names = {value: f"{kind} {word_of(value)}" for value in others} if len(others) > 1 else {others[0]: "object"}
    legend = _legend([(zero, BACKGROUND), *names.items()], "masks")
    told = f"the classes of the masks are their {kind}s ({shown}; {word_of(zero)} is background)"
    return Meaning(legend, (f"{told}; {name_them}",))


def _met_in(mask: Path) -> _Met | None:
    try:
        values: Values = read_values(mask)
    except UnreadableImage:  # told with its remedy when the masks are read
        return None
    held = met(values).tolist()
    if values.clear_HW is not None and values.clear_HW.any() and 0 not in held:
        held = [0, *held]  # what is transparent is background
    if values.palette_I is not None:
        return _Met(frozenset(held), frozenset(colour_of(int(values.palette_I[value])) for value in held))
    if not values.colour:
        return _Met(frozenset(held), frozenset((value, value, value) for value in held if value <= 255))
    colours = frozenset(map(colour_of, held))
    grey = all(len(set(colour)) == 1 for colour in colours)
    return _Met(frozenset(colour[0] for colour in colours) if grey else None, colours)
