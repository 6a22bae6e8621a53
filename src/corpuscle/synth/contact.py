"""Contact sheets of a bank: some cut-outs of each kind, to see whether they were cut well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from corpuscle.core.seeds import generator_for
from corpuscle.synth.bank import PARTS, Bank
from corpuscle.synth.cutouts import Cutout

SHEET = "sheet.png"
SHOWN = 12  # cut-outs of a kind on the sheet
GAP, LINE, TEXT = 8, 26, 15  # pixels between cut-outs, for a line of words, and their height
CHECK, LIGHT, DARK = 8, 255, 226  # side and greys of the squares behind, which show what is clear


def draw_sheet(bank: Bank, shown: int = SHOWN) -> np.ndarray:
    """Some cut-outs of each kind on a chequered ground, at their true size; sheet_HWC uint8.

    Args:
        bank: at least one cut-out.
        shown: cut-outs of a kind at most, drawn by lot.
    """
    counts, font = bank.counts(), ImageFont.load_default(TEXT)
    chosen = {kind: _some([one for one in bank.cutouts if one.kind == kind], shown) for kind in bank.kinds}
    cell = GAP + max(max(one.alpha_HW.shape) for some in chosen.values() for one in some)
    lines = {kind: GAP + max(one.alpha_HW.shape[0] for one in some) for kind, some in chosen.items()}
    width = GAP + cell * max(len(some) for some in chosen.values())
    words = {kind: f"{kind}: " + ", ".join(f"{part} {counts[kind][part]}" for part in PARTS) for kind in bank.kinds}
    width = max(width, 2 * GAP + max(int(font.getlength(line)) for line in words.values()))
    sheet = Image.new("RGB", (width, GAP + sum(LINE + height + GAP for height in lines.values())), "white")
    pen, top = ImageDraw.Draw(sheet), GAP
    for kind, some in chosen.items():
        pen.text((GAP, top), words[kind], fill="black", font=font)
        top += LINE
        sheet.paste(_checks(width - 2 * GAP, lines[kind]), (GAP, top))
        for place, one in enumerate(some):
            height, wide = one.alpha_HW.shape
            corner = GAP + place * cell + (cell - wide) // 2, top + (lines[kind] - height) // 2
            sheet.paste(Image.fromarray(one.image_HWC), corner, Image.fromarray(one.alpha_HW))
        top += lines[kind] + GAP
    return np.asarray(sheet)


def write_sheet(bank: Bank, folder: Path) -> None:
    """Write the contact sheet of a bank as `sheet.png` into a folder that exists."""
    Image.fromarray(draw_sheet(bank)).save(folder / SHEET)


def _some(cutouts: Sequence[Cutout], shown: int) -> list[Cutout]:
    """So many of them, drawn by lot, the same each time."""
    places = generator_for(0, "sheet", cutouts[0].kind).permutation(len(cutouts))[:shown]
    return [cutouts[place] for place in sorted(places)]


def _checks(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[:height, :width] // CHECK
    return Image.fromarray(np.where((x + y) % 2, DARK, LIGHT).astype(np.uint8))
