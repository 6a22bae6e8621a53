"""From data sets to a bank of cut-outs: scanned, cut, brought to one magnification and divided."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from corpuscle.core.errors import CorpuscleError, DataFault, Fault, nearest
from corpuscle.core.files import check_place, digest_of, whole_folder
from corpuscle.core.legend import BACKGROUND, SMEAR
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.settings import Settings, resolve
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import SourcePlan, scan
from corpuscle.data.splits import PARTS, SplitPlan, split_table
from corpuscle.data.table import COLUMNS, Table
from corpuscle.engine.cut import Piece, cut_table, kinds_of, objects_in
from corpuscle.synth.bank import Bank, is_bank, read_bank, write_bank
from corpuscle.synth.contact import write_sheet
from corpuscle.synth.cutouts import SMALLEST_PX, Cutout, scaled, tight

PIXEL_UM = 0.1875
"""Microns a pixel of a bank: a red cell of 7.5 µm is 40 pixels across, a neutrophil of 13 µm 69, and some twenty red
cells fit beside a few white ones on a scene of 224 × 224 pixels (42 µm)."""

ODD = 1.6  # times wider or narrower than the kind's median: only a nucleus was found, or two cells were
ENOUGH = 5  # of a kind to say what is odd

RED = "healthy RBC"
DIAMETER_UM = {
    "neutrophil": 13.0,
    "eosinophil": 13.5,
    "basophil": 12.5,
    "lymphocyte": 10.0,
    "monocyte": 17.0,
    RED: 7.5,
    "infected RBC": 7.5,
    "platelet clump": 8.0,
    "thrombocyte": 2.5,
}
"""Typical diameters on a dried smear, the middle of what haematology gives: red cells 6.2 to 8.2 µm, neutrophils 12 to
15, eosinophils 12 to 17, basophils 10 to 14, small lymphocytes 8 to 12, monocytes 15 to 20, platelets 2 to 3 (Bain,
Blood Cells; Hoffbrand, Essential Haematology)."""

ALIASES = {
    "rbc": RED,
    "red blood cell": RED,
    "red cell": RED,
    "erythrocyte": RED,
    "healthy": RED,
    "infected": "infected RBC",
    "parasitized": "infected RBC",
    "platelet": "thrombocyte",
    "platelets clump": "platelet clump",
} | {name.lower(): name for name in SMEAR.classes[1:]}


class CutoutPlan(Settings):
    """How cut-outs are made."""

    kind: dict[str, str] = Field({}, description="names of the smear for names of the data set, such as WBC: monocyte")
    drop_kind: tuple[str, ...] = Field((), description="kinds of the data set that are left out")
    pixel_um: float | None = Field(None, gt=0, description="microns a pixel of the images; estimated if not given")
    cell_um: dict[str, float] = Field({}, description="median diameter of a kind in microns, to estimate it from")
    bank_pixel_um: float = Field(PIXEL_UM, gt=0, description="microns a pixel of the bank")
    largest: int = Field(224, ge=SMALLEST_PX, description="side of the scenes in pixels; larger cut-outs are left out")
    seed: int = Field(0, ge=0, description="the same seed gives the same division")
    data: SourcePlan = Field(SourcePlan(), description="how the data sets are laid out")
    read: ReadPlan = Field(ReadPlan(), description="limits of the reader")

    @field_validator("kind")
    @classmethod
    def _are_of_the_smear(cls, kind: dict[str, str]) -> dict[str, str]:
        for name in kind.values():
            if name not in SMEAR.classes[1:]:
                raise ValueError(f"should be kinds of a smear, not {name}. {nearest(name, SMEAR.classes[1:])}")
        return kind

    @field_validator("cell_um")
    @classmethod
    def _are_diameters(cls, cell_um: dict[str, float]) -> dict[str, float]:
        for name, diameter in cell_um.items():
            if name not in SMEAR.classes[1:]:
                raise ValueError(f"should be of kinds of a smear, not {name}. {nearest(name, SMEAR.classes[1:])}")
            if not 0 < diameter < math.inf:
                raise ValueError(f"should be diameters in microns, {name} is {diameter:g}")
        return cell_um


@dataclass(frozen=True)
class Cutouts:
    """What was made.

    Attributes:
        bank: as it was written.
        faults: what was passed over, with its reason.
        notes: what the user should know, a line each.
    """

    bank: Bank
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]

    def reasons(self) -> dict[str, tuple[int, str]]:
        """Why something was passed over: how often, and where first; the commonest first."""
        number = Counter(_reason(fault) for fault in self.faults)
        first = {_reason(fault): fault.where for fault in reversed(self.faults)}
        return {what: (count, first[what]) for what, count in number.most_common()}


def cut_out(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
    progress: Progress = SILENT,
) -> Cutouts:
    """`make_bank` with settings by dotted key.

    Raises:
        CorpuscleError: also for wrong settings.
    """
    plan, _ = resolve(CutoutPlan(), {"flag": dict(settings or {})})
    return make_bank([Path(path) for path in paths], Path(out), plan, progress)


def make_bank(paths: Sequence[Path], out: Path, plan: CutoutPlan, progress: Progress = SILENT) -> Cutouts:
    """Make a bank of the cells of some data sets, and of the cut-outs of banks, which keep their parts.

    Args:
        paths: data sets (crops with a class each, with masks or without, or drawn boxes or outlines) and banks.
        out: the new folder.
        plan: kinds, magnification and division.
        progress: shows how far it is.

    Raises:
        DataFault: nothing is left, kinds that no smear has, kinds that are missing in a part, or something that lies
            in several parts; all at once.
        CorpuscleError: the folder cannot be written, or a data set is named beside a bank that holds it.
    """
    check_place(out)
    banks = [_rescaled(read_bank(path), plan) for path in paths if is_bank(path)]
    tables = {path: scan(path, plan.data, min_classes=1) for path in paths if not is_bank(path)}
    objects = {path: objects_in(path, table, plan.data) for path, table in tables.items()}
    names = {path: _names(path, table, plan) for path, table in tables.items()}
    ready = [cutout for made, _ in banks for cutout in made]
    faults = [fault for _, unfit in banks for fault in unfit]
    notes: list[str] = []
    fresh: list[Cutout] = []
    content: dict[str, str] = {}
    for path, table in tables.items():
        pieces, wrong = cut_table(table, objects[path], path.resolve().name, names[path], plan.read, progress)
        sound, odd = _without_odd(pieces)
        faults += [*wrong, *odd]
        if not sound:
            faults.append(Fault(str(path), "holds no cell that can be cut", "name images of single cells"))
            continue
        pixel_um, how = _pixel_um(sound, plan)
        notes.append(f"{path}: {len(sound)} cut-outs at {pixel_um:.3g} µm a pixel, {how}")
        made, unfit = _made(sound, pixel_um, plan)
        fresh += made
        faults += unfit
        content |= {piece.source: piece.content for piece in sound}
    _check_new({cutout.source for cutout in ready}, {cutout.source for cutout in fresh})
    cutouts = [*ready, *_divided(fresh, ready, content, plan.seed)]
    _check_apart(cutouts, content)
    if not cutouts:
        raise DataFault(faults)
    bank = Bank(plan.bank_pixel_um, tuple(sorted(cutouts, key=lambda one: (one.kind, one.source, one.box))))
    _check_parts(bank)
    with whole_folder(out) as folder:
        write_bank(folder, bank.cutouts, bank.pixel_um, plan.seed, {"largest": plan.largest, "notes": notes})
        write_sheet(bank, folder)
        passed = [(fault.where, fault.what, fault.remedy) for fault in faults]
        schema = {"where": pl.String, "what": pl.String, "remedy": pl.String}
        pl.DataFrame(passed, schema=schema, orient="row").write_csv(folder / "passed_over.csv")
    return Cutouts(bank, tuple(faults), tuple(notes))


def _reason(fault: Fault) -> str:
    """What came, without the figures of the one that it came of."""
    return fault.what.partition(" (")[0]


def _names(path: Path, table: Table, plan: CutoutPlan) -> dict[str, str]:
    """Name of each kind of a data set to that of the smear; those that are dropped are not in it.

    Raises:
        DataFault: kinds that no smear has and that are neither renamed nor dropped.
    """
    names, faults = {}, []
    for kind in kinds_of(table):
        plain = kind.strip().lower().replace("_", " ")
        known = plan.kind.get(kind) or ALIASES.get(plain) or ALIASES.get(plain.removesuffix("s"))
        if kind in plan.drop_kind or kind == BACKGROUND:
            continue
        if known:
            names[kind] = known
        else:
            remedy = f"name it with --kind '{kind}=NAME' ({', '.join(SMEAR.classes[1:])}), or pass --drop-kind '{kind}'"
            faults.append(Fault(str(path), f"kind {kind} is none of a smear's", remedy))
    if faults:
        raise DataFault(faults)
    return names


def _without_odd(pieces: Sequence[Piece]) -> tuple[list[Piece], list[Fault]]:
    """Pieces that were found by thresholds are left out where their size is far from that of their kind."""
    found: dict[str, list[float]] = {}
    for piece in pieces:
        found.setdefault(piece.kind, []).append(piece.diameter)
    median = {kind: float(np.median(sizes)) for kind, sizes in found.items() if len(sizes) >= ENOUGH}
    sound, faults = [], []
    for piece in pieces:
        times = piece.diameter / median.get(piece.kind, piece.diameter)
        if piece.by_mask or 1 / ODD <= times <= ODD:
            sound.append(piece)
        else:
            what = f"{piece.kind} is not of the size of others ({times:.2g} times as wide as their median)"
            faults.append(Fault(piece.where, what, "draw a mask for it, or leave it out"))
    return sound, faults


def _pixel_um(pieces: Sequence[Piece], plan: CutoutPlan) -> tuple[float, str]:
    """Microns a pixel of a data set, and where they are known from.

    By size, red cells decide where there are any, for they vary least; else white cells; platelets only alone.
    """
    if plan.pixel_um:
        return plan.pixel_um, "as given"
    diameters: dict[str, list[float]] = {}
    for piece in pieces:
        diameters.setdefault(piece.kind, []).append(piece.diameter)
    given = {kind: um for kind, um in plan.cell_um.items() if kind in diameters}
    stated = [piece.mpp for piece in pieces if piece.mpp]
    if not given and len(stated) == len(pieces):
        return float(np.median(stated)), "as the images say"
    typical = {kind: DIAMETER_UM[kind] for kind in diameters}
    white = {kind: um for kind, um in typical.items() if kind in SMEAR.classes[1:6]}
    known = given or {RED: typical[RED]} if RED in typical or given else white or typical
    ratios = [um / float(np.median(diameters[kind])) for kind, um in known.items()]
    words = ", ".join(f"{kind} {um:g} µm" for kind, um in sorted(known.items()))
    return float(np.median(ratios)), f"{'as given by' if given else 'estimated by'} the median of {words}"


def _made(pieces: Sequence[Piece], pixel_um: float, plan: CutoutPlan) -> tuple[list[Cutout], list[Fault]]:
    """Cut-outs at the bank's magnification, still in no part, and a fault for each too small or too large."""
    cutouts, faults = [], []
    scale = pixel_um / plan.bank_pixel_um
    for piece in pieces:
        height, width = (math.ceil(scale * pixels) for pixels in piece.cut.extent)
        if unfit := _unfit(piece.kind, height, width, plan.largest):
            faults.append(Fault(piece.where, unfit, "mend the magnification with --pixel-um, or leave it out"))
            continue
        image_HWC, alpha_HW = tight(*scaled(piece.cut, scale))
        cutouts.append(Cutout(image_HWC, alpha_HW, piece.kind, piece.source, "", piece.group, piece.cut.box, scale))
    return cutouts, faults


