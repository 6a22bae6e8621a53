"""Pictures of heat, and the animation of many."""

from __future__ import annotations

import stat

import numpy as np
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError
from corpuscle.engine.explain.animation import FRAME_S, frame, needs_ffmpeg, write_gif, write_mp4
from corpuscle.engine.explain.overlay import FRAME, coloured, fitting, for_the_eye, laid_over, with_words, write_png

GREY = np.full((60, 90, 3), 128, np.uint8)
HEAT = np.tile(np.linspace(0, 1, 90), (60, 1))


def test_heat_has_the_colours_of_the_report():
    assert coloured(np.array([[0.0, 1.0]])).tolist() == [[[68, 1, 84], [253, 231, 36]]]


def test_the_hotter_the_less_of_the_image_is_seen():
    over_HWC = laid_over(GREY, HEAT).astype(float)
    away_W = np.abs(over_HWC - GREY).max(axis=2)[0]
    assert over_HWC.shape == GREY.shape and away_W[-1] > 1.5 * away_W[0] > 0


def test_words_and_a_frame_are_drawn_on_an_image_that_is_large_enough_to_read():
    said_HWC = with_words(GREY, "neutrophil 97 %", (30, 30, 20, 20))
    assert said_HWC.shape == (240, 360, 3)
    assert (said_HWC[:20] > 240).all(axis=2).any()
    framed = np.argwhere((said_HWC == FRAME).all(axis=2))
    assert framed.min(0).tolist() == [120, 120] and framed.max(0).tolist() == [199, 199]
    assert with_words(GREY, "ë" * 400).shape == said_HWC.shape


def test_long_words_get_a_smaller_font():
    assert fitting("lymphocyte", 200, 20).size == 20
    long = fitting("lymphocyte " * 5, 200, 20)
    assert 6 <= long.size < 20 and long.getlength("lymphocyte " * 5) <= 200


def test_large_pictures_are_thinned_and_small_ones_left():
    assert for_the_eye(np.zeros((4096, 1024, 3), np.uint8)).shape == (2048, 512, 3)
    assert for_the_eye(HEAT) is HEAT


def test_a_picture_is_written_in_its_colours(tmp_path):
    write_png(tmp_path / "a.png", np.array([[[255, 0, 10]]], np.uint8))
    assert Image.open(tmp_path / "a.png").getpixel((0, 0)) == (255, 0, 10)


def frames(num=3):
    shapes = [(60, 90), (200, 40), (64, 64)]
    return [frame(np.full((*shapes[n % 3], 3), 60 * n, np.uint8), GREY, f"{n}.png", "b 90 %") for n in range(num)]


def test_a_gif_shows_every_image_at_one_size_for_a_while(tmp_path):
    write_gif(tmp_path / "a.gif", frames())
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 3 and gif.info["loop"] == 0
        for place, one in enumerate(frames()):
            gif.seek(place)
            assert gif.info["duration"] == 1000 * FRAME_S
            apart = np.abs(np.asarray(gif.convert("RGB"), int) - np.asarray(one, int))
            assert gif.size == one.size and apart.mean() < 4


def ffmpeg(folder, monkeypatch, script):
    """Put a program of this name on PATH, which writes what it was given into its last word."""
    path = folder / "bin" / "ffmpeg"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")


def test_a_film_is_made_by_ffmpeg_of_every_pixel(tmp_path, monkeypatch):
    ffmpeg(tmp_path, monkeypatch, 'for last; do :; done; { echo "$*"; cat; } > "$last"')
    pictures = frames()
    write_mp4(tmp_path / "a.mp4", pictures)
    words, _, content = (tmp_path / "a.mp4").read_bytes().partition(b"\n")
    width, height = pictures[0].size
    assert width % 2 == height % 2 == 0, "the format asks for it"
    assert f"-s {width}x{height} -r 1.25 -i -" in words.decode() and "-f mp4" in words.decode()
    assert content == b"".join(one.tobytes() for one in pictures)


def test_a_failing_ffmpeg_says_why_and_leaves_no_file(tmp_path, monkeypatch):
    ffmpeg(tmp_path, monkeypatch, "cat > /dev/null; echo no encoder >&2; exit 3")
    with pytest.raises(
        CorpuscleError, match=r"ffmpeg could not write .*a\.mp4 \(no encoder\); mend it, or pass --anim"
    ):
        write_mp4(tmp_path / "a.mp4", frames())
    assert not (tmp_path / "a.mp4").exists()


def test_a_film_without_ffmpeg_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        CorpuscleError, match="--animation mp4 expects the program ffmpeg, there is none on PATH; install"
    ):
        needs_ffmpeg()
