"""Floor 5: ready experiments, by name. A recipe holds choices and no logic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.settings import read_toml, resolve
from corpuscle.engine.experiment import Experiment
from corpuscle.recipes.default import default
from corpuscle.recipes.fundus import fundus
from corpuscle.recipes.leukemia import leukemia

RECIPES = {"default": default, "fundus": fundus, "leukemia": leukemia}


def compose(
    recipe: str, file: Path | None = None, flags: Mapping[str, Any] | None = None
) -> tuple[Experiment, dict[str, str]]:
    """An experiment from a recipe, a settings file and flags; flag over file over recipe over default.

    Args:
        recipe: a name in `RECIPES`.
        file: TOML with settings, such as the experiment.toml of another run.
        flags: values by dotted key; for the stages, `epochs` and `learning_rate` hold one value a stage.

    Returns:
        The experiment, and for each dotted key where its value came from.

    Raises:
        CorpuscleError: unknown recipe or setting, or a value out of range.
    """
    if recipe not in RECIPES:
        raise CorpuscleError(f"'{recipe}' is not a recipe. {nearest(recipe, RECIPES)}")
    base, plain = RECIPES[recipe](), Experiment()
    _, origins = resolve(plain, {})
    start, same = _flat(base), _flat(plain)
    origins = {key: "default" if same.get(key) == value else f"recipe {recipe}" for key, value in start.items()}
    layers: dict[str, Mapping[str, Any]] = {}
    if file is not None:
        layers[f"file {file}"] = read_toml(file)
    layers["flag"] = _per_stage(dict(flags or {}), base)
    experiment, came = resolve(base, layers)
    return experiment, {key: origins.get(key, layer) if layer == "default" else layer for key, layer in came.items()}


def _per_stage(flags: dict[str, Any], base: Experiment) -> dict[str, Any]:
    """Turn one value a stage into a value for each stage's own key."""
    for name in ("epochs", "learning_rate"):
        values = flags.pop(name, None)
        if values is None:
            continue
        if len(values) != len(base.stages):
            trained = ", ".join(f"{place + 1}: {stage.train}" for place, stage in enumerate(base.stages))
            example = ",".join(str(getattr(stage, name)) for stage in base.stages)
            raise CorpuscleError(
                f"expected {len(base.stages)} values of {name}, one a stage ({trained}), got {len(values)}; "
                f"for example {example}"
            )
        flags |= {f"stages.{place}.{name}": value for place, value in enumerate(values)}
    return flags


def _flat(experiment: Experiment) -> dict[str, Any]:
    from corpuscle.core.settings import flatten

    return dict(flatten(experiment.model_dump(mode="json")))
