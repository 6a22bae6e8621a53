"""Images and masks as the content of a PNG file."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence

import numpy as np
from PIL import Image

from corpuscle.core.legend import Colour


def png(array: np.ndarray, colours: Sequence[Colour] = ()) -> bytes:
    """A PNG of HWC or HW, uint8 or uint16; with colours they are the palette of the numbers."""
    image = Image.fromarray(array)
    if colours:
        image.putpalette(list(itertools.chain(*colours)))
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()
