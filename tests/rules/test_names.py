"""Public names are documented and use the words of the house."""

import ast
import re

import pytest

ONE_WORD = {
    "patch": "tile",
    "patches": "tiles",
    "segmentation": "mask",
    "segmentations": "masks",
    "img": "image",
    "imgs": "images",
    "lbl": "label",
    "lbls": "labels",
}
SHAPELESS = {"utils", "util", "helpers", "helper", "misc", "common", "tools", "stuff"}


def words_of(name):
    """`TilePlan_NCHW` is tile, plan, nchw."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def defined_in(tree):
    """Every name that a module gives to something, with its line; names of others' attributes are not ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno


def test_each_module_and_public_function_and_class_has_a_docstring(modules):
    broken = [module.place for module in modules if ast.get_docstring(module.tree) is None]
    for module in modules:
        for node, name, nested in module.blocks():
            hidden = nested or any(part.startswith("_") for part in name.split("."))
            if not hidden and not speaks_for_itself(node) and not ast.get_docstring(node):
                broken.append(f"{module.place}:{node.lineno} {name}")
    assert not broken, "without a docstring:\n" + "\n".join(broken)


def speaks_for_itself(node):
    """A property is what its name says, and the promise of `forward` is its class's."""
    return node.name == "forward" or any(ast.unparse(mark).endswith("property") for mark in node.decorator_list)


def test_each_setting_has_a_description(modules, descendants):
    broken = []
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and node.name in descendants("Settings"):
                broken += [
                    f"{module.place}:{field.lineno} {node.name}.{ast.unparse(field.target)}"
                    for field in node.body
                    if isinstance(field, ast.AnnAssign) and not is_described(field)
                ]
    assert not broken, "settings without Field(..., description=...):\n" + "\n".join(broken)


def is_described(field):
    if "ClassVar" in ast.unparse(field.annotation):
        return True
    found = [word.value for word in getattr(field.value, "keywords", ()) if word.arg == "description"]
    return bool(found) and (not isinstance(found[0], ast.Constant) or bool(found[0].value))


def test_no_module_is_a_drawer_for_everything(modules):
    assert [module.place for module in modules if SHAPELESS & set(module.name.split("."))] == []


def test_one_word_for_one_thing(modules):
    broken = [
        f"{module.place}:{line} {name}: say {ONE_WORD[word]}"
        for module in modules
        for name, line in defined_in(module.tree)
        for word in words_of(name)
        if word in ONE_WORD
    ]
    assert not broken, "\n".join(broken)


def test_the_public_names_are_those_that_were_promised(modules):
    root = next(module for module in modules if module.name == "corpuscle")
    listed = [
        set(ast.literal_eval(node.value))
        for node in root.tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    if not listed:
        pytest.skip("corpuscle lists no public names yet")
    promised = root.path.parents[2] / "tests" / "rules" / "public_names.txt"
    names = "".join(f"{name}\n" for name in sorted(listed[-1]))
    assert promised.is_file(), f"write the promised names, one a line, to {promised}:\n{names}"
    assert names == promised.read_text(encoding="utf-8"), (
        "public names changed: put it in the changelog and in this list"
    )
