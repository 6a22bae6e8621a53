"""Composed scenes a second, and 1000 × 1000 fields of cells against a plain Pillow script.

Both on one core, in seconds of the processor, so that what else the machine does counts less; scenes also by as many
processes as --processes says, in seconds of the clock. The Pillow script turns
each cut-out (bicubic, on a larger canvas) with its mask and pastes it into image and mask; ours takes it from the
cut-outs turned once. Places, angles and mirrorings are the same, 16 blocks with their masks are cut of each field, and
the whole pictures and masks are compared. They take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Queue, get_context
from multiprocessing.synchronize import Barrier

import cv2
import numpy as np
from PIL import Image
from record import Record, arguments

from corpuscle.core.legend import SMEAR
from corpuscle.synth.canvas import mask_of
from corpuscle.synth.compose import NUMBER, Composer
from corpuscle.synth.cutouts import HALF, Cutout
from corpuscle.synth.drawn import drawn_cutouts
from corpuscle.synth.fields import Field, Placed, draw_field
from corpuscle.synth.plan_compose import HEALTHY, INFECTED, ComposePlan
from corpuscle.synth.sprites import Kept, Sprite, layer_of, turned

CELLS, BLOCKS, SIDE, TURNS = 100, 16, 224, 32
SCENES_TARGET, TOGETHER_TARGET, FIELDS_TARGET = 1500, 3000, 10


@dataclass(frozen=True)
class Lain:
    """One cell of a field: which cut-out, turned how, and where its middle is."""

    which: int
    turn: int
    mirror: bool
    x: float
    y: float


def plain_field(plasma_HWC: np.ndarray, cutouts: list[Cutout], cells: list[Lain]) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask as a plain Pillow script makes them."""
    image, mask = Image.fromarray(plasma_HWC), Image.new("L", plasma_HWC.shape[1::-1])
    for cell in cells:
        cutout = cutouts[cell.which]
        colours, alpha = Image.fromarray(cutout.image_HWC), Image.fromarray(cutout.alpha_HW)
        if cell.mirror:
            colours, alpha = (one.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for one in (colours, alpha))
        angle = 360 * cell.turn / TURNS
        colours, alpha = (one.rotate(angle, Image.Resampling.BICUBIC, expand=True) for one in (colours, alpha))
        place = int(cell.x - colours.width / 2), int(cell.y - colours.height / 2)
        image.paste(colours, place, alpha)
        mask.paste(NUMBER[cutout.kind], place, alpha.point(lambda value: 255 * (value >= HALF)))
    return np.asarray(image), np.asarray(mask)


class Ours:
    """Fields from cut-outs that are turned once."""

    def __init__(self, cutouts: list[Cutout]) -> None:
        self.cutouts = cutouts
        self.layers = [layer_of(one, np.zeros(3), balance=False, tint=False, soft=0) for one in cutouts]
        self.sprites: Kept[Sprite] = Kept(1 << 30)

    def sprite(self, cell: Lain) -> Sprite:
        """A cut-out turned."""

        def make() -> tuple[Sprite, int]:
            made = turned(self.layers[cell.which], cell.turn, TURNS, cell.mirror)
            return made, made.num_bytes

        return self.sprites.get((cell.which, cell.turn, cell.mirror), make)

    def __call__(self, plasma_HWC: np.ndarray, cells: list[Lain]) -> Field:
        """Image, and class and number of each pixel."""
        placed = [Placed(self.sprite(one), NUMBER[self.cutouts[one.which].kind], [[one.x, one.y]]) for one in cells]
        return draw_field(plasma_HWC, placed, overlap=1.0)

    def blocks(self, plasma_HWC: np.ndarray, cells: list[Lain], corners: list[list[int]]) -> list[np.ndarray]:
        """Blocks of image and mask; a mask is made of a block, as the composer does."""
        field = self(plasma_HWC, cells)
        cuts = [(slice(top, top + SIDE), slice(left, left + SIDE)) for top, left in corners]
        return [made for cut in cuts for made in (field.image_HWC[cut].copy(), mask_of(field.lain_HW[cut]))]


def blocks_of(image_HWC: np.ndarray, mask_HW: np.ndarray, corners: list[list[int]]) -> list[np.ndarray]:
    """Blocks of both."""
    cuts = [(slice(top, top + SIDE), slice(left, left + SIDE)) for top, left in corners]
    return [one[cut].copy() for cut in cuts for one in (image_HWC, mask_HW)]


