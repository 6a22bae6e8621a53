"""What the rules look at: every module of the package, parsed but never imported."""

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "corpuscle"
BLOCKS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Module:
    """A module of the package; `name` is dotted, `place` is the path from the root of the repository."""

    name: str
    place: str
    path: Path
    tree: ast.Module

    def blocks(self):
        """(node, name as in `Class.method`, whether it is inside a function) of each function and class."""

        def below(node, prefix, nested):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, BLOCKS):
                    name = f"{prefix}{child.name}"
                    yield child, name, nested
                    yield from below(child, f"{name}.", nested or not isinstance(child, ast.ClassDef))
                else:
                    yield from below(child, prefix, nested)

        yield from below(self.tree, "", False)


@pytest.fixture(scope="session")
def modules():
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found.append(Module(name, path.relative_to(ROOT).as_posix(), path, tree))
    return found


@pytest.fixture(scope="session")
def descendants(modules):
    """A function from the names of some classes to the names of them and all classes of the package built on them."""
    parents = {}
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                parents[node.name] = {base.id for base in node.bases if isinstance(base, ast.Name)}

    def of(*names):
        known, size = set(names), 0
        while len(known) > size:
            size = len(known)
            known |= {name for name, bases in parents.items() if bases & known}
        return known

    return of
