"""A head fitted in one go on the features of a frozen encoder: for few labels, or where an answer is wanted at once.

A linear head is a logistic regression, the strength of its penalty chosen by cross-validation within the training part.
A head of neighbours remembers the training part.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import nn

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.seeds import seed_for
from corpuscle.core.stopped import Stopped
from corpuscle.data.loader import Features, Loader, Order
from corpuscle.engine.average import copied
from corpuscle.engine.fit import judged, validate
from corpuscle.engine.joining import joined_features
from corpuscle.engine.log import Epoch, epoch_row, say_row
from corpuscle.nets.head import Neighbours
from corpuscle.nets.zoo import FIXED, NO_ENCODER

if TYPE_CHECKING:
    from corpuscle.data.loader import Images
    from corpuscle.data.table import Table
    from corpuscle.engine.checkpoint import State
    from corpuscle.engine.dataset import Ready
    from corpuscle.engine.device import Machine
    from corpuscle.engine.experiment import Experiment
    from corpuscle.engine.features import Passing
    from corpuscle.engine.schedule import Stage
    from corpuscle.nets.net import Net
    from corpuscle.tasks.task import Task

AT_ONCE = 256
HEADS = ("linear", "neighbours")
FOLDS = 5
GRID_C = tuple(float(f"{10**power:.3g}") for power in np.arange(-5, 1.1, 0.5))  # the larger, the weaker the penalty
FIXED_C = 0.03  # where a class has too few groups to leave one out
WORSE = 2  # strengths in a row that are worse than the best before the search ends
MOST_STEPS = 1000
NEVER = -30.0  # logit of a class that has no training image


def check_probe(experiment: Experiment) -> None:
    """See that what is to be fitted in one go can be.

    Raises:
        CorpuscleError: another task, a head that cannot, epochs, or an encoder that has learned nothing.
    """
    trains, net = [stage.train for stage in experiment.stages], experiment.net
    if net.head == "neighbours" and set(trains) != {"probe"}:
        raise CorpuscleError(
            f"net.head=neighbours remembers images and learns by no steps: it expects stages of probe alone, got "
            f"{', '.join(trains)}; pass --recipe few, or leave net.head at linear"
        )
    if "probe" not in trains:
        return
    if experiment.task != "classify":
        raise CorpuscleError(
            f"a probe tells classes apart: it expects task=classify, got {experiment.task}; pass stages that train all"
        )
    if net.head not in HEADS:
        raise CorpuscleError(
            f"a probe expects net.head={' or '.join(HEADS)}, got {net.head}; pass --set net.head=linear"
        )
    if given := [stage.epochs for stage in experiment.stages if stage.train == "probe" and stage.epochs]:
        raise CorpuscleError(f"a probe is fitted in one go and expects no epochs, got {given[0]}; leave --epochs at 0")
    learned = net.weights != "none" or net.model in (NO_ENCODER, *FIXED)
    if not learned and "all" not in trains[: trains.index("probe")]:
        raise CorpuscleError(
            "a probe expects an encoder that has learned something, got net.weights=none, which is random; pass "
            f"--model {FIXED[0]}, which has nothing to learn, or --weights RUN (an earlier run, say of --recipe "
            "codebook), --weights imagenet, or a file"
        )


def with_memory(data: Ready) -> Ready:
    """The same data, their net with room for every training image where its head remembers them."""
    experiment = data.experiment
    if experiment.net.head != "neighbours":
        return data
    net = experiment.net.model_copy(update={"memory": len(data.places("train"))})
    return replace(data, experiment=experiment.model_copy(update={"net": net}))


def passing_alone(stages: Sequence[Stage], how: Passing) -> Passing | None:
    """How the first process passes images by itself through an encoder that no stage trains; None where one does."""
    if any(stage.train == "all" for stage in stages):
        return None
    return how.alone


@dataclass(frozen=True)
class Probe:
    """What a head is fitted with in one go.

    Attributes:
        net: whose head it is; what is kept of it at the end.
        task: says the scores.
        train: features of the training part, in one view or several.
        val: features of the validation part; None where there is none.
        table: the rows of all images.
        weight_K: how much an image of each class counts; None where all count alike.
        seed: of the folds.
        how: see `Passing`.
    """

    net: Net
    task: Task
    train: Features
    val: Features | None
    table: Table
    weight_K: np.ndarray | None
    seed: int
    how: Passing


def views_of(net: Net, plain: Images, varied: Images, places: np.ndarray, how: Passing, views: int) -> Features:
    """Features of images as they are, and of varied views of them where more than one view is asked for.

    Neighbours are remembered as they are.
    """
    features = joined_features(net, plain, places, how)
    if views == 1 or net.plan.head == "neighbours":
        return features
    more_VNC = joined_features(net, varied, places, how, views - 1).features_VNC
    return replace(features, features_VNC=torch.cat([features.features_VNC, more_VNC]))


def fit_probe(work: Probe, keep: str, state: State) -> None:
    """Fit the head, judge it, and keep it if it is the best so far; one row of the log.

    Args:
        work: see `Probe`.
        keep: whether the weights of the best row or those of the last are kept.
        state: of the training; stands at the stage.

    Raises:
        Stopped: someone asked for it; nothing has changed.
        CorpuscleError: features that are not finite, or images of one class alone.
    """
    began, how, machine = time.perf_counter(), work.how, work.how.machine
    examples = examples_of(work.train, work.table, work.weight_K)
    _check(examples, work.table)
    layer, found = work.net.head[-1], {}
    if isinstance(layer, Neighbours):
        layer.remember(work.train.features_VNC[0], torch.from_numpy(examples.class_N[: len(layer.class_M)]))
        how.progress.say(f"probe: {len(layer.class_M)} images are remembered, the {layer.count} nearest vote")
    elif machine.first:
        assert isinstance(layer, nn.Linear)
        alone = how if machine.world == 1 else replace(how, stopping=lambda: 0)  # the others wait and cannot be told
        fitted = fit_linear(examples, layer.out_features, work.seed, alone, work.net.common_scale)
        layer.load_state_dict({"weight": torch.from_numpy(fitted.weight_KC), "bias": torch.from_numpy(fitted.bias_K)})
        how.progress.say(f"probe: logistic regression with C = {fitted.c:g} ({fitted.why})")
        found = {"C": fitted.c}
    machine.same(work.net.head.state_dict())
    seconds = time.perf_counter() - began
    trained = _train_sums(work) | {"seconds": seconds * machine.world, "wait": 0.0}
    validated = None if work.val is None else validate(work.net.head, _batches(work.val, machine), work.task, machine)
    epoch = Epoch(len(state.history) + 1, state.place.stage + 1, "probe", None, machine.world)
    row = judged(epoch_row(epoch, work.task, trained, validated) | found, work.task, state)
    if row["best"] or keep == "last" or validated is None:
        copied(state.best_weights, work.net.state_dict())
    state.history.append(row)
    say_row(how.progress, row)


def _train_sums(work: Probe) -> dict[str, Any]:
    """The sums of the training part as it is; an image that is remembered has no vote on itself."""
    machine, layer = work.how.machine, work.net.head[-1]
    if isinstance(layer, Neighbours):
        layer.skip = 1
    sums = validate(work.net.head, _batches(work.train, machine), work.task, machine)
    if isinstance(layer, Neighbours):
        layer.skip = 0
    return sums


def _batches(features: Features, machine: Machine) -> Loader:
    """The images of this process."""
    places = np.array(list(features.row_of))
    return Loader(features, Order(places[machine.rank :: machine.world], AT_ONCE))


def _check(examples: Examples, table: Table) -> None:
    """See that a head can be fitted to the examples."""
    there = np.unique(examples.class_N)
    if len(there) < 2:
        names = ", ".join(table.classes[k] for k in there)
        raise CorpuscleError(
            f"a probe expects training images of at least two classes, got {names} alone; see that the split leaves "
            "every class some"
        )
    if not np.isfinite(examples.features_NC).all():
        rows = np.flatnonzero(~np.isfinite(examples.features_NC).all(axis=1))
        raise CorpuscleError(
            f"a probe expects finite features, the encoder gave others for {len(rows)} of {len(examples.class_N)} "
            "views; pass --set device.precision=fp32, or other --weights"
        )


@dataclass(frozen=True)
class Examples:
    """Features of training images, with what is true of them.

    Attributes:
        features_NC: of the images, or of several views of each.
        class_N: class numbers.
        group_N: what must not be divided, such as the views of an image or the images of a patient.
        weight_N: how much each counts.
    """

    features_NC: np.ndarray
    class_N: np.ndarray
    group_N: np.ndarray
    weight_N: np.ndarray

    def at(self, row_M: np.ndarray) -> Examples:
        """Some of them."""
        return Examples(*(values[row_M] for values in vars(self).values()))


@dataclass(frozen=True)
class Fitted:
    """A linear head.

    Attributes:
        weight_KC, bias_K: of features as the encoder gives them.
        c: inverse strength of the penalty, as scikit-learn has it.
        why: where it came from, in words.
    """

    weight_KC: np.ndarray
    bias_K: np.ndarray
    c: float
    why: str


def examples_of(features: Features, table: Table, weight_K: np.ndarray | None = None) -> Examples:
    """The training part with all its views one below the other, each view in the group of its image."""
    places = np.array(list(features.row_of))
    views = len(features.features_VNC)
    class_N = features.targets.batch(places, ()).numpy()
    names = [name for name in ("group", "of", "image") if name in table.frame.columns]
    groups = table.frame.select(pl.coalesce(names))[places].to_series().to_list()
    group_N = np.unique(groups, return_inverse=True)[1]
    weight_N = np.ones(len(places)) if weight_K is None else weight_K[class_N]
    stacked_NC = features.features_VNC.flatten(0, 1).numpy()
    return Examples(stacked_NC, np.tile(class_N, views), np.tile(group_N, views), np.tile(weight_N, views))


def fit_linear(
    examples: Examples,
    num_classes: int,
    seed: int,
    how: Passing,
    shared_scale: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Fitted:
    """A logistic regression on features of mean 0 and deviation 1, these two then folded into its weights.

    The strength of the penalty is the one of a grid whose log loss is least in cross-validation, folds stratified by
    class and divided by group; a fixed one where a class has fewer than two groups.

    Args:
        examples: of at least two classes.
        num_classes: K; a class without an example is never said.
        seed: of the folds.
        how: shows how far it is, and is asked whether to stop.
        shared_scale: from the deviation of each feature to what it is scaled by.

    Raises:
        Stopped: someone asked for it.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(examples.features_NC)
    varies_C = scaler.scale_ == np.sqrt(scaler.var_)  # of what does not vary, the scaler says 1
    spread_C = shared_scale(np.where(varies_C, scaler.scale_, 0.0))
    scaler.scale_ = np.where(spread_C > 0, spread_C, 1.0)
    scaled = replace(examples, features_NC=scaler.transform(examples.features_NC))
    scaled, axes_RC = turned(scaled)
    c, why = choose_strength(scaled, seed, how)
    model = _fitted(_regression(c), scaled)
    coef, intercept = model.coef_.astype(np.float64) @ axes_RC, model.intercept_.astype(np.float64)
    if len(model.classes_) == 2:
        coef, intercept = np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    coef = coef / scaler.scale_
    weight_KC, bias_K = np.zeros((num_classes, coef.shape[1])), np.full(num_classes, NEVER)
    weight_KC[model.classes_], bias_K[model.classes_] = coef, intercept - coef @ scaler.mean_
    return Fitted(weight_KC, bias_K, c, why)


