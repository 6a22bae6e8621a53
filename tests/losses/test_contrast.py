"""NT-Xent against its definition, written out pair by pair."""

import math

import numpy as np
import torch

from corpuscle.losses.contrast import cosines, nt_xent, others


def by_definition(projected_NC: np.ndarray, temperature: float) -> list[float]:
    count = len(projected_NC)

    def likeness(i: int, j: int) -> float:
        a, b = projected_NC[i], projected_NC[j]
        return math.exp(a @ b / np.linalg.norm(a) / np.linalg.norm(b) / temperature)

    return [
        -math.log(likeness(i, (i + count // 2) % count) / sum(likeness(i, j) for j in range(count) if j != i))
        for i in range(count)
    ]


def test_it_is_the_loss_of_the_paper_view_by_view():
    projected = np.random.default_rng(0).normal(size=(8, 5))
    for temperature in (0.1, 0.5):
        found = nt_xent(torch.from_numpy(projected), temperature)
        np.testing.assert_allclose(found, by_definition(projected, temperature), rtol=1e-5)


def test_it_is_low_where_views_agree_and_that_of_a_guess_where_all_are_alike():
    apart = torch.eye(4).repeat(2, 1)
    assert nt_xent(apart, 0.1).max() < 1e-3
    torch.testing.assert_close(nt_xent(torch.ones(8, 3), 0.1), torch.full((8,), math.log(7)))


def test_the_length_of_a_projection_does_not_matter():
    torch.manual_seed(0)
    projected = torch.randn(6, 4)
    torch.testing.assert_close(nt_xent(9 * projected, 0.2), nt_xent(projected, 0.2))


def test_no_view_is_its_own_neighbour_and_each_has_one_other():
    assert cosines(torch.randn(6, 4)).diagonal().isneginf().all()
    assert others(torch.zeros(6, 4)).tolist() == [3, 4, 5, 0, 1, 2]
