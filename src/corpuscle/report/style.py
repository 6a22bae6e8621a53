"""One look for the page and its figures: colours by role, in a light and a dark dress, and the figures' fonts.

Every colour that carries text stands off its ground by at least 4.5 to 1, and the series stay apart for readers who
see red and green alike (after Okabe and Ito, 2008, darkened for text).
"""

from __future__ import annotations

from typing import Any

LIGHT = {
    "ground": "#f7f6f2",
    "surface": "#fffefc",
    "ink": "#1b2227",
    "muted": "#55606a",
    "line": "#dcdcd6",
    "band": "#efeee8",
    "heat": "#0a6394",
    "good": "#1a6b48",
    "warn": "#7a4a00",
    "warn-ground": "#fdf1d8",
    "series-0": "#0b6193",
    "series-1": "#b4470d",
    "series-2": "#18704d",
    "series-3": "#92427e",
    "series-4": "#7b6100",
    "series-5": "#3b51a8",
    "series-6": "#a5314b",
    "series-7": "#4a5560",
}
DARK = {
    "ground": "#12171a",
    "surface": "#1a2024",
    "ink": "#e9edef",
    "muted": "#a6b2bb",
    "line": "#38424a",
    "band": "#222a2f",
    "heat": "#2c7db4",
    "good": "#72d0a0",
    "warn": "#f4c978",
    "warn-ground": "#33291a",
    "series-0": "#6fbaea",
    "series-1": "#f2a06b",
    "series-2": "#6fd0a3",
    "series-3": "#dd9fd0",
    "series-4": "#d9c266",
    "series-5": "#a3b3f5",
    "series-6": "#f193a5",
    "series-7": "#b4bfc8",
}
TRAIN, VAL = LIGHT["series-0"], LIGHT["series-1"]
SERIES = tuple(colour for role, colour in LIGHT.items() if role.startswith("series-"))
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
MARKS = ("#ffd84d", "#5fd0ff", "#7dff9b", "#ff9ad5", "#ffab5e", "#d7c2ff")  # over an image: bright on a dark edge
HEAT_MOST = 0.6  # a full cell of the confusion matrix is a tint, so that its text reads in both dresses

FIGURE_RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": LIGHT["ink"],
    "text.parse_math": False,  # a class may be called $a_b$
    "axes.edgecolor": LIGHT["line"],
    "axes.facecolor": "none",
    "axes.labelcolor": LIGHT["muted"],
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LIGHT["line"],
    "grid.linewidth": 0.6,
    "xtick.color": LIGHT["line"],
    "ytick.color": LIGHT["line"],
    "xtick.labelcolor": LIGHT["muted"],
    "ytick.labelcolor": LIGHT["muted"],
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 3.5,
    "figure.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "corpuscle",
}


def css_variables(palette: dict[str, str]) -> str:
    """The palette as CSS custom properties."""
    return "".join(f"--{role}:{colour};" for role, colour in palette.items())


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2).

    >>> round(contrast("#000000", "#ffffff"), 1)
    21.0
    """
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
