"""From slides with annotations to a judged net and the tiles of a new slide."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from corpuscle import api
from corpuscle.core.errors import DataFault
from corpuscle.engine.train import Call, train
from corpuscle.recipes import compose
from corpuscle.synth.tiff import pyramid_of, write_pyramid, write_tiled

pytestmark = pytest.mark.slow
SETTINGS = {
    "data.slides.tile": 32,
    "data.slides.mpp": 1.0,
    "data.slides.most": 12,
    "prepare.size": 32,
    "net.weights": "none",
    "epochs": [2],
    "fit.batch_size": 16,
    "score.resamples": 100,
    "score.views": 1,
    "device.name": "cpu",
    "device.workers": 0,
}


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Eight slides of 512 x 512 pixels of half a micron, pink on the left and dark, annotated, on the right."""
    folder = tmp_path_factory.mktemp("slides") / "slides"
    folder.mkdir()
    ring = [[256, 0], [512, 0], [512, 512], [256, 512], [256, 0]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    feature = {"geometry": geometry, "properties": {"classification": {"name": "Tumor"}}}
    for number in range(8):
        array_HWC = np.full((512, 512, 3), (205, 130, 180), np.int16)
        array_HWC[:, 256:] = (90, 40, 130)
        array_HWC += np.random.default_rng(number).integers(-20, 21, array_HWC.shape)
        levels = pyramid_of(array_HWC.clip(0, 255).astype(np.uint8), 3, 128)
        write_pyramid(folder / f"s{number}.tiff", *levels, 128, quality=90, mpp=0.5)
        (folder / f"s{number}.geojson").write_text(json.dumps({"features": [feature]}))
    (folder / "broken.svs").write_text("no slide")
    return folder


@pytest.fixture(scope="module")
def run(slides, tmp_path_factory):
    """A finished run of the recipe camelyon whose page is not drawn: that takes longer than all else."""
    experiment, origins = compose("camelyon", None, SETTINGS)
    return api.Run(train(slides, experiment, tmp_path_factory.mktemp("runs") / "run", Call(origins)))


def test_slides_train_a_net_that_stays_apart_by_slide(run):
    samples = pl.read_csv(run.folder / "samples.csv")
    assert samples.group_by("group").agg(pl.col("split").n_unique())["split"].to_list() == [1] * 8
    assert len(samples) == 8 * 12 and samples["label"].value_counts()["count"].to_list() == [48, 48]
    assert (samples["height"] == 32).all() and samples["fault"].is_null().all()
    notes = json.loads((run.folder / "fingerprint.json").read_text())["notes"]
    assert any(note.startswith("left out: ") and "broken.svs (is no slide" in note for note in notes)


def test_a_new_slide_is_predicted_tile_by_tile_as_the_run_was_trained(run, slides):
    predicted = api.predict(run, [slides / "broken.svs", slides / "s0.tiff"])
    tiles, bad = predicted.table[:-1], predicted.table.row(-1, named=True)
    assert len(tiles) == 12 and tiles["fault"].is_null().all()
    assert tiles["image"].str.contains(r"s0\.tiff#\d{6},\d{6},64@32$").all()
    assert bad["image"] == str(slides / "broken.svs") and bad["fault"].startswith("is no slide that OpenSlide")
    assert bad["prediction"] is None and [fault.where for fault in predicted.faults] == [bad["image"]]
    assert len(predicted.said_NK) == len(predicted.seen) == 13 and np.isnan(predicted.said_NK[-1]).all()
    more = api.predict(run, slides / "s0.tiff", settings={"data.slides.most": 0}).table
    assert len(more) == 64
    with pytest.raises(DataFault, match=r"broken\.svs: is no slide"):
        api.predict(run, slides / "broken.svs")


def test_a_tiled_tiff_of_one_size_is_predicted_tile_by_tile(run, tmp_path):
    pictures = [np.full((512, 512, 3), (205, 130, 180), np.uint8)]
    write_tiled(tmp_path / "flat.tif", (512, 512), pictures, 128, mpp=0.5)
    table = api.predict(run, tmp_path / "flat.tif").table
    assert len(table) == 12 and table["image"].str.contains(r"flat\.tif#\d{6},\d{6},64@32$").all()


def test_other_slides_are_judged_as_the_run_was_trained(run, slides, tmp_path):
    judged = api.evaluate(run, slides, out=tmp_path / "judged")
    assert judged.predictions["image"].str.contains("64@32").all() and len(judged.predictions) == 96
