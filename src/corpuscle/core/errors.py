"""Errors are written for the person who reads them: expected, what came, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class CorpuscleError(Exception):
    """One clear line for the user; the command line prints it and exits with code 2."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with the data: where (path or row), what came, and the remedy."""

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"


class DataFault(CorpuscleError):
    """All faults of a data set at once."""

    SHOWN = 20

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        lines = [str(fault) for fault in self.faults[: self.SHOWN]]
        if len(self.faults) > self.SHOWN:
            lines.append(f"and {len(self.faults) - self.SHOWN} more faults")
        super().__init__("\n".join(lines))


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error message: the known names most like a word, or all of them.

    >>> nearest("resnet81", ["resnet18", "vit"])
    'Did you mean resnet18?'
    """
    known = list(dict.fromkeys(known))
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    alike = [difflib.SequenceMatcher(None, word, name).ratio() for name in close]
    close = [name for name, ratio in zip(close, alike, strict=True) if ratio > alike[0] - 0.15]
    if close:
        return f"Did you mean {' or '.join(close)}?"
    shown = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
    return f"Known: {shown}"