def turned(examples: Examples) -> tuple[Examples, np.ndarray]:
    """The examples in as many numbers as there are examples, where they have more, and axes_RC that lead back.

    The penalty is a length, which no turn changes, and the weights lie in the span of the examples, of all of them
    and of those of a fold: so what is fitted is the same, in a fraction of the time.
    """
    if examples.features_NC.shape[0] >= examples.features_NC.shape[1]:
        return examples, np.eye(examples.features_NC.shape[1])
    left_NR, length_R, axes_RC = np.linalg.svd(examples.features_NC.astype(np.float64), full_matrices=False)
    return replace(examples, features_NC=left_NR * length_R), axes_RC


def choose_strength(examples: Examples, seed: int, how: Passing) -> tuple[float, str]:
    """The inverse strength of the penalty, and why; from strong to weak, until the log loss only rises."""
    folds = _folds(examples, seed)
    if not folds:
        return FIXED_C, "fixed: a class has too few groups for cross-validation"
    models = [_regression(GRID_C[0]) for _ in folds]
    losses: list[float] = []
    for c in how.progress.track(GRID_C, "strength of the penalty", len(GRID_C)):
        loss = 0.0
        for model, (learn_M, left_M) in zip(models, folds, strict=True):
            if signal := how.stopping():
                raise Stopped(signal)
            fitted = _fitted(model.set_params(C=c), examples.at(learn_M))
            loss += _log_loss(fitted, examples.at(left_M)) / len(folds)
        losses.append(loss)
        if len(losses) - 1 - int(np.argmin(losses)) >= WORSE:
            break
    best = int(np.argmin(losses))
    return GRID_C[best], f"of {len(folds)} folds, log loss {losses[best]:.3f}"


