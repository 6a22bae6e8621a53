"""Many heat maps as one animation: each image beside its heat, with what was said of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import whole_file
from corpuscle.engine.explain.overlay import BAND, INK, fitting

if TYPE_CHECKING:
    from PIL import Image

SIDE, BAR, EDGE = 288, 36, 8  # pixels of a tile, of the line of words below, and around both
FRAME_S = 0.8
MOST = 150  # images, spread over all of them: two minutes, 15 MB
COLOURS = 192  # of a frame of the GIF


def frame(image_HWC: np.ndarray, over_HWC: np.ndarray, name: str, words: str) -> Image.Image:
    """One picture of the animation, of the same size whatever the image's; both arrays uint8."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (2 * SIDE + 3 * EDGE, SIDE + 2 * EDGE + BAR), BAND)
    for place, array in enumerate((image_HWC, over_HWC)):
        scale = SIDE / max(array.shape[:2])
        size = max(1, round(array.shape[1] * scale)), max(1, round(array.shape[0] * scale))
        tile = Image.fromarray(array).resize(size, Image.Resampling.LANCZOS)
        left = EDGE + place * (SIDE + EDGE) + (SIDE - size[0]) // 2
        picture.paste(tile, (left, EDGE + (SIDE - size[1]) // 2))
    draw, middle = ImageDraw.Draw(picture), SIDE + EDGE + (BAR + EDGE) / 2
    draw.text((EDGE, middle), name, INK, fitting(name, SIDE - 2 * EDGE, 16), anchor="lm")
    draw.text((SIDE + 2 * EDGE, middle), words, INK, fitting(words, SIDE - EDGE, 16), anchor="lm")
    return picture


def write_gif(path: Path, frames: Sequence[Image.Image]) -> None:
    """Write the pictures as a GIF that begins again at its end."""
    few = [one.quantize(palette=one.quantize(COLOURS)) for one in frames]  # twice: only a given palette is dithered
    with whole_file(path) as part:
        few[0].save(part, "GIF", save_all=True, append_images=few[1:], duration=round(1000 * FRAME_S), loop=0)


def needs_ffmpeg() -> str:
    """Where ffmpeg is.

    Raises:
        CorpuscleError: it is not there.
    """
    found = shutil.which("ffmpeg")
    if found is None:
        raise CorpuscleError(
            "--animation mp4 expects the program ffmpeg, there is none on PATH; install it, or pass --animation gif"
        )
    return found


def write_mp4(path: Path, frames: Sequence[Image.Image]) -> None:
    """Write the pictures as a film.

    Raises:
        CorpuscleError: ffmpeg is not there, or fails.
    """
    width, height = frames[0].size
    rate = f"{1 / FRAME_S:g}"
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate, "-i", "-"]
    wanted = ["-r", "25", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"]
    with whole_file(path) as part:
        words = [needs_ffmpeg(), "-y", "-loglevel", "error", *given, *wanted, str(part)]
        content = b"".join(one.tobytes() for one in frames)
        done = subprocess.run(words, input=content, capture_output=True, check=False)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
            raise CorpuscleError(f"ffmpeg could not write {path} ({said[-1]}); mend it, or pass --animation gif")
