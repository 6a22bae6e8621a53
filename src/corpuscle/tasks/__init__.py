"""Floor 2: what a task says, and nothing else in the code asks which task it is."""

from __future__ import annotations

from corpuscle.tasks.classify import Classify

TASKS = {"classify": Classify}
