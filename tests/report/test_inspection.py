"""The page of a look at a data set: whole, offline, small, and its pictures are those of what was found."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpuscle.data.doctor.finding import KINDS, Finding
from corpuscle.data.doctor.inspection import Choices, Inspection, inspect
from corpuscle.report.inspection import LINES, OF_ONE, PICTURES, SIDE, blocks, tiles, verdict, write_inspection
from corpuscle.report.pictures import read_with_pillow


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    """Sixteen pictures of two classes; one of them is twice there, under both."""
    folder = tmp_path_factory.mktemp("drawn")
    rng = np.random.default_rng(0)
    for number in range(16):
        place = folder / "ab"[number % 2] / f"{number:02}.png"
        place.parent.mkdir(exist_ok=True)
        spots_HWC = rng.integers(0, 255, (18, 20, 3), np.uint8)
        Image.fromarray(spots_HWC).resize((200, 180), Image.Resampling.BICUBIC).save(place)
    (folder / "b" / "<i>again.png").write_bytes((folder / "a" / "00.png").read_bytes())
    (folder / "b" / "note.png").write_text("text")
    return inspect(folder, Choices())


def written(found: Inspection, tmp_path: Path) -> str:
    page = write_inspection(found, tmp_path / "page.html", "my <cells>", read_with_pillow)
    return page.read_text(encoding="utf-8")


def test_the_page_needs_nothing_from_outside_and_names_what_was_found(found: Inspection, tmp_path: Path) -> None:
    page = written(found, tmp_path)
    assert "<script" not in page and "<link" not in page and "url(http" not in page
    sources = re.findall(r'src="([^"]*)"', page)
    assert sources and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "my &lt;cells&gt;" in page and "&lt;i&gt;again.png" in page and "<i>again" not in page
    for title in ("Images that cannot be read", "Copies with different labels", "2 faults in 18 images."):
        assert title in page
    assert "is a text file, not an image" in page and "cannot be shown" in page
    assert page.count('id="copies-disagree"') == 1 and page.count('href="#copies-disagree"') == 1


def test_pictures_are_small_and_say_their_label(found: Inspection) -> None:
    (block,) = (block for block in blocks(found, read_with_pillow) if block.name == "copies disagree")
    (shown,) = block.shown
    assert [card.known for card in shown.cards] == ["a", "b"] and shown.cards[0].file == "00.png"
    content = base64.b64decode((shown.cards[0].uri or "").partition(",")[2])
    assert max(Image.open(io.BytesIO(content)).size) == SIDE
    assert not block.alone and shown.more == 0 and block.done == "a training leaves them out, and so does --fix"


def test_what_is_done_is_said_of_each_kind(found: Inspection) -> None:
    kinds = ("unreadable", "near-copies disagree", "label spelling", "copy leak", "overlaps", "dark")
    page = found.with_findings(Finding(kind, "x", "y") for kind in kinds)
    done = {block.name: block.done for block in blocks(page, read_with_pillow)}
    assert done["unreadable"].endswith("unless they are many: then it stops")
    assert done["near-copies disagree"] == "a training keeps them in one part of a split; --fix makes them a group"
    assert done["label spelling"].endswith("--fix takes the commonest")
    assert done["copy leak"] == "a training stops; --fix keeps one of them"
    assert done["overlaps"].startswith("a training with guard.overlaps=together keeps them")  # another does not look
    assert done["dark"] == "nothing is done: look at them"


def test_each_kind_shows_a_few_and_counts_the_rest(found: Inspection) -> None:
    names = found.table.frame["image"].to_list()
    dark = [Finding("dark", f"{names[0]}: 0.1", "look at it", (names[0],)) for _ in range(PICTURES + 9)]
    likely = [Finding("likely groups", "names share p1", "say so", tuple(names))]
    leaks = [Finding("group leak", f"group {n} is in", "divide it") for n in range(LINES + 5)]
    made = {block.name: block for block in blocks(found.with_findings([*dark, *likely, *leaks]), read_with_pillow)}
    assert len(made["dark"].shown) == PICTURES and made["dark"].number == PICTURES + 9 and made["dark"].alone
    assert made["dark"].shown[0].said == "0.1" and made["dark"].remedy == "look at it"
    assert len(made["likely groups"].shown[0].cards) == OF_ONE
    assert made["likely groups"].shown[0].more == len(names) - OF_ONE
    assert len(made["group leak"].shown) == LINES and made["group leak"].shown[0].cards == ()
    assert list(made) == [kind for kind in KINDS if kind in made]


def test_ten_thousand_images_with_every_fault_stay_under_five_megabytes(found: Inspection, tmp_path: Path) -> None:
    names = found.table.frame["image"].to_list()[:-2]
    many = [
        Finding(kind, f"{name}: odd", "look at it", tuple(names[n % 16 : n % 16 + 4]) if n % 2 else (name,))
        for kind in KINDS
        for n in range(10_000)
        for name in [names[n % 16]]
    ]
    page = written(found.with_findings(many), tmp_path)
    assert len(page.encode()) < 5_000_000 and "And 9,9" in page


def test_nothing_found_is_said_in_words(found: Inspection, tmp_path: Path) -> None:
    clean = Inspection(found.table, None, None)
    page = written(clean, tmp_path)
    assert verdict(clean) == "Nothing was found that a person should look at." and verdict(clean) in page
    assert "the images were not opened" in page and tiles(clean)["Findings"] == ("0", "of 0 kinds")