def _folds(examples: Examples, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows that are learned from and rows that are left out, each time with every class among the first."""
    from sklearn.model_selection import StratifiedGroupKFold

    pairs = np.unique(np.column_stack([examples.class_N, examples.group_N]), axis=0)
    count = min(FOLDS, np.unique(pairs[:, 0], return_counts=True)[1].min())
    if count < 2:
        return []
    seed_32 = seed_for(seed, "folds of the probe") % 2**32
    divider = StratifiedGroupKFold(count, shuffle=True, random_state=seed_32)
    folds = list(divider.split(examples.features_NC, examples.class_N, examples.group_N))
    classes = len(np.unique(examples.class_N))
    return [(learn, left) for learn, left in folds if len(left) and len(np.unique(examples.class_N[learn])) == classes]


def _regression(c: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, max_iter=MOST_STEPS, warm_start=True)


def _fitted(model: Any, examples: Examples) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # weak penalties need not end, and are then not chosen
        return model.fit(examples.features_NC, examples.class_N, examples.weight_N)


def _log_loss(model: Any, left_out: Examples) -> float:
    log_NK = model.predict_log_proba(left_out.features_NC)
    column_N = np.searchsorted(model.classes_, left_out.class_N)
    return float(np.average(-log_NK[np.arange(len(column_N)), column_N], weights=left_out.weight_N))
