"""Floor 5: ready experiments, by name. A recipe holds choices and no logic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.settings import flatten, origin_of, read_toml, resolve
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.schedule import Stage
from corpuscle.recipes.camelyon import camelyon
from corpuscle.recipes.codebook import codebook
from corpuscle.recipes.contrast import contrast
from corpuscle.recipes.count import count
from corpuscle.recipes.default import default
from corpuscle.recipes.few import few
from corpuscle.recipes.fundus import fundus
from corpuscle.recipes.leukemia import leukemia
from corpuscle.recipes.localise import localise
from corpuscle.recipes.lysto import lysto
from corpuscle.recipes.prcc import prcc
from corpuscle.recipes.segment import segment
from corpuscle.recipes.smear import smear
from corpuscle.recipes.wbc import wbc

PER_STAGE = ("epochs", "learning_rate")
RECIPES = {
    "camelyon": camelyon,
    "codebook": codebook,
    "contrast": contrast,
    "count": count,
    "default": default,
    "few": few,
    "fundus": fundus,
    "leukemia": leukemia,
    "localise": localise,
    "lysto": lysto,
    "prcc": prcc,
    "segment": segment,
    "smear": smear,
    "wbc": wbc,
}


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
    plain, experiment = _flat(Experiment()), RECIPES[recipe]()
    chosen = _flat(experiment)
    origins = {key: "default" if plain.get(key) == value else f"recipe {recipe}" for key, value in chosen.items()}
    flags = dict(flags or {})
    per_stage = {name: flags.pop(name) for name in PER_STAGE if name in flags}
    if file is not None:
        experiment, origins = _laid_over(experiment, origins, f"file {file}", read_toml(file))
    experiment, origins = _laid_over(experiment, origins, "flag", flags)
    return _laid_over(experiment, origins, "flag", _per_stage(per_stage, experiment.stages))


def _laid_over(
    experiment: Experiment, origins: Mapping[str, str], layer: str, values: Mapping[str, Any]
) -> tuple[Experiment, dict[str, str]]:
    """The experiment with some values changed, and where each value then comes from.

    A layer may bring stages of its own, and leave out what is the default of a stage.
    """
    experiment, came = resolve(experiment, {layer: values}, base_name="")
    return experiment, {key: origin_of(key, came) or origins.get(key, "default") for key in _flat(experiment)}


def _per_stage(values_of: Mapping[str, Any], stages: Sequence[Stage]) -> dict[str, Any]:
    """Turn one value a stage into a value for each stage's own key."""
    flags: dict[str, Any] = {}
    for name, given in values_of.items():
        values = given if isinstance(given, list | tuple) else [given]
        if len(values) != len(stages):
            trained = ", ".join(f"{place + 1}: {stage.train}" for place, stage in enumerate(stages))
            example = ",".join(str(getattr(stage, name) or 40) for stage in stages)
            raise CorpuscleError(
                f"{name} expects a value for each stage ({trained}), got {len(values)}; for example {example}"
            )
        flags |= {f"stages.{place}.{name}": value for place, value in enumerate(values)}
    return flags


def _flat(experiment: Experiment) -> dict[str, Any]:
    return dict(flatten(experiment.model_dump(mode="json")))
