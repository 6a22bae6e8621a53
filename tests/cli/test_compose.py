"""What `corpuscle compose` takes apart by itself."""

import pytest

from corpuscle.cli.compose import numbers_of
from corpuscle.core.errors import CorpuscleError


def test_scenes_are_three_numbers():
    assert numbers_of("65350, 6560,0") == [65350, 6560, 0]


@pytest.mark.parametrize("text", ["5", "1,2", "1,2,x", "1,2,3,4"])
def test_other_words_are_refused(text):
    with pytest.raises(CorpuscleError, match=f"three whole numbers, of train, val and test, got '{text}'"):
        numbers_of(text)
