"""The examples in the docstrings give what they say."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "corpuscle"
SLOW_TO_IMPORT = {"torch", "torchvision", "timm", "accelerate"}


def trees():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def imported_at_the_top(tree):
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def needs_torch(name, tops, seen=()):
    """Whether importing a module imports torch, through whatever modules of the package."""
    return any(
        top.split(".")[0] in SLOW_TO_IMPORT
        or (top in tops and top not in seen and needs_torch(top, tops, (*seen, name)))
        for top in tops[name]
    )


def examples():
    parsed = dict(trees())
    tops = {name: set(imported_at_the_top(tree)) for name, tree in parsed.items()}
    for name, tree in parsed.items():
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docs = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, documented)]
        if any(">>>" in doc for doc in docs):
            yield pytest.param(name, marks=pytest.mark.slow if needs_torch(name, tops) else ())


@pytest.mark.parametrize("name", list(examples()))
def test_the_examples_of_a_module_hold(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted and not result.failed