def _rescaled(bank: Bank, plan: CutoutPlan) -> tuple[list[Cutout], list[Fault]]:
    """The cut-outs of a bank at another magnification, and a fault for each too small or too large there."""
    import cv2

    factor = bank.pixel_um / plan.bank_pixel_um
    if math.isclose(factor, 1, rel_tol=1e-6):
        factor = 1.0
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    made, faults = [], []
    for one in bank.cutouts:
        height, width = (round(side * factor) for side in one.alpha_HW.shape)
        if unfit := _unfit(one.kind, height, width, plan.largest):
            faults.append(Fault(one.source, unfit, "mend the magnification with --bank-pixel-um, or leave it out"))
        elif factor == 1:
            made.append(one)
        else:
            image_HWC = cv2.resize(one.image_HWC, (width, height), interpolation=how)
            alpha_HW = cv2.resize(one.alpha_HW, (width, height), interpolation=how)
            made.append(replace(one, image_HWC=image_HWC, alpha_HW=alpha_HW, scale=one.scale * factor))
    return made, faults


def _unfit(kind: str, height: int, width: int, largest: int) -> str | None:
    """What is wrong with the size of a cut-out; None where nothing is."""
    if min(height, width) >= SMALLEST_PX and max(height, width) <= largest:
        return None
    limit = f"below {SMALLEST_PX}" if min(height, width) < SMALLEST_PX else f"above {largest}"
    return f"{kind} is {limit} pixels at the bank's magnification ({width} × {height})"


