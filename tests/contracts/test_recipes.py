"""What every recipe in RECIPES promises."""

from __future__ import annotations

import json
import shutil
import tomllib

import cv2
import numpy as np
import pytest
import tomli_w
from safetensors.torch import save_file

from corpuscle.core.settings import flatten
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.run_folder import plain_settings
from corpuscle.engine.train import Call, train
from corpuscle.nets.card import load
from corpuscle.nets.zoo import MAPPERS, NetPlan, build, check_plan
from corpuscle.recipes import RECIPES, compose
from corpuscle.synth.folder import write_cells

every_recipe = pytest.mark.parametrize("name", RECIPES)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Drawn cells that every recipe can train on."""
    folder = tmp_path_factory.mktemp("recipes") / "cells"
    write_cells(folder, 10, 32, 0)
    return folder


@pytest.fixture(scope="module")
def dots(tmp_path_factory):
    """Twenty pictures of two sizes with up to five bright squares, and where these lie."""
    folder, rng = tmp_path_factory.mktemp("dots"), np.random.default_rng(0)
    rows = ["image,x,y"]
    for number in range(20):
        picture = rng.integers(0, 60, (40, 56 - 8 * (number % 2), 3), np.uint8)
        for spot in range(number % 6):
            x, y = 6 + 8 * spot, int(rng.integers(5, 35))
            picture[y - 2 : y + 3, x - 2 : x + 3] = 250
            rows.append(f"{number:02d}.png,{x},{y}")
        if not number % 6:
            rows.append(f"{number:02d}.png,,")
        cv2.imwrite(str(folder / f"{number:02d}.png"), picture)
    (folder / "dots.csv").write_text("\n".join(rows))
    return folder / "dots.csv"


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Twenty pictures with a bright square each, and a mask of it."""
    folder, rng = tmp_path_factory.mktemp("masks"), np.random.default_rng(0)
    for number in range(20):
        picture, mask = rng.integers(0, 60, (40, 40, 3), np.uint8), np.zeros((40, 40), np.uint8)
        top, left = rng.integers(2, 28, 2)
        picture[top : top + 10, left : left + 10] = 250
        mask[top : top + 10, left : left + 10] = 255
        for kind, array in (("images", picture), ("masks", mask)):
            (folder / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / kind / f"{number:02d}.png"), array)
    return folder


@pytest.fixture(scope="module")
def masked_cells(cells):
    """The drawn cells with a mask beside each."""
    folder = cells.with_name("masked")
    shutil.copytree(cells, folder)
    mask = cv2.circle(np.zeros((32, 32), np.uint8), (16, 16), 10, 255, -1)
    for path in sorted(folder.glob("*/*")):
        cv2.imwrite(str(path.with_name(f"{path.stem}_mask.png")), mask)
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """Weights for recipes that want an encoder that has learned something."""
    path = tmp_path_factory.mktemp("weights") / "encoder.safetensors"
    save_file(build(NetPlan(model="timm/test_resnet"), 2, 32).encoder.state_dict(), path)
    return path


@every_recipe
def test_it_says_what_it_is_for(name):
    assert RECIPES[name].__doc__
    assert RECIPES[name].__name__ == name


@every_recipe
def test_it_composes_into_an_experiment_whose_net_is_known(name):
    experiment, origins = compose(name)
    assert experiment == RECIPES[name]()
    assert origins.keys() == dict(flatten(experiment.model_dump(mode="json"))).keys()
    check_plan(experiment.net)


@every_recipe
def test_it_differs_from_the_default_only_where_it_says_so(name):
    experiment, origins = compose(name)
    plain = dict(flatten(Experiment().model_dump(mode="json")))
    for key, value in flatten(experiment.model_dump(mode="json")):
        expected = "default" if plain.get(key, ...) == value else f"recipe {name}"
        assert origins[key] == expected, key


@every_recipe
def test_its_experiment_survives_toml(name):
    experiment, _ = compose(name)
    assert Experiment.model_validate(tomllib.loads(tomli_w.dumps(plain_settings(experiment)))) == experiment


@every_recipe
def test_it_trains_on_drawn_cells(name, cells, masked_cells, dots, masks, encoder, tmp_path):
    recipe = RECIPES[name]()
    probes = [stage.train == "probe" for stage in recipe.stages]
    stages, maps, at_once = recipe.stages, recipe.net.model in MAPPERS, recipe.net.model == "codebook"
    flags = {
        **({"net.widths": (4, 6)} if maps else {"net.words": 8} if at_once else {"net.model": "timm/test_resnet"}),
        "net.weights": str(encoder) if any(probes) else "none",
        "prepare.size": 32,
        "data.group_from": None,
        "epochs": [0 if probe or at_once else 1 for probe in probes],
        "score.resamples": 100,
        "device.name": "cpu",
    }
    experiment, origins = compose(name, flags=flags)
    plain = masked_cells if experiment.steps.apply_mask else cells
    data = {"classify": plain, "count": dots, "segment": masks}.get(experiment.task, cells)
    run = train(data, experiment, tmp_path / "run", Call(origins))
    metrics = json.loads((run / "metrics.json").read_text())
    assert (metrics["task"], set(metrics["parts"])) == (experiment.task, {"val", "test"})
    counts = maps and experiment.task == "count"
    assert (run / "points.csv").is_file() == (run / "heatmaps" / "index.json").is_file() == counts
    assert (run / "examples" / "index.json").is_file() == (experiment.task in ("reconstruct", "segment"))
    assert len(list((run / "improved").glob("epoch-*"))) == min(1, experiment.fit.keep_improved)
    rows = (run / "log.csv").read_text().splitlines()
    assert [row.split(",")[2] for row in rows[1:]] == [stage.train for stage in stages]
    assert all(value.isfinite().all() for value in load(run).net.state_dict().values())
