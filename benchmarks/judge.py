"""Two sides judged on the same test images: the scores of each, and the paired interval of their difference."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from corpuscle.core.records import Score
from corpuscle.metrics.classification import score
from corpuscle.metrics.compare import paired_difference

NAMES = ("accuracy", "balanced_accuracy")


def judge(run: Path, plain_csv: Path, seed: int) -> dict[str, dict[str, Score]]:
    """Score both sides on the test part of our run; ours less plain is drawn on the same resampled groups.

    Args:
        run: our finished run folder.
        plain_csv: what plain.py wrote with --predictions.
        seed: of the resamples.

    Returns:
        For each of `plain`, `ours` and `ours less plain` the scores by name.

    Raises:
        SystemExit: the two did not judge the same images.
    """
    ours = pl.read_csv(run / "predictions.csv", infer_schema_length=None, schema_overrides={"group": pl.String})
    ours = ours.filter(pl.col("split") == "test")
    both = ours.join(pl.read_csv(plain_csv), on="image", suffix=" of plain", maintain_order="left")
    if not len(both) == len(ours) == len(pl.read_csv(plain_csv)):
        raise SystemExit(f"expected the same test images of both sides, got {len(both)} in common of {len(ours)}")
    classes = [name.removeprefix("p_") for name in ours.columns if name.startswith("p_")]
    target_N = both["label"].replace_strict(classes, range(len(classes)), return_dtype=pl.Int64).to_numpy()
    group_N = None if both["group"].is_null().all() else both["group"].to_list()
    ours_NK = both.select(f"p_{name}" for name in classes).to_numpy()
    plain_NK = both.select(f"p_{name} of plain" for name in classes).to_numpy()
    scored = {}
    for side, probs_NK in {"plain": plain_NK, "ours": ours_NK}.items():
        found = score(probs_NK, target_N, group_N, classes=classes, seed=seed).scores
        scored[side] = {name: found[name] for name in NAMES}
    less = {name: paired_difference(name, ours_NK, plain_NK, target_N, group_N, seed) for name in NAMES}
    return scored | {"ours less plain": less}


def verdict(difference: Score) -> str:
    """What the paired interval of ours less plain says."""
    if difference.high < 0:
        return "ours is worse"
    return "ours is better" if difference.low > 0 else "no difference can be told"