def _check_new(ready: set[str], fresh: set[str]) -> None:
    if twice := ready & fresh:
        raise CorpuscleError(
            f"{min(twice)} and {len(twice) - 1} more images are in a bank already; name the data set or the bank, "
            "not both"
        )


def _divided(fresh: Sequence[Cutout], ready: Sequence[Cutout], content: Mapping[str, str], seed: int) -> list[Cutout]:
    """New cut-outs in parts, 80/10/10; what shares source, group or pixels is together, and with what has a part."""
    if not fresh:
        return []
    alike = [{one.source for one in cutouts} for cutouts in _alike([*ready, *fresh], content).values()]
    sets = [sources for sources in alike if len(sources) > 1]
    part_of = {cutout.source: cutout.part for cutout in ready}
    before = -1
    while before < len(part_of):  # what has a part hands it on to what must stay with it
        before = len(part_of)
        for sources in sets:
            held = sorted(sources & part_of.keys())
            part_of |= {source: part_of[held[0]] for source in sources - part_of.keys() if held}
    rows = [(one.source, one.kind, one.group, None, None, None) for one in fresh if one.source not in part_of]
    if rows:
        table = Table(pl.DataFrame(rows, schema=COLUMNS, orient="row"), Path(), (), "cut-outs")
        plan = SplitPlan(val=0.1, test=0.1, rare="train")
        part_of |= dict(split_table(table, plan, seed, together=sets).frame.select("image", "split").iter_rows())
    return [replace(one, part=part_of[one.source]) for one in fresh]


