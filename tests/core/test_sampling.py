from corpuscle.core.cores import num_cores
from corpuscle.core.sampling import evenly


def test_some_are_spread_over_all_without_a_double():
    for count, most in ((5, 5), (5, 9), (10_000, 150), (151, 150), (1, 3)):
        taken = evenly(count, most).tolist()
        assert len(set(taken)) == len(taken) == min(count, most)
        assert taken[0] == 0 and (taken[-1] == count - 1 or most == 1)
    assert evenly(0, 4).tolist() == []


def test_there_is_a_core():
    assert num_cores() >= 1
