"""Whole scenes of a blood smear from cut-out cells, each a function of the seed, the part and its number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np

from corpuscle.core.errors import CorpuscleError, DataFault, Fault, nearest
from corpuscle.core.legend import SMEAR
from corpuscle.core.seeds import generator_for
from corpuscle.synth.bank import PARTS
from corpuscle.synth.canvas import KIND_BITS, Canvas, mask_of
from corpuscle.synth.cutouts import SMALLEST_PX, Cutout
from corpuscle.synth.fields import TEXTURES, Field, Placed, draw_field, draw_plasma
from corpuscle.synth.light import vary_light
from corpuscle.synth.made import make_clumps, make_infected
from corpuscle.synth.plan_compose import CLUMP, HEALTHY, INFECTED, PLATELET, ComposePlan
from corpuscle.synth.scene import Scene
from corpuscle.synth.sprites import Kept, Layer, Sprite, around, layer_of, turned

RED = (HEALTHY, INFECTED)
NUMBER = {kind: number for number, kind in enumerate(SMEAR.classes)}
PALE = (225.0, 215.0, 222.0)  # plasma, where no cut-out shows any


class Composer:
    """Composes the scenes of three parts, no two of which share a cut-out.

    Scene 7 of a part is the same for ever, whatever was asked for before and in whatever process. Objects of a
    number drawn lie at places drawn; what is placed later lies on top, and covers no more of what is there than
    the plan's overlap; an object that finds no such place is left out.

    Args:
        cutouts: of all parts, at one magnification; kinds that the legend has not are not used.
        plan: the choices.
        seed: of everything drawn.

    Raises:
        DataFault: a kind without a cut-out, one that is too small or too large, a source or group in two parts.
    """

    def __init__(self, cutouts: Sequence[Cutout], plan: ComposePlan, seed: int = 0) -> None:
        self.plan, self.seed = plan, seed
        known = [cutout for cutout in cutouts if cutout.kind in NUMBER]
        self.cutouts = tuple(known)
        self._by_kind = {part: _by_kind(known, part) for part in PARTS}
        self._wanted = wanted_kinds(plan)
        if faults := [*_misfits(known, plan), *_shared(known)]:
            raise DataFault(faults)
        self.plasma_3 = _plasma(self._by_kind, plan)
        self._layers: dict[str, dict[str, list[Layer]]] = {}
        self._fields: Kept[Field] = Kept(plan.memory_mib << 20)
        self._sprites: Kept[Sprite] = Kept(plan.memory_mib << 19)
        self._plasma: Kept[np.ndarray] = Kept(plan.memory_mib << 20)

    def check(self, parts: Sequence[str] = PARTS) -> None:
        """See that every kind can be had in these parts.

        Raises:
            DataFault: those that cannot, with the remedy of each.
        """
        absent = [(part, kind) for part in parts for kind in self._wanted if not self._have(part, kind)]
        if absent:
            raise DataFault([_absent(part, kind) for part, kind in absent])

    def field(self, part: str, index: int) -> Field:
        """A background; `index` goes round after the plan's number of them."""
        _check_part(part)
        index %= self.plan.num_fields
        return self._fields.get((part, index), lambda: _sized(self._draw_field(part, index)))

    def scene(self, part: str, index: int) -> Scene:
        """A scene of a part."""
        plan, side = self.plan, self.plan.size
        field = self.field(part, index // plan.blocks)
        rng = generator_for(self.seed, "scene", part, index)
        left, top, *shares = rng.random(5).tolist()
        room = plan.field_size - side + 1
        canvas = _block(field, int(left * room), int(top * room), side)
        self._place(part, canvas, shares, rng)
        canvas.settle()
        image_HWC = vary_light(canvas.image_HWC, plan.stain, plan.illumination, rng)
        return _scene(canvas, image_HWC, plan.least_pixels)

    def _draw_field(self, part: str, index: int) -> Field:
        """Makeups take turns; number, cells and places are drawn at once."""
        plan, rng = self.plan, generator_for(self.seed, "field", part, index)
        number = int(rng.integers(2 * TEXTURES))
        plasma_HWC = self._plasma.get(number // 2, lambda: self._draw_plasma(number // 2))
        makeup = plan.makeups[index % len(plan.makeups)]
        share = {"healthy": 0.0, "infected": 1.0, "mixed": 0.5}[makeup]
        count = int(rng.integers(plan.red_cells[0], plan.red_cells[1] + 1))
        drawn_M4 = rng.random((count, 4)).tolist()
        middle_MT2 = (rng.random((count, plan.tries, 2)) * plan.field_size).tolist()
        cells = []
        for (infected, which, turn, mirror), middles in zip(drawn_M4, middle_MT2, strict=True):
            kind = INFECTED if infected < share else HEALTHY
            sprite = self._sprite(part, kind, which, turn, mirror < 0.5)
            cells.append(Placed(sprite, NUMBER[kind], middles))
        return draw_field(plasma_HWC[::-1] if number % 2 else plasma_HWC, cells, plan.overlap)

    def _draw_plasma(self, number: int) -> tuple[np.ndarray, int]:
        plasma_HWC = draw_plasma(number, self.plasma_3, self.plan, self.seed)
        return plasma_HWC, plasma_HWC.nbytes

    def _place(self, part: str, canvas: Canvas, shares: list[float], rng: np.random.Generator) -> None:
        """Lay white cells, platelets and clumps; how many, by numbers from 0 to 1."""
        plan, side, over = self.plan, self.plan.size, self.plan.over_edge
        chosen: list[tuple[str, ...]] = []
        sorts = (plan.white_kinds, plan.white_cells), ((PLATELET,), plan.thrombocytes), ((CLUMP,), plan.clumps)
        for share, (some, (least, most)) in zip(shares, sorts, strict=True):
            chosen += [some] * (least + int(share * (most - least + 1))) if some else []
        drawn = rng.random((len(chosen), 4 + 2 * plan.tries)).tolist()
        for some, (kind_of, which, turn, mirror, *places) in zip(chosen, drawn, strict=True):
            kind = some[int(kind_of * len(some))]
            sprite = self._sprite(part, kind, which, turn, mirror < 0.5)
            tall, wide = sprite.inside_HW.shape
            room_W, room_H = side - wide * (1 - 2 * over), side - tall * (1 - 2 * over)
            for x, y in zip(places[::2], places[1::2], strict=True):
                left, top = int(x * room_W - over * wide), int(y * room_H - over * tall)
                if canvas.lay(sprite, NUMBER[kind], left, top, plan.overlap):
                    break

    def _sprite(self, part: str, kind: str, which: float, turn: float, mirror: bool) -> Sprite:
        """One of a kind in one of its turns, by numbers from 0 to 1."""
        layers = self._layers_of(part)[kind]
        place, step = int(which * len(layers)), int(turn * self.plan.angles)
        key = part, kind, place, step, mirror
        return self._sprites.get(key, lambda: _sized(turned(layers[place], step, self.plan.angles, mirror)))

    def _layers_of(self, part: str) -> dict[str, list[Layer]]:
        """Every wanted kind's cut-outs, made ready; those made of others among them."""
        if part not in self._layers:
            self.check([part])
            have, plan = dict(self._by_kind[part]), self.plan
            if CLUMP in self._wanted and CLUMP not in have:
                have[CLUMP] = make_clumps(have[PLATELET], self.seed, plan.size)
            if INFECTED in self._wanted and INFECTED not in have:
                have[INFECTED] = make_infected(have[HEALTHY], self.seed)
            self._layers[part] = {
                kind: [
                    layer_of(one, self.plasma_3, plan.balance, plan.tint and kind in RED, plan.soft_edge)
                    for one in have[kind]
                ]
                for kind in self._wanted
            }
        return self._layers[part]

    def _have(self, part: str, kind: str) -> bool:
        have = self._by_kind[part]
        made_of = {CLUMP: self.plan.make_clumps and PLATELET, INFECTED: self.plan.make_infected and HEALTHY}
        return kind in have or made_of.get(kind) in have


def wanted_kinds(plan: ComposePlan) -> tuple[str, ...]:
    """The kinds that a plan's scenes hold, in the legend's order."""
    wanted: set[str] = set()
    if plan.red_cells[1]:
        wanted |= {HEALTHY} if {"healthy", "mixed"} & set(plan.makeups) else set()
        wanted |= {INFECTED} if {"infected", "mixed"} & set(plan.makeups) else set()
    wanted |= set(plan.white_kinds) if plan.white_cells[1] else set()
    wanted |= {PLATELET} if plan.thrombocytes[1] else set()
    wanted |= {CLUMP} if plan.clumps[1] else set()
    return tuple(kind for kind in SMEAR.classes if kind in wanted)


def _block(field: Field, left: int, top: int, side: int) -> Canvas:
    """A square of a field, and what lies in it."""
    here = slice(top, top + side), slice(left, left + side)
    canvas = Canvas(field.image_HWC[here].copy(), field.lain_HW[here].copy(), len(field.kind_M))
    edges_4M = field.edges_4M - np.array([[left], [top], [left], [top]], np.int32)
    near_2M = (edges_4M[:2] < side) & (edges_4M[2:] > 0)
    some_L = np.flatnonzero(near_2M[0] & near_2M[1])
    edges_4L = edges_4M[:, some_L]
    box_4L = np.minimum(np.maximum(edges_4L, 0), side)
    cut_L = (box_4L != edges_4L).any(0)
    box_4L[2:] -= box_4L[:2]
    number_L = some_L + 1
    canvas.take(
        number_L.tolist(),
        field.kind_M[some_L].tolist(),
        list(zip(*box_4L.tolist(), strict=True)),
        field.seen_M[some_L].tolist(),
        number_L[cut_L].tolist(),
    )
    return canvas


def _scene(canvas: Canvas, image_HWC: np.ndarray, least: int) -> Scene:
    """What lies on a canvas, numbered from 1 without a gap; what is hardly seen is no longer told."""
    told = [number for number, seen in canvas.seen_of.items() if seen >= least]
    kind_M = np.array([canvas.kind_of[number] for number in told], np.uint8)
    told_M, anew_M = np.array(told, np.uint16), np.arange(1, len(told) + 1, dtype=np.uint16)
    anew_P = np.zeros(1 << 16, np.uint16)  # of every value that a pixel can have
    anew_P[told_M << KIND_BITS | kind_M] = anew_M << KIND_BITS | kind_M
    packed_HW: np.ndarray = cv2.LUT(canvas.lain_HW, anew_P)  # three times as fast as by index
    box_M4 = np.array([canvas.box_of[number] for number in told], np.int32).reshape(-1, 4)
    return Scene(image_HWC, mask_of(packed_HW), packed_HW >> KIND_BITS, kind_M, box_M4)


def _sized(made: Field | Sprite) -> tuple:
    return made, made.num_bytes


def _by_kind(cutouts: Sequence[Cutout], part: str) -> dict[str, list[Cutout]]:
    found: dict[str, list[Cutout]] = defaultdict(list)
    for cutout in cutouts:
        if cutout.part == part:
            found[cutout.kind].append(cutout)
    return dict(found)


def _plasma(cutouts: dict[str, dict[str, list[Cutout]]], plan: ComposePlan) -> np.ndarray:
    """The colour of the background: chosen, or that around the red cells of the training part."""
    if plan.background is not None:
        return np.array(plan.background, np.float32)
    reds = [one for kind in RED for one in cutouts["train"].get(kind, ())[:200]]
    seen = [colour for one in reds if (colour := around(one)) is not None]
    return np.median(seen, axis=0).astype(np.float32) if seen else np.array(PALE, np.float32)


def _misfits(cutouts: Sequence[Cutout], plan: ComposePlan) -> list[Fault]:
    """Cut-outs that are too small to be seen or do not fit into a scene."""
    faults = []
    for one in cutouts:
        height, width = one.alpha_HW.shape
        if min(height, width) < SMALLEST_PX:
            what, remedy = f"below {SMALLEST_PX} pixels", "make the bank at a finer magnification or leave it out"
        elif max(height, width) > plan.size:
            what = f"larger than a scene of {plan.size} pixels"
            remedy = "make the bank at a coarser magnification or pass --set compose.size=512, say"
        else:
            continue
        faults.append(Fault(one.source, f"a cut-out of {one.kind} of {width} x {height} pixels is {what}", remedy))
    return faults


def _shared(cutouts: Sequence[Cutout]) -> list[Fault]:
    """Sources and groups that are in more than one part."""
    parts_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in cutouts:
        parts_of["source", one.source].add(one.part)
        if one.group is not None:
            parts_of["group", one.group].add(one.part)
    return [
        Fault(name, f"its cut-outs are in {' and '.join(sorted(parts))}", f"put all of one {sort} into one part")
        for (sort, name), parts in parts_of.items()
        if len(parts) > 1
    ]


def _absent(part: str, kind: str) -> Fault:
    """A kind that a part cannot have, and what would mend it."""
    remedy = {
        PLATELET: "--set compose.thrombocytes=[0,0] and compose.clumps=[0,0] leave them out",
        CLUMP: "--set compose.clumps=[0,0] leaves them out",
        INFECTED: '--set compose.make_infected=true draws parasites, compose.makeups=["healthy"] leaves them out',
        HEALTHY: '--set compose.makeups=["infected"] leaves them out',
    }.get(kind, "compose.white_kinds names those that are placed")
    return Fault(part, f"there is no cut-out of {kind}", f"add some to the bank; or {remedy}")


def _check_part(part: str) -> None:
    if part not in PARTS:
        raise CorpuscleError(f"expected a part, got '{part}'. {nearest(part, PARTS)}")
