"""Randomness as a function of (seed, purpose, place): nothing is stored, so nothing is lost on resume."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_for(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that depends on the seed and on what it is for, the same on every machine.

    >>> seed_for(0, "augment", 3, 17) == seed_for(0, "augment", 3, 17)
    True
    """
    words = "\x1f".join([str(seed), *map(str, purpose)]).encode()
    return int.from_bytes(hashlib.blake2b(words, digest_size=8).digest(), "little") >> 1


def generator_for(seed: int, *purpose: str | int) -> np.random.Generator:
    """A numpy generator for one purpose; see `seed_for`."""
    return np.random.Generator(np.random.PCG64(seed_for(seed, *purpose)))