def _alike(cutouts: Sequence[Cutout], content: Mapping[str, str]) -> dict[tuple[str, str], list[Cutout]]:
    """The cut-outs that belong into one part, by what they share: pixels (or those of the image), group or source."""
    alike: dict[tuple[str, str], list[Cutout]] = {}
    for one in cutouts:
        shared = [("source", one.source)]
        shared += [("group", one.group)] if one.group is not None else []
        shared += [("pixels", digest_of(one.image_HWC.tobytes() + one.alpha_HW.tobytes()))]
        shared += [("pixels", content[one.source])] if one.source in content else []
        for what in shared:
            alike.setdefault(what, []).append(one)
    return alike


def _check_apart(cutouts: Sequence[Cutout], content: Mapping[str, str]) -> None:
    """Raise a fault for each source, group and pixels that lie in several parts, as banks may have divided them."""
    faults = []
    for (sort, name), shared in _alike(cutouts, content).items():
        first = {one.part: one.source for one in reversed(shared)}
        if len(first) > 1:
            where = f"pixels of {' and '.join(sorted(set(first.values())))}" if sort == "pixels" else f"{sort} {name}"
            what = f"found in {' and '.join(part for part in PARTS if part in first)}"
            faults.append(Fault(where, what, "leave one of the banks out, or make one bank of all their data sets"))
    if faults:
        raise DataFault(faults)


def _check_parts(bank: Bank) -> None:
    """Raise a fault for each kind that has no cut-out in one of the parts."""
    faults = []
    for kind, counts in bank.counts().items():
        if missing := [part for part in PARTS if not counts[part]]:
            total = Counter(counts).total()
            what = f"no cut-out in {' and '.join(missing)} ({total} in all; each part needs images of its own)"
            faults.append(Fault(f"kind {kind}", what, f"add images of it, or pass --drop-kind '{kind}'"))
    if faults:
        raise DataFault(faults)
