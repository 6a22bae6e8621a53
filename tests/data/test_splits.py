"""Splits keep groups whole, classes in proportion, and the same rows in the same part for ever."""

import errno
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.settings import validated
from corpuscle.data.doctor.leaks import Leak, find_copies, find_leaks, leak_message
from corpuscle.data.sources import scan
from corpuscle.data.split_files import write_split_csv, write_split_folder
from corpuscle.data.splits import SplitPlan, divide_anew, split_table
from corpuscle.data.table import Table

DATA = Path(os.environ.get("CORPUSCLE_TEST_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
SCHEMA = {"image": pl.String, "label": pl.String, "group": pl.String, "split": pl.String}


@pytest.fixture(scope="module")
def png(tmp_path_factory):
    """A picture that tables can name."""
    import cv2

    path = tmp_path_factory.mktemp("picture") / "a.png"
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    return path


def table_of(rows, root=Path("/data")):
    """A table of (image, label, group, split) rows."""
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    frame = frame.with_columns(source=pl.lit("rows"), row=pl.arange(1, len(frame) + 1, eager=True))
    classes = tuple(sorted(frame["label"].drop_nulls().unique()))
    return Table(frame, root=root, classes=classes, layout="rows", notes=())


def cells(labels, groups=None, split=None):
    groups = groups or [None] * len(labels)
    return [
        (f"{at:04d}.png", label, group, split) for at, (label, group) in enumerate(zip(labels, groups, strict=True))
    ]


def folder_of(name, group_from=None):
    root = DATA / name
    if not root.is_dir():
        pytest.skip(f"no sample data in {root}")
    rows = []
    for path in sorted(root.glob("*/*")):
        found = re.match(group_from, path.name) if group_from else None
        rows.append((path.relative_to(root).as_posix(), path.parent.name, found and found[1], None))
    return table_of(rows, root)


def split_of(table):
    return dict(table.frame.select("image", "split").iter_rows())


def counts(table, column="split"):
    rows = table.frame.group_by("label", column).len().iter_rows()
    found = {}
    for label, part, count in rows:
        found.setdefault(label, {})[part] = count
    return found


def test_each_class_of_pbc_is_divided_70_15_15_within_one_image():
    divided = counts(split_table(folder_of("pbc"), SplitPlan(), 0))
    assert len(divided) == 8
    for label, parts in divided.items():
        assert abs(parts["train"] - 210) <= 1 and abs(parts["val"] - 45) <= 1 and abs(parts["test"] - 45) <= 1, label


@pytest.mark.parametrize("seed", range(5))
def test_both_eyes_of_a_patient_stay_together_and_each_class_of_fundus_is_within_2_percent(seed):
    table = split_table(folder_of("fundus", r"(\d+)_(?:left|right)"), SplitPlan(), seed)
    assert find_leaks(table) == ()
    for label, parts in counts(table).items():
        whole = sum(parts.values())
        for part, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
            assert abs(parts[part] / whole - share) < 0.02, (label, part)


def test_folds_of_fundus_are_as_even_as_those_of_scikit_learn():
    from sklearn.model_selection import StratifiedGroupKFold

    table = folder_of("fundus", r"(\d+)_(?:left|right)")
    ours = split_table(table, SplitPlan(folds=5), 0)
    label = table.frame["label"].to_numpy()
    group = table.frame["group"].fill_null(table.frame["image"]).to_numpy()

    def unevenness(fold):
        return max(np.ptp([np.sum((fold == at) & (label == name)) for at in np.unique(fold)]) for name in set(label))

    theirs = np.zeros(len(label))
    for at, (_, test) in enumerate(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(label, label, group)):
        theirs[test] = at
    assert unevenness(ours.frame["fold"].to_numpy()) <= max(unevenness(theirs), 2)


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does():
    rng = np.random.default_rng(0)
    rows = cells(rng.choice(["a", "b", "c"], 200).tolist(), [f"p{at}" for at in rng.integers(0, 60, 200)])
    table, together = table_of(rows), [{"0001.png", "0150.png"}, {"0150.png", "0007.png"}]
    turned = table_of([rows[at] for at in rng.permutation(200)])
    first = split_of(split_table(table, SplitPlan(), 3, together))
    assert split_of(split_table(turned, SplitPlan(), 3, reversed(together))) == first
    assert split_of(split_table(table, SplitPlan(), 4, together)) != first


def test_the_rows_keep_their_order_and_other_columns():
    rows = cells(list("ba" * 20))[::-1]
    table = table_of(rows)
    divided = split_table(table, SplitPlan(), 0)
    assert divided.frame.drop("split").equals(table.frame.drop("split"))


def test_images_that_belong_together_join_their_groups():
    rows = cells(list("ab" * 100), [f"p{at // 4}" for at in range(200)])
    chain = [{f"{at:04d}.png", f"{at + 4:04d}.png"} for at in range(0, 76, 4)]  # patients p0 … p19 become one
    parts = split_of(split_table(table_of(rows), SplitPlan(), 0, chain))
    assert len({parts[f"{at:04d}.png"] for at in range(80)}) == 1
    assert set(parts.values()) == {"train", "val", "test"}


def test_a_rare_class_is_in_each_part_as_far_as_its_groups_reach():
    for few in (3, 4, 5, 9):
        table = split_table(table_of(cells(["common"] * 400 + ["rare"] * few)), SplitPlan(), 1)
        assert set(counts(table)["rare"]) == {"train", "val", "test"}, few


@pytest.mark.parametrize("seed", range(10))
def test_a_few_patients_with_most_of_the_images_do_not_upset_the_shares(seed):
    groups = [f"big{at % 3}" for at in range(90)] + [f"small{at // 2}" for at in range(160)]
    table = split_table(table_of(cells(["a", "b"] * 125, groups)), SplitPlan(), seed)
    for label, parts in counts(table).items():
        assert abs(parts["train"] / 125 - 0.7) < 0.03, label


def test_without_validation_or_test_there_is_no_such_part():
    table = table_of(cells(list("ab" * 50)))
    assert counts(split_table(table, SplitPlan(val=0, test=0.2), 0)) == {x: {"train": 40, "test": 10} for x in "ab"}
    assert counts(split_table(table, SplitPlan(val=0, test=0), 0)) == {x: {"train": 50} for x in "ab"}


def test_not_stratified_still_keeps_the_sizes_of_the_parts():
    table = split_table(table_of(cells(["a"] * 90 + ["b"] * 10)), SplitPlan(stratify=False), 0)
    assert table.frame["split"].value_counts().sort("split")["count"].to_list() == [15, 70, 15]


def test_each_row_is_in_the_test_part_of_one_fold():
    table = table_of(cells(list("abc") * 40, [f"p{at // 2}" for at in range(120)]))
    tested = []
    for fold in (1, 2, 3, 4):
        divided = split_table(table, SplitPlan(folds=4, fold=fold), 7)
        assert divided.frame.filter(pl.col("split") == "test")["fold"].unique().to_list() == [fold]
        assert find_leaks(divided) == () and set(divided.frame["split"]) == {"train", "val", "test"}
        tested += divided.frame.filter(pl.col("split") == "test")["image"].to_list()
    assert sorted(tested) == table.frame["image"].to_list()


def test_a_given_split_is_kept_and_a_missing_validation_part_comes_from_train_alone():
    rows = [(*row[:3], "test" if at >= 80 else "train") for at, row in enumerate(cells(list("ab" * 50)))]
    divided = split_table(table_of(rows), SplitPlan(val=0.25), 0)
    assert counts(divided) == {x: {"train": 30, "val": 10, "test": 10} for x in "ab"}
    assert all(part == "test" for image, part in split_of(divided).items() if image >= "0080")
    again = split_table(divided, SplitPlan(val=0.5), 1)
    assert split_of(again) == split_of(divided)


def test_unlabelled_rows_stay_unlabelled_and_do_not_count():
    rows = [*cells(list("ab" * 50)), ("x1.png", None, None, "unlabelled"), ("x2.png", None, None, None)]
    rows.append(("x3.png", "b", None, "unlabelled"))
    divided = split_table(table_of(rows), SplitPlan(), 0)
    assert split_of(divided)["x1.png"] == split_of(divided)["x2.png"] == "unlabelled"
    assert split_of(divided)["x3.png"] == "unlabelled"
    assert counts(divided)["b"] == {"unlabelled": 1} | counts(split_table(table_of(rows[:100]), SplitPlan(), 0))["b"]


def test_all_classes_with_too_few_groups_are_named_at_once_with_counts_and_remedy():
    labels = ["a"] * 20 + ["basophil"] + ["mast"] * 6
    groups = [None] * 21 + ["p1"] * 4 + ["p2"] * 2
    with pytest.raises(DataFault) as raised:
        split_table(table_of(cells(labels, groups)), SplitPlan(), 0)
    assert [str(fault) for fault in raised.value.faults] == [
        "class basophil: 1 group (1 image) for 3 parts (train, val, test); add images, ask for fewer parts or folds, "
        "or pass --set split.rare=train to keep it whole in train",
        "class mast: 2 groups (6 images) for 3 parts (train, val, test); add images, ask for fewer parts or folds, "
        "or pass --set split.rare=train to keep it whole in train",
    ]
    with pytest.raises(DataFault, match=r"class basophil: 1 group \(1 image\) for 5 folds"):
        split_table(table_of(cells(labels, groups)), SplitPlan(folds=5), 0)


def test_rare_classes_can_be_kept_whole_in_train():
    table = table_of(cells(["a"] * 20 + ["basophil"]))
    assert counts(split_table(table, SplitPlan(rare="train"), 0))["basophil"] == {"train": 1}
    folds = split_table(table, SplitPlan(rare="train", folds=5, fold=2), 0)
    assert counts(folds)["basophil"] == {"train": 1} and counts(folds, "fold")["basophil"] == {None: 1}


def test_a_class_without_an_image_in_train_is_refused():
    rows = [(*row[:3], "train") for row in cells(["a"] * 9)] + [
        ("t1.png", "b", None, "test"),
        ("t2.png", "b", None, "val"),
    ]
    with pytest.raises(DataFault) as raised:
        split_table(table_of(rows), SplitPlan(), 0)
    assert str(raised.value) == (
        "class b: no image in train, only in val (1 image) and test (1 image); put some of its images in train"
    )


def test_a_split_given_to_some_rows_only_is_refused():
    rows = [*cells(list("ab" * 10)), ("z.png", "a", None, "train")]
    with pytest.raises(CorpuscleError, match="20 of 21 have none; fill it"):
        split_table(table_of(rows), SplitPlan(), 0)


def test_folds_of_rows_with_a_given_test_part_are_refused():
    rows = [(*row[:3], "test" if at < 4 else "train") for at, row in enumerate(cells(list("ab" * 10)))]
    with pytest.raises(
        CorpuscleError, match=r"these come as train \(16 images\) and test \(4 images\); leave out the folds"
    ):
        split_table(table_of(rows), SplitPlan(folds=5), 0)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"val": 1.5}, "val should be less than 1, got 1.5"),
        ({"test": -0.1}, "test should be greater than or equal to 0, got -0.1"),
        (
            {"val": 0.5, "test": 0.5},
            "val should leave rows to train: less than 0.5 beside split.test=0.5, got 0.5",
        ),
        ({"folds": 1}, "folds should be 0 (by ratio) or at least 2, got 1"),
        ({"folds": 5, "fold": 6}, "fold should be one of the 5 folds, counted from 1, got 6"),
    ],
)
def test_a_plan_out_of_range_is_one_clear_line(values, line):
    with pytest.raises(CorpuscleError) as raised:
        validated(SplitPlan, values)
    assert str(raised.value) == line


