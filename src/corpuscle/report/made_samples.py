"""The images that steps made for training, each beside the one it is made of."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from corpuscle.report.figures import styled
from corpuscle.report.run_data import RunData

ACROSS = 4  # pairs in a row
INCHES = 1.6  # width of a pair


@styled
def made_samples(run: RunData) -> Figure | None:
    """The pairs that the run folder keeps, original on the left; None where there are none."""
    pairs = []
    for item in run.made.get("items", ()):
        try:
            shown = [Image.open(run.folder / "made" / item[name]).convert("RGB") for name in ("original", "picture")]
        except OSError:  # a page about many images does not fail over one
            continue
        pairs.append((np.hstack([np.asarray(one.resize(shown[0].size)) for one in shown]), item))
    if not pairs:
        return None
    rows = -(-len(pairs) // ACROSS)
    figure = Figure(figsize=(ACROSS * INCHES, rows * 0.75 * INCHES), layout="constrained")
    grid = figure.subplots(rows, ACROSS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (both_HWC, item) in zip(grid.flat, pairs, strict=False):
        axes.imshow(both_HWC, interpolation="nearest")
        axes.set_title(f"{item['label']}: {item['step']}", fontsize=7)
    return figure
