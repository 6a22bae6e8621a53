"""Randomness as a function of its purpose."""

from __future__ import annotations

import itertools
import subprocess
import sys

from corpuscle.core.seeds import generator_for, seed_for


def test_a_seed_is_the_same_on_every_machine_and_in_every_process():
    assert seed_for(0, "augment", 3, 17) == 4278187624774134010
    code = "from corpuscle.core.seeds import seed_for; print(seed_for(0, 'augment', 3, 17))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == str(
        seed_for(0, "augment", 3, 17)
    )


def test_no_two_purposes_share_a_seed():
    purposes = [("augment", 1, 23), ("augment", 12, 3), ("augment1", 23), ("augment", "1", "23", ""), ("order", 1, 23)]
    seeds = [seed_for(seed, *purpose) for seed in (0, 1) for purpose in purposes]
    assert len(set(seeds)) == len(seeds)
    assert len({seed_for(0, "augment", e, i) for e, i in itertools.product(range(50), range(50))}) == 2500


def test_a_seed_fits_wherever_seeds_go():
    assert all(0 <= seed_for(seed, "x") < 2**63 for seed in range(1000))


def test_draws_are_even():
    draws = [generator_for(0, "even", number).random() for number in range(4000)]
    assert abs(sum(draws) / 4000 - 0.5) < 0.02  # more than four standard errors