def test_a_plan_is_read_without_torch_or_polars():
    heavy = {"torch", "polars", "scipy", "sklearn"}
    code = f"import sys, corpuscle.data.splits; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
def test_100_000_rows_are_divided_in_seconds():
    table = table_of(cells([f"c{at % 8}" for at in range(100_000)]))
    start = time.perf_counter()
    split_table(table, SplitPlan(), 0)
    assert time.perf_counter() - start < 5


def test_leaks_name_groups_and_pixels_and_count_the_rest():
    rows = [
        ("a.png", "x", "1034", "train"),
        ("b.png", "x", "1034", "train"),
        ("c.png", "x", "1034", "test"),
        ("d.png", "x", "2000", "val"),
        ("e.png", "x", "2000", "train"),
        ("f.png", "x", None, "train"),
        ("g.png", "x", None, "test"),
        ("h.png", "x", None, "test"),
        ("i.png", "x", "1", "unlabelled"),
        ("j.png", "x", "1", "train"),
    ]
    content = {"f.png": "0f", "g.png": "0f", "h.png": "1a", "i.png": "2b", "j.png": "2b"}
    leaks = find_leaks(table_of(rows), content)
    assert leaks == (
        Leak("group", ("1034",), {"train": 2, "test": 1}),
        Leak("group", ("2000",), {"train": 1, "val": 1}),
        Leak("pixels", ("f.png", "g.png"), {"train": 1, "test": 1}),
    )
    assert leak_message(leaks) == (
        "split leaks: group 1034 is in train (2 images) and test (1 image), and 1 more group; "
        "f.png and g.png hold the same pixels in train (1 image) and test (1 image); "
        "divide it with corpuscle split --anew, or pass --set guard.allow_leaks=true"
    )


