"""Imports go down only, and rooms on one floor never meet."""

import ast

FLOORS = {
    "core": 0,
    "data": 1,
    "synth": 1,
    "nets": 1,
    "losses": 1,
    "metrics": 1,
    "tasks": 2,
    "engine": 3,
    "report": 4,
    "serve": 4,
    "recipes": 5,
    "run": 6,
    "api": 7,
    "making": 8,
    "cli": 9,
}
ROOF = 10  # the package's own door: corpuscle/__init__.py and __main__.py


def room_of(name):
    """`corpuscle.data.table` lives in `data`; what has no room of its own lives on the roof."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else ""


def imports_of(module):
    """Every module of the package that is named by an import, wherever it stands, or by a string to import."""
    package = module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "corpuscle" else [base]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names = [node.args[0].value] if node.args and isinstance(node.args[0], ast.Constant) else []
        else:
            continue
        yield from ((name, node.lineno) for name in names if name.split(".")[0] == "corpuscle")


def test_every_folder_has_a_floor(modules):
    rooms = {module.name.split(".")[1] for module in modules if "." in module.name} - {"__main__"}
    assert rooms - set(FLOORS) == set(), "a room without a floor: give it one in docs/why/architecture.md and here"


def test_imports_go_down_only_and_rooms_on_one_floor_never_meet(modules):
    broken = []
    for module in modules:
        here = room_of(module.name)
        floor = FLOORS.get(here, ROOF)
        for name, line in imports_of(module):
            there = room_of(name)
            if there != here and FLOORS.get(there, ROOF) >= floor:
                broken.append(
                    f"{module.place}:{line} on floor {floor} imports {name} on floor {FLOORS.get(there, ROOF)}"
                )
    assert not broken, "\n".join(broken)


def test_the_floors_in_the_documentation_are_these(modules):
    page = (modules[0].path.parents[2] / "docs" / "why" / "architecture.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ") and line[2].isdigit()]
    told = {room.strip("` /"): int(row[1]) for row in rows for room in row[2].split(",")}
    assert told == FLOORS
