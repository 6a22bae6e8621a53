"""Scores in words and in JSON."""

from __future__ import annotations

import json

from corpuscle.core.records import Score


def test_a_score_tells_its_interval_and_null_stands_for_what_is_not_defined():
    score = Score(0.5, 0.25, float("nan"), n=8, groups=3, direction="max")
    assert str(Score(0.5, 0.25, 0.75, 8, 3, "max")) == "0.5000 (0.2500 to 0.7500)"
    assert json.loads(json.dumps(score.as_dict(), allow_nan=False)) == {
        **{"value": 0.5, "low": 0.25, "high": None},
        **{"n": 8, "groups": 3, "direction": "max"},
    }
