"""The verb `explain`."""

from __future__ import annotations

import pytest

from corpuscle import api
from corpuscle.core.errors import CorpuscleError


@pytest.fixture(scope="module")
def run(tmp_path_factory, cells):
    """A localiser of one epoch."""
    tiny = {"prepare.size": 32, "fit.batch_size": 8, "score.resamples": 100, "device.name": "cpu"}
    folder = tmp_path_factory.mktemp("runs") / "localiser"
    api.train(cells, out=folder, settings=tiny | {"net.model": "localiser", "net.pool": "max", "epochs": [1]})
    return folder


def test_explain_says_what_it_wrote_and_whether_it_can_be_believed(corpuscle, run, cells, tmp_path):
    done = corpuscle("explain", run, cells / "monocyte", "--out", "seen", "--class", "monocyte", "--device", "cpu")
    assert done.code == 0, done.err
    first, second = done.out.splitlines()
    assert first == "12 images explained: seen"
    assert second.startswith("rank correlation with the maps of random nets: ")
    assert len(list((tmp_path / "seen").glob("*_over.png"))) == 12 and (tmp_path / "seen" / "animation.gif").is_file()


def test_explain_names_what_it_passes_over_and_fails_only_if_nothing_is_left(corpuscle, run, cells, tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    some = corpuscle("explain", run, min(cells.rglob("*.png")), "bad.png", "--animation", "none")
    assert some.code == 0 and "passed over: bad.png: is a text file" in some.err
    none = corpuscle("explain", run, "bad.png", "--out", "none")
    assert none.code == 2 and none.out == "0 images explained: none\n"


def test_explain_without_images_takes_those_that_were_held_out(corpuscle, run):
    done = corpuscle("explain", run, "--animation", "none")
    held = len(api.Run(run).predictions)
    assert done.code == 0 and done.out.startswith(f"{held} images explained: explained\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--class", "monocite"], "got 'monocite'. Did you mean monocyte?"),
        (["--masks", "beside"], "beside the images there is none that fits one of the "),
        (["--threshold", "1.5"], "threshold should be less than 1, got 1.5"),
        (["--set", "fit.epochs=2"], "fit.epochs is not a setting"),
    ],
)
def test_explain_refuses_what_does_not_fit_in_one_line(corpuscle, run, words, text):
    done = corpuscle("explain", run, *words)
    assert done.code == 2 and text in done.err and done.err.count("\n") == 1


def test_explaining_from_python_takes_the_same_choices(run, cells, tmp_path):
    how = {"method": "gradcam", "animation": "none"}
    explained = api.explain(run, [min(cells.rglob("*.png"))], out=tmp_path / "out", how=how)
    assert explained.check is not None and explained.check["method"] == "gradcam"
    with pytest.raises(CorpuscleError, match="methods is not a setting"):
        api.explain(run, out=tmp_path / "out", how={"methods": "cam"})
