"""Work in threads: in order, never far ahead, and alone with the processors."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from corpuscle.core.threads import in_threads, one_thread_each


def test_results_come_in_order():
    assert list(in_threads(lambda number: number**2, range(50))) == [number**2 for number in range(50)]


def test_it_is_never_far_ahead():
    taken = []
    results = in_threads(lambda number: number, (taken.append(number) or number for number in range(10_000)))
    assert next(results) == 0
    assert len(taken) < 100
    results.close()


def test_what_fails_is_raised_in_its_turn():
    results = in_threads(lambda number: 1 // number, [1, 1, 0, 1])
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_linear_algebra_takes_one_thread_and_then_as_many_as_before():
    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    np.ones((2, 2)) @ np.ones((2, 2))
    before = threads()
    with one_thread_each():
        assert set(threads()) == {1}
    assert before and threads() == before
