"""What is derived from the data and the machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.fingerprint import Normalisation
from corpuscle.data.loader import Order
from corpuscle.engine.device import DevicePlan, choose_machine
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.plan import balanced_weights, choose_epochs, choose_shrink, choose_size, choose_validation, derive
from corpuscle.engine.schedule import FitPlan

MEASURED = Normalisation((0.5,) * 3, (0.2,) * 3)
PUBLISHED = Normalisation((0.4,) * 3, (0.1,) * 3)
WHY = {"size": "as set", "epochs": "as set", "crop": "as set"}


@pytest.fixture
def machine():
    return choose_machine(DevicePlan(name="cpu"))


def fitted(**values):
    return Experiment(fit=FitPlan(**values))


def test_class_weights_are_those_of_scikit_learn():
    target_N = np.array([0] * 70 + [1] * 20 + [2] * 10)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=target_N)
    assert balanced_weights(np.bincount(target_N)) == pytest.approx(expected)
    assert balanced_weights(np.bincount(target_N))[target_N].mean() == pytest.approx(1)


def test_balanced_sampling_draws_every_class_alike():
    target_N = np.array([0] * 700 + [1] * 200 + [2] * 100)
    order = Order(np.arange(1000), 10, seed=0, weight_N=balanced_weights(np.bincount(target_N))[target_N])
    drawn = np.concatenate([place_N for epoch in range(20) for place_N in order.batches(epoch)])
    assert len(drawn) == 20_000
    assert np.bincount(target_N[drawn]) / len(drawn) == pytest.approx([1 / 3] * 3, abs=0.02)


def test_weights_only_where_they_are_asked_for(machine):
    held_K = np.array([30, 10])
    plain = derive(fitted(), WHY, machine, 40, held_K, MEASURED, None)
    assert plain.weight_K is None and plain.reasons["class weights"]["why"] == "as set: every image counts alike"
    for balance, how in (("weights", "in the loss"), ("sampling", "by how often it is drawn")):
        derived = derive(fitted(balance=balance), WHY, machine, 40, held_K, MEASURED, None)
        assert derived.weight_K == pytest.approx([2 / 3, 2])
        assert derived.reasons["class weights"]["why"].endswith(how)


def test_the_normalisation_is_the_one_the_weights_were_trained_with_else_measured(machine):
    assert derive(fitted(), WHY, machine, 40, np.arange(40), MEASURED, None).normalisation == MEASURED
    assert derive(fitted(), WHY, machine, 40, np.arange(40), MEASURED, PUBLISHED).normalisation == PUBLISHED


def test_a_batch_is_no_larger_than_the_training_part(machine):
    assert derive(fitted(batch_size=64), WHY, machine, 40, np.arange(40), MEASURED, None).batch_size == 40
    assert derive(fitted(batch_size=8), WHY, machine, 40, np.arange(40), MEASURED, None).batch_size == 8


def test_each_process_needs_two_images_a_step(machine):
    with pytest.raises(CorpuscleError, match=r"4 processes expect at least 8 images a step, got 7 \(as set\); start"):
        derive(fitted(batch_size=7), WHY, replace(machine, world=4), 40, np.arange(40), MEASURED, None)


@pytest.mark.parametrize("median", [0, 20, 70, 360, 4000])
def test_a_size_is_chosen_within_its_bounds_and_no_larger_than_the_images(median):
    size, why = choose_size(median)
    assert size % 32 == 0 and 64 <= size <= 128
    assert size <= max(median, 64)
    assert str(median) in why


def test_a_small_set_gets_more_epochs():
    few, many = choose_epochs(100)[0], choose_epochs(100_000)[0]
    assert few > many >= 1


def test_the_images_asked_for_are_seen():
    assert [choose_epochs(number, 20_000)[0] for number in (13, 630, 1261, 90_000)] == [100, 32, 16, 1]
    assert choose_epochs(630, 20_000)[1].startswith("630 training images; to see 20000, as asked for")


def test_no_more_images_are_validated_than_have_learned():
    assert [choose_validation(number, 270) for number in (13, 126, 270, 1261)] == [21, 3, 1, 1]


@pytest.mark.parametrize(("apart", "shrink"), [(None, 1), (3, 1), (19.9, 1), (20, 2), (45, 4), (80, 8), (900, 8)])
def test_pictures_shrink_as_far_as_ten_pixels_remain_between_neighbours(apart, shrink):
    assert choose_shrink(apart)[0] == shrink


def test_a_task_without_classes_is_not_balanced(machine):
    plain = derive(fitted(), WHY, machine, 40, None, MEASURED, None)
    assert plain.weight_K is None and plain.reasons["class weights"]["value"] is None
    with pytest.raises(CorpuscleError, match=r"fit\.balance=weights expects classes, this task has none; leave it at"):
        derive(fitted(balance="weights"), WHY, machine, 40, None, MEASURED, None)