def seconds(work: Callable[[], object]) -> float:
    """Of the processor."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure_fields(options: argparse.Namespace, record: Record, cutouts: list[Cutout]) -> None:
    """Both sides by turns."""
    rng = np.random.default_rng(options.seed)
    reds = [one for one in cutouts if one.kind in (HEALTHY, INFECTED) and one.part == "train"]
    plasma_HWC = np.clip(rng.normal(220, 2, (1000, 1000, 3)), 0, 255).astype(np.uint8)
    fields = [
        [
            Lain(
                int(rng.integers(len(reds))), int(rng.integers(TURNS)), bool(rng.integers(2)), *rng.uniform(0, 1000, 2)
            )
            for _ in range(CELLS)
        ]
        for _ in range(2 if options.quick else options.fields)
    ]
    corners = rng.integers(1000 - SIDE, size=(BLOCKS, 2)).tolist()
    ours = Ours(reds)
    cold = seconds(lambda: [ours(plasma_HWC, cells) for cells in fields]) / len(fields)
    differ, agree = [], []
    for cells in fields:
        (one_HWC, one_HW), field = plain_field(plasma_HWC, reds, cells), ours(plasma_HWC, cells)
        differ.append(float(np.abs(one_HWC.astype(int) - field.image_HWC).mean()))
        agree.append(float((one_HW == field.mask_HW).mean()))
    if max(differ) > 1 or min(agree) < 0.99:
        raise SystemExit(f"expected the same fields, they differ by {max(differ):.2f} and agree in {min(agree):.4f}")
    plain_s, ours_s = [], []
    for cells in fields * (1 if options.quick else options.repeats):
        plain_s.append(seconds(lambda cells=cells: blocks_of(*plain_field(plasma_HWC, reds, cells), corners)))
        ours_s.append(seconds(lambda cells=cells: ours.blocks(plasma_HWC, cells, corners)))
    ratios = [one / other for one, other in zip(plain_s, ours_s, strict=True)]
    record.add(
        what="fields",
        plain_ms=1000 * statistics.median(plain_s),
        ours_ms=1000 * statistics.median(ours_s),
        ours_first_ms=1000 * cold,
        times_as_fast=statistics.median(ratios),
        spread=f"{min(ratios):.1f} to {max(ratios):.1f}",
        mean_difference=max(differ),
        masks_agree=min(agree),
        target=FIELDS_TARGET,
        reached=statistics.median(ratios) >= FIELDS_TARGET,
    )


def measure_scenes(options: argparse.Namespace, record: Record, cutouts: list[Cutout]) -> None:
    """Scenes as training asks for them: image, mask, instances, boxes, stain and lamp varied."""
    composer = Composer(cutouts, ComposePlan(), options.seed)
    count = 100 if options.quick else options.scenes
    first = count / seconds(lambda: [composer.scene("train", index) for index in range(count)])
    each = max(count // 8, 1)
    rates = [
        each / seconds(lambda start=start: [composer.scene("train", index) for index in range(start, start + each)])
        for _ in range(1 if options.quick else options.repeats)
        for start in range(0, count - each + 1, each)
    ]
    scenes = [composer.scene("train", index) for index in range(100)]
    record.add(
        what="scenes",
        a_second_first=first,
        a_second=statistics.median(rates),
        spread=f"{min(rates):.0f} to {max(rates):.0f}",
        objects=float(np.mean([len(scene.kind_M) for scene in scenes])),
        background=float(np.mean([(scene.mask_HW == 0).mean() for scene in scenes])),
        classes=len(SMEAR.classes),
        target=SCENES_TARGET,
        reached=statistics.median(rates) >= SCENES_TARGET,
    )


def _compose(number: int, count: int, seed: int, repeats: int, barrier: Barrier, found: Queue) -> None:
    """What each process does: compose its own scenes once, then again beside the others."""
    cv2.setNumThreads(1)
    composer = Composer(drawn_cutouts(seed=seed), ComposePlan(), seed)
    for _ in range(1 + repeats):
        barrier.wait()
        started = time.monotonic()
        for index in range(number * count, (number + 1) * count):
            composer.scene("train", index)
        found.put((started, time.monotonic()))


def measure_together(options: argparse.Namespace, record: Record) -> None:
    """Scenes a second of several processes, by the clock; the first time, when cells are turned, is left out."""
    count, repeats = (100, 1) if options.quick else (options.scenes // options.processes, options.repeats)
    spawn = get_context("spawn")
    barrier, found = spawn.Barrier(options.processes), spawn.Queue()
    workers = [
        spawn.Process(target=_compose, args=(number, count, options.seed, repeats, barrier, found))
        for number in range(options.processes)
    ]
    for worker in workers:
        worker.start()
    spans = sorted(found.get() for _ in range((1 + repeats) * options.processes))
    for worker in workers:
        worker.join()
    rounds = [spans[k : k + options.processes] for k in range(options.processes, len(spans), options.processes)]
    rates = [options.processes * count / (max(end for _, end in one) - one[0][0]) for one in rounds]
    record.add(
        what=f"scenes by {options.processes} processes",
        a_second=statistics.median(rates),
        spread=f"{min(rates):.0f} to {max(rates):.0f}",
        target=TOGETHER_TARGET,
        reached=statistics.median(rates) >= TOGETHER_TARGET,
    )


def main() -> None:
    """Measure both on one core, and scenes on several."""
    parser = arguments(__doc__)
    parser.add_argument("--scenes", type=int, default=4000, help="composed, first anew and then again")
    parser.add_argument("--fields", type=int, default=12, help="of 1000 x 1000 pixels and 100 cells")
    parser.add_argument("--processes", type=int, default=2, help="that compose side by side")
    parser.add_argument("--repeats", type=int, default=5, help="of which the median is taken")
    parser.set_defaults(threads=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    cutouts = drawn_cutouts(seed=options.seed)
    record = Record("compose", options)
    measure_fields(options, record, cutouts)
    measure_scenes(options, record, cutouts)
    measure_together(options, record)
    record.close()


if __name__ == "__main__":
    main()