def test_a_split_by_group_of_copies_leaks_nothing():
    rows = cells(list("ab" * 60), [f"p{at // 3}" for at in range(120)])
    content = {image: str(at % 50) for at, (image, *_) in enumerate(rows)}
    table = table_of(rows)
    assert find_leaks(split_table(table, SplitPlan(stratify=False), 0), content) != ()
    copies = find_copies(content, {image: label for image, label, *_ in rows})
    divided = split_table(table_of(cells(list("ab" * 60))), SplitPlan(), 0, copies.same)
    assert len(copies.same) == 50 and find_leaks(divided, content) == ()


def test_copies_with_different_labels_are_told_apart():
    found = find_copies(dict(zip("dcba", "1121", strict=True)), {"a": "x", "c": "y", "d": "y", "b": None})
    assert found.same == (("a", "c", "d"),) and found.disagreeing == (("a", "c", "d"),)
    assert find_copies({"a": "1", "b": "1"}, {"a": "x", "b": None}).disagreeing == ()


@pytest.fixture
def on_disk(tmp_path):
    rows = []
    for at in range(30):
        image = f"{'ab'[at % 2]}/{at % 3}/cell{at // 6}.png"
        (tmp_path / "data" / image).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / image).write_text(image)
        rows.append((image, "ab"[at % 2], None, None))
    rows.append(("a/new.png", None, None, "unlabelled"))
    return split_table(table_of(rows, tmp_path / "data"), SplitPlan(), 0)


