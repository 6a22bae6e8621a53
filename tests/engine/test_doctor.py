"""A training sees what `inspect` sees and decides the same: what is left out, what stays together, what is refused."""

from __future__ import annotations

import shutil

import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle import api
from corpuscle.core.errors import CorpuscleError
from corpuscle.data.doctor import fix, inspection
from corpuscle.engine.dataset import ready
from corpuscle.engine.inspecting import look_at
from corpuscle.engine.train import Call, task_of
from corpuscle.recipes import compose


def picture(seed):
    """Spots with some grain, like no other."""
    random = np.random.default_rng(seed)
    spots = Image.fromarray(random.integers(40, 216, (9, 9, 3), np.uint8)).resize((64, 64), Image.Resampling.BICUBIC)
    return Image.fromarray(np.clip(np.asarray(spots) + random.normal(0, 12, (64, 64, 3)), 0, 255).astype(np.uint8))


def turned(image):
    """Mirrored: a near-copy."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures of each of two classes, six of them with a near-copy."""
    for kind, name in enumerate("ab"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(12):
            picture(100 * kind + number).save(tmp_path / "data" / name / f"{number}.png")
        for number in range(3):
            turned(picture(100 * kind + number)).save(tmp_path / "data" / name / f"{number}again.png")
    return tmp_path / "data"


def experiment_for(**settings):
    values = {"prepare.size": 32, "split.val": 0.3, "split.test": 0.3}
    return compose("default", flags=values | {name.replace("__", "."): value for name, value in settings.items()})[0]


def data_of(folder, listener, **settings):
    experiment = experiment_for(**settings)
    return ready(folder, experiment, task_of(experiment), listener)


def parts_of(data):
    return dict(data.table.frame.select("image", "split").rows())


def test_near_copies_are_in_one_part_whatever_the_seed_and_may_be_ignored(folder, listener):
    for seed in range(4):
        parts = parts_of(data_of(folder, listener, seed=seed))
        assert all(parts[f"{name}/{n}.png"] == parts[f"{name}/{n}again.png"] for name in "ab" for n in range(3))
    assert any("images that are nearly the same; 6 in all, the first: a/0again.png" in line for line in listener.lines)
    apart = [parts_of(data_of(folder, listener, seed=seed, guard__near_copies="ignore")) for seed in range(4)]
    assert any(parts[f"a/{n}.png"] != parts[f"a/{n}again.png"] for parts in apart for n in range(3))


def test_parts_that_share_near_copies_are_refused_unless_leaks_are_allowed(folder, listener, tmp_path):
    rows = [f"data/{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(folder.rglob("*.png"))]
    rows = [f"{row},{'test' if 'again' in row else 'train' if n % 2 else 'val'}" for n, row in enumerate(rows)]
    (tmp_path / "s.csv").write_text("\n".join(["image,label,split", *rows]))
    with pytest.raises(CorpuscleError, match=r"^split leaks: data/a/0.png and data/a/0again.png are nearly the same "):
        data_of(tmp_path / "s.csv", listener)
    assert data_of(tmp_path / "s.csv", listener, guard__allow_leaks=True).findings.near
    assert not data_of(tmp_path / "s.csv", listener, guard__near_copies="ignore").findings.near


def test_blank_images_and_copies_with_other_labels_are_left_out_and_said(folder, listener):
    Image.new("RGB", (64, 64), (200, 190, 210)).save(folder / "a" / "blank.png")
    shutil.copy(folder / "a" / "7.png", folder / "b" / "other.png")
    data = data_of(folder, listener)
    parts = parts_of(data)
    assert [image for image, part in parts.items() if part is None] == ["a/7.png", "a/blank.png", "b/other.png"]
    assert any(line.startswith("set aside: a/blank.png: one grey level all over") for line in listener.lines)
    assert any(line.startswith("set aside: a/7.png (a), b/other.png (b); at least one") for line in listener.lines)


def test_a_class_of_which_nothing_is_left_is_named(folder, listener):
    for path in (folder / "b").iterdir():
        Image.new("RGB", (64, 64), (200, 190, 210)).save(path)
    with pytest.raises(CorpuscleError, match="class b: none of its images is used: they are blank, or copies with"):
        data_of(folder, listener)


def test_a_training_finds_what_inspect_finds(folder, listener):
    Image.new("RGB", (64, 64), (200, 190, 210)).save(folder / "a" / "blank.png")
    picture(7).convert("L").save(folder / "a" / "7.png")
    (folder / "b" / "5.png").write_text("text")
    seen = look_at(folder, experiment_for(guard__max_faulty=0.1), listener)
    data = data_of(folder, listener, guard__max_faulty=0.1)
    assert [vars(one) for one in data.findings.found] == [vars(one) for one in seen.findings]
    assert data.findings.sound.to_list() == seen.audit.sound.to_list()
    kept = data.fingerprint()
    assert kept["found"] == seen.as_dict()["found"]
    assert {one["kind"] for one in kept["findings"]} == {"unreadable", "mode", "blank", "near-copies"}


def test_what_cannot_be_is_refused_before_an_image_is_opened(folder, tmp_path, listener, monkeypatch):
    monkeypatch.setattr(inspection, "survey", None)
    images = [f"data/{path.parent.name}/{path.name}" for path in sorted(folder.rglob("*.png"))]
    (tmp_path / "c.csv").write_text("\n".join(["image,x,y,kind", *(f"{image},3,4,cell" for image in images)]))
    with pytest.raises(CorpuscleError, match=r"^label errors are looked for among named classes, got counts of obj"):
        api.inspect(tmp_path / "c.csv", label_errors=True, fix=tmp_path / "out.csv")
    monkeypatch.setattr(fix, "check_said", refused)
    with pytest.raises(CorpuscleError, match=r"^cannot be said$"):
        api.inspect(folder, fix=tmp_path / "out.csv")


def refused(table):
    raise CorpuscleError("cannot be said")


def test_split_keeps_near_copies_together_and_what_it_wrote_is_trained_on(folder, tmp_path, listener):
    divided = api.split(folder, tmp_path / "out.csv", settings={"split.val": 0.3, "split.test": 0.3})
    parts = dict(divided.frame.select("image", "split").rows())
    assert all(parts[f"{name}/{n}.png"] == parts[f"{name}/{n}again.png"] for name in "ab" for n in range(3))
    assert pl.read_csv(tmp_path / "out.csv").height == 30
    assert data_of(tmp_path / "out.csv", listener).findings.near


@pytest.mark.slow
def test_a_cleaned_table_is_trained_on_and_what_was_found_is_in_the_report(fit, folder, tmp_path):
    Image.new("RGB", (64, 64), (200, 190, 210)).save(folder / "a" / "blank.png")
    picture(7).convert("L").save(folder / "a" / "7.png")
    found = api.inspect(folder, fix=tmp_path / "clean.csv", html=tmp_path / "page.html")
    assert "clean.csv (30 images; 1 left out, 12 grouped), " in found.written[0] and len(found.written) == 2
    again = api.inspect(tmp_path / "clean.csv")
    assert not again.of("blank") and not again.of("near-copies") and again.of("mode")
    run = fit(tmp_path / "run", Call({}), path=tmp_path / "clean.csv")
    page = api.report(run).read_text()
    assert "Worth a look" in page and "Images of another mode than the rest: 1" in page
    assert "corpuscle inspect DATA --html page.html" in page


def test_spellings_are_refused_by_a_training_told_by_inspect_and_mended_by_fix(folder, listener, tmp_path):
    (folder / "A").mkdir()
    for number in range(12, 15):
        picture(number).save(folder / "A" / f"{number}.png")
    told = r"^labels: 'A' \(3\), 'a' \(15\) differ by case or spaces alone; write them alike"
    with pytest.raises(CorpuscleError, match=told):
        data_of(folder, listener)
    with pytest.raises(CorpuscleError, match=told):
        api.split(folder, tmp_path / "split.csv")
    found = api.inspect(folder, fix=tmp_path / "clean.csv")
    (finding,) = found.of("label spelling")
    assert finding.what == "labels 'A' (3), 'a' (15) differ by their spelling alone"
    changes = pl.read_csv(tmp_path / "clean.changes.csv").filter(pl.col("change") == "label")
    assert changes["to"].to_list() == ["a"] * 3
    assert api.inspect(tmp_path / "clean.csv").table.classes == ("a", "b")
    assert data_of(tmp_path / "clean.csv", listener).table.classes == ("a", "b")


@pytest.mark.slow
def test_faults_planted_in_real_cells_are_found_and_are_gone_from_the_cleaned_table(sample_data, tmp_path, listener):
    folder = tmp_path / "cells"
    for name in ("basophil", "eosinophil", "monocyte"):
        (folder / name).mkdir(parents=True)
        for path in sorted((sample_data / "pbc" / name).iterdir())[:20]:
            (folder / name / path.name).write_bytes(path.read_bytes())
    images = sorted((folder / "basophil").iterdir())
    images[0].write_bytes(images[0].read_bytes()[:3000])
    shutil.copy(images[1], folder / "basophil" / "again.jpg")
    shutil.copy(images[2], folder / "monocyte" / "other.jpg")
    whole = Image.open(images[3])
    turned(whole).save(folder / "basophil" / "turned.jpg", quality=80)
    whole.resize((200, 200)).save(folder / "basophil" / "small.png")
    Image.new("RGB", whole.size, (200, 190, 210)).save(folder / "monocyte" / "blank.png")
    found = api.inspect(folder, fix=tmp_path / "clean.csv")
    planted = {
        "unreadable": [{images[0].name}],
        "blank": [{"blank.png"}],
        "copies": [{images[1].name, "again.jpg"}],
        "copies disagree": [{images[2].name, "other.jpg"}],
        "near-copies": [{images[3].name, "turned.jpg", "small.png"}],
    }
    for kind, sets in planted.items():
        assert [{image.rpartition("/")[2] for image in one.images} for one in found.of(kind)] == sets
    again = api.inspect(tmp_path / "clean.csv")
    assert not [kind for kind in planted if again.of(kind)]
    assert len(again.table) == 60 + 5 - 5
    assert data_of(tmp_path / "clean.csv", listener).findings.sound.all()


@pytest.mark.slow
def test_the_blemishes_of_the_sample_data_are_found_and_listed_by_name(sample_data, tmp_path):
    cells = api.inspect(sample_data / "wbc_masks", settings={"data.masks": "beside"})
    assert [one.images for one in cells.of("copies")] == [("112.bmp", "139.bmp")]
    near = {image for one in cells.of("near-copies") for image in one.images}
    assert {"019.bmp", "075.bmp", "157.bmp", "158.bmp"} <= near
    smears = api.inspect(sample_data / "bccd")
    same = ("JPEGImages/BloodImage_00037.jpg", "JPEGImages/BloodImage_00038.jpg")
    assert [one.images for one in smears.of("near-copy leak")] == [same]
    rows = [
        f"{path},{path.parent.name}" for name in ("basophil", "ig") for path in (sample_data / "pbc" / name).iterdir()
    ]
    (tmp_path / "pbc.csv").write_text("\n".join(["image,label", *rows]))
    found = api.inspect(tmp_path / "pbc.csv")
    ((first, second),) = (one.images for one in found.of("copies"))
    assert first.endswith("BA_20201.jpg") and second.endswith("BA_809918.jpg")
    assert any("369 × 366" in one.what for one in found.of("size"))
