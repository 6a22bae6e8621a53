"""Whole scenes of a blood smear from cut-out cells, each a function of the seed, the part and its number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from corpuscle.core.errors import CorpuscleError, DataFault, Fault, nearest
from corpuscle.core.legend import SMEAR
from corpuscle.core.seeds import generator_for
from corpuscle.synth.bank import PARTS
from corpuscle.synth.canvas import KIND_BITS, MOST, Canvas, mask_of
from corpuscle.synth.cutouts import Cutout
from corpuscle.synth.fields import TEXTURES, Field, Placed, draw_field, draw_plasma
from corpuscle.synth.light import vary_light
from corpuscle.synth.made import make_clumps, make_infected
from corpuscle.synth.plan_compose import CLUMP, HEALTHY, INFECTED, PLATELET, ComposePlan
from corpuscle.synth.scene import Scene
from corpuscle.synth.sprites import Kept, Layer, Sprite, around, layer_of, turned

RED = (HEALTHY, INFECTED)
NUMBER = {kind: number for number, kind in enumerate(SMEAR.classes)}
PALE = (225.0, 215.0, 222.0)  # plasma, where no cut-out shows any
SMALLEST = 5  # pixels a side


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
        DataFault: a kind without a cut-out, one that is too small or too large, a source in two parts.
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
        draw = Draws(rng)
        room = plan.field_size - side + 1
        canvas = _block(field, draw.below(room), draw.below(room), side)
        self._place(part, canvas, draw)
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

    def _place(self, part: str, canvas: Canvas, draw: Draws) -> None:
        """Lay white cells, platelets and clumps."""
        plan, side = self.plan, self.plan.size
        kinds: list[str] = []
        for some, (least, most) in (
            (plan.white_kinds, plan.white_cells),
            ((PLATELET,), plan.thrombocytes),
            ((CLUMP,), plan.clumps),
        ):
            kinds += [some[draw.below(len(some))] for _ in range(least + draw.below(most - least + 1)) if some]
        for kind in kinds:
            sprite = self._sprite(part, kind, draw(), draw(), draw() < 0.5)
            tall, wide = sprite.inside_HW.shape
            for _ in range(plan.tries):
                left = int(draw() * (side - wide * (1 - 2 * plan.over_edge)) - plan.over_edge * wide)
                top = int(draw() * (side - tall * (1 - 2 * plan.over_edge)) - plan.over_edge * tall)
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


class Draws:
    """Even draws one at a time, each a plain number from 0 to 1, taken from a generator by the hundred."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._left: Iterator[float] = iter(())

    def __call__(self) -> float:
        if (number := next(self._left, None)) is None:
            self._left = iter(self._rng.random(100).tolist())
            number = next(self._left)
        return number

    def below(self, count: int) -> int:
        """A whole number from 0, below another."""
        return int(self() * count)


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
    x0_M, y0_M = field.box_M4[:, 0] - left, field.box_M4[:, 1] - top
    x1_M, y1_M = x0_M + field.box_M4[:, 2], y0_M + field.box_M4[:, 3]
    for m in np.flatnonzero((x0_M < side) & (y0_M < side) & (x1_M > 0) & (y1_M > 0)).tolist():
        kind, x0, y0, x1, y1 = int(field.kind_M[m]), int(x0_M[m]), int(y0_M[m]), int(x1_M[m]), int(y1_M[m])
        if x0 >= 0 and y0 >= 0 and x1 <= side and y1 <= side:
            canvas.take(m + 1, kind, (x0, y0, x1 - x0, y1 - y0), int(field.seen_M[m]))
        else:
            x0, y0 = max(x0, 0), max(y0, 0)
            box = x0, y0, min(x1, side) - x0, min(y1, side) - y0
            canvas.take(m + 1, kind, *canvas.measure(m + 1, kind, box))
    return canvas


def _scene(canvas: Canvas, image_HWC: np.ndarray, least: int) -> Scene:
    """What lies on a canvas, numbered from 1 without a gap; what is hardly seen is no longer told."""
    told = [number for number, seen in canvas.seen_of.items() if seen >= least]
    kind_M = np.array([canvas.kind_of[number] for number in told], np.uint8)
    packed_N = np.zeros(canvas.last + 1, np.uint16)
    packed_N[told] = np.arange(1, len(told) + 1) | (kind_M.astype(np.uint16) << KIND_BITS)
    # much faster than by index, and nothing is clipped
    packed_HW = np.take(packed_N, canvas.lain_HW & MOST, mode="clip")
    box_M4 = np.array([canvas.box_of[number] for number in told], np.int32).reshape(-1, 4)
    return Scene(image_HWC, mask_of(packed_HW), packed_HW & MOST, kind_M, box_M4)


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
        if min(height, width) < SMALLEST:
            what, remedy = f"below {SMALLEST} pixels", "make the bank at a finer magnification or leave it out"
        elif max(height, width) > plan.size:
            what = f"larger than a scene of {plan.size} pixels"
            remedy = "make the bank at a coarser magnification or pass --set compose.size=512, say"
        else:
            continue
        faults.append(Fault(one.source, f"a cut-out of {one.kind} of {width} x {height} pixels is {what}", remedy))
    return faults


def _shared(cutouts: Sequence[Cutout]) -> list[Fault]:
    """Sources that are in more than one part."""
    parts_of: dict[str, set[str]] = defaultdict(set)
    for one in cutouts:
        parts_of[one.source].add(one.part)
    return [
        Fault(source, f"its cut-outs are in {' and '.join(sorted(parts))}", "put all of one source into one part")
        for source, parts in parts_of.items()
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