@pytest.mark.parametrize("how", ["copy", "link"])
def test_a_divided_folder_holds_each_labelled_image_once_and_keeps_equal_names_apart(on_disk, tmp_path, how):
    out = tmp_path / "deep" / "divided"
    write_split_folder(on_disk, out, how)
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    assert len(files) == 30 and all(path.is_symlink() == (how == "link") for path in files)
    for path in files:
        part, label, _ = path.relative_to(out).parts
        image = path.read_text()
        assert part == split_of(on_disk)[image] and label == image[0]
        assert path.stem.startswith(Path(image).stem) and path.suffix == ".png"
    assert sorted(path.name for path in out.parent.iterdir()) == ["divided"]


def test_a_folder_that_is_not_empty_is_refused(on_disk, tmp_path):
    with pytest.raises(CorpuscleError, match=r"data is not an empty folder; name a new one with --out"):
        write_split_folder(on_disk, tmp_path / "data", "copy")
    (tmp_path / "empty").mkdir()
    write_split_folder(on_disk, tmp_path / "empty", "copy")
    assert (tmp_path / "empty" / "train").is_dir()


@pytest.mark.parametrize(
    ("failure", "raised"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(errno.ENOSPC, "full"), CorpuscleError)],
)
def test_an_interruption_or_a_full_disk_leaves_nothing(on_disk, tmp_path, monkeypatch, failure, raised):
    copy, left = shutil.copy2, iter(range(5))

    def stop_at_the_fifth(source, target):
        if next(left) == 4:
            raise failure
        copy(source, target)

    monkeypatch.setattr(shutil, "copy2", stop_at_the_fifth)
    with pytest.raises(
        raised, match="the disk is full: .*out could not be written" if raised is CorpuscleError else None
    ):
        write_split_folder(on_disk, tmp_path / "out", "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_folds_have_no_divided_folder(on_disk, tmp_path):
    folds = table_of(cells(list("ab" * 20)))
    with pytest.raises(CorpuscleError, match="write it as a CSV instead"):
        write_split_folder(split_table(folds, SplitPlan(folds=5), 0), tmp_path / "out", "link")


def test_a_class_that_cannot_be_a_folder_is_refused(tmp_path):
    table = split_table(table_of(cells(["a/b"] * 10 + ["c"] * 10)), SplitPlan(), 0)
    with pytest.raises(DataFault, match="class 'a/b': cannot be a folder's name; rename it"):
        write_split_folder(table, tmp_path / "out", "link")


def test_a_split_csv_names_images_from_where_it_lies(on_disk, tmp_path):
    write_split_csv(on_disk, tmp_path / "split.csv")
    near = pl.read_csv(tmp_path / "split.csv")
    assert near.columns == ["image", "label", "group", "split"] and len(near) == 31
    assert near["image"][0] == "data/" + on_disk.frame["image"][0]
    assert near["split"].to_list() == on_disk.frame["split"].to_list()
    write_split_csv(on_disk, tmp_path / "data" / "a" / "split.csv")
    far = pl.read_csv(tmp_path / "data" / "a" / "split.csv")
    assert far["image"][0] == (tmp_path / "data" / on_disk.frame["image"][0]).as_posix()


def test_a_split_csv_of_folds_says_where_each_row_is_tested(tmp_path):
    write_split_csv(split_table(table_of(cells(list("ab" * 20))), SplitPlan(folds=5), 0), tmp_path / "folds.csv")
    written = pl.read_csv(tmp_path / "folds.csv")
    assert (
        sorted(written["fold"].unique()) == [1, 2, 3, 4, 5]
        and written["fold"].value_counts()["count"].to_list() == [8] * 5
    )


# --- tables of counts


def counted(numbers, groups=None, points=None):
    """A table of one kind; None is not counted."""
    table = table_of([(image, None, group, split) for image, _, group, split in cells([None] * len(numbers), groups)])
    counts = [None if number is None else [number] for number in numbers]
    frame = table.frame.with_columns(pl.Series("counts", counts, pl.List(pl.Int64)))
    return Table(frame, table.root, ("cell",), "numbers", points=points)


def skewed(count, seed=0):
    """Numbers of which a few are very large."""
    return [int(number) for number in np.random.default_rng(seed).lognormal(2, 1.5, count)]


@pytest.mark.parametrize("seed", range(5))
def test_images_with_few_and_with_many_objects_are_in_each_part_alike(seed):
    numbers = np.array(skewed(200))
    part_N = split_table(counted(numbers.tolist()), SplitPlan(), seed).frame["split"].to_numpy()
    quarter_N = np.argsort(np.argsort(numbers, kind="stable"), kind="stable") // 50
    for part, share in (("train", 35), ("val", 7.5), ("test", 7.5)):
        held_Q = np.bincount(quarter_N[part_N == part], minlength=4)
        assert np.abs(held_Q - share).max() <= 2, (part, held_Q)


def test_groups_of_a_table_of_counts_stay_whole_and_are_ranked_by_their_mean():
    numbers, groups = skewed(240), [f"s{at // 4:02d}" for at in range(240)]
    table = split_table(counted(numbers, groups), SplitPlan(), 0)
    assert find_leaks(table) == ()
    frame = table.frame.with_columns(number=pl.col("counts").list.sum())
    means = frame.group_by("group", "split").agg(pl.col("number").mean()).sort("number", "group")
    low, high = means.head(15), means.tail(15)
    for some in (low, high):
        assert {"train", "val", "test"} == set(some["split"])


def test_each_counted_image_is_tested_in_one_fold_and_the_folds_are_alike():
    numbers = skewed(100)
    table = split_table(counted(numbers), SplitPlan(folds=5), 0)
    fold_N = table.frame["fold"].to_numpy()
    rank_N = np.argsort(np.argsort(numbers, kind="stable"), kind="stable") // 25
    for fold in range(1, 6):
        assert np.bincount(rank_N[fold_N == fold], minlength=4).tolist() == [5, 5, 5, 5]
    assert set(table.frame.filter(pl.col("fold") == 1)["split"]) == {"test"}


def test_the_split_of_counts_does_not_depend_on_the_order_of_the_rows():
    table = counted(skewed(150), [f"s{at % 40}" for at in range(150)])
    turned = table.with_frame(table.frame.sample(fraction=1, shuffle=True, seed=1))
    assert split_of(split_table(table, SplitPlan(), 2)) == split_of(split_table(turned, SplitPlan(), 2))
    assert split_of(split_table(table, SplitPlan(), 2)) != split_of(split_table(table, SplitPlan(), 3))


@pytest.mark.parametrize("count", [3, 9, 12, 25])
def test_a_few_counted_images_are_divided_too(count):
    assert set(split_of(split_table(counted(skewed(count)), SplitPlan(), 0)).values()) == {"train", "val", "test"}


def test_what_is_not_counted_stays_unlabelled_and_a_division_can_be_made_anew():
    table = split_table(counted([3, None, 5, 0, 8, None, 9, 4]), SplitPlan(val=0.2, test=0.2), 0)
    assert [part == "unlabelled" for part in table.frame["split"]] == [
        number is None for number in table.frame["counts"]
    ]
    assert divide_anew(table).frame["split"].to_list() == [
        None,
        "unlabelled",
        None,
        None,
        None,
        "unlabelled",
        None,
        None,
    ]


def test_a_split_csv_of_counts_is_read_back_as_it_was(tmp_path, png):
    table = split_table(counted(skewed(30)), SplitPlan(), 0)
    files = [tmp_path / image for image in table.frame["image"]]
    for file in files:
        shutil.copy(png, file)
    write_split_csv(Table(table.frame, tmp_path, table.classes, "numbers"), tmp_path / "split.csv")
    back = scan(tmp_path / "split.csv")
    assert back.points is None and split_of(back) == split_of(table)
    assert back.frame["counts"].to_list() == table.frame["counts"].to_list()


def test_a_split_csv_of_points_is_read_back_as_it_was(tmp_path, png):
    numbers = [at % 4 for at in range(30)]
    rows = [(f"{at:04d}.png", float(n), 2.5, "cell") for at, number in enumerate(numbers) for n in range(number)]
    schema = {"image": pl.String, "x": pl.Float64, "y": pl.Float64, "kind": pl.String}
    points = pl.DataFrame(rows, schema=schema, orient="row")
    table = split_table(counted(numbers, points=points), SplitPlan(), 0)
    for image in table.frame["image"]:
        shutil.copy(png, tmp_path / image)
    write_split_csv(Table(table.frame, tmp_path, table.classes, "dots", points=points), tmp_path / "split.csv")
    back = scan(tmp_path / "split.csv")
    assert split_of(back) == split_of(table)
    assert back.frame["counts"].to_list() == table.frame["counts"].to_list()
    assert back.points.select(*schema).sort("image", "x").equals(points.sort("image", "x"))


def test_counts_have_no_divided_folder(tmp_path):
    table = split_table(counted(skewed(30)), SplitPlan(), 0)
    with pytest.raises(
        CorpuscleError, match="expects a class for each image, these come with numbers of objects; write"
    ):
        write_split_folder(table, tmp_path / "out", "link")


# --- masks


def parts_of(table):
    return dict(table.frame["split"].value_counts().rows())


def masked(labels):
    """A table of masks whose images have some labels, or none."""
    table = table_of(cells(labels))
    return Table(
        table.frame.with_columns(mask="m/" + pl.col("image")), table.root, ("background", "a"), "images and masks"
    )


def test_images_with_masks_are_divided_without_labels():
    assert parts_of(split_table(masked([None] * 40), SplitPlan(), 0)) == {"train": 28, "val": 6, "test": 6}


def test_labels_of_images_with_masks_balance_the_parts_and_rare_ones_are_no_hindrance():
    divided = split_table(masked(["x"] * 60 + ["y"] * 20 + ["rare", None]), SplitPlan(), 0)
    of_y = divided.with_frame(divided.frame.filter(pl.col("label") == "y"))
    assert parts_of(of_y) == {"train": 14, "val": 3, "test": 3}
    assert sum(parts_of(divided).values()) == 82
    alone = split_table(masked(["rare", "x", "x", "x"]), SplitPlan(), 0)
    assert set(parts_of(alone)) == {"train", "val", "test"}


def test_a_csv_of_a_split_keeps_the_masks_and_a_folder_refuses_them(tmp_path):
    for name in ("i.png", "m.png"):
        (tmp_path / name).write_bytes(b"")
    labelled = masked(["x"])
    frame = labelled.frame.with_columns(image=pl.lit("i.png"), mask=pl.lit("m.png"), split=pl.lit("train"))
    table = Table(frame, tmp_path, labelled.classes, labelled.layout)
    write_split_csv(table, tmp_path / "split.csv")
    assert (tmp_path / "split.csv").read_text() == "image,mask,label,group,split\ni.png,m.png,x,,train\n"
    write_split_csv(table.with_frame(frame.with_columns(label=pl.lit(None, pl.String))), tmp_path / "split.csv")
    assert (tmp_path / "split.csv").read_text() == "image,mask,group,split\ni.png,m.png,,train\n"
    with pytest.raises(
        CorpuscleError, match="a divided folder expects a class for each image, these have masks; write"
    ):
        write_split_folder(table, tmp_path / "out", "copy")
