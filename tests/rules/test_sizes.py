"""Small parts: long files, functions, classes and signatures are exceptions with a name."""

import ast

FILE_LINES, FUNCTION_LINES, CLASS_LINES, PARAMETERS = 400, 60, 250, 7

# place or place:name to the size it may have; an entry that is no longer needed fails the test
EXCEPTIONS: dict[str, int] = {}


def lines_of(node, start):
    """Lines of a block from `start` on, without its docstring, which may be as long as it is useful."""
    lines = node.end_lineno - start + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def parameters_of(node):
    """How many things a caller can pass."""
    names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def oversized(modules):
    for module in modules:
        size = len(module.path.read_text(encoding="utf-8").splitlines())
        if size > FILE_LINES:
            yield module.place, size, f"lines, the limit is {FILE_LINES}"
        for node, name, _ in module.blocks():
            whole, limit = (CLASS_LINES, "class") if isinstance(node, ast.ClassDef) else (FUNCTION_LINES, "function")
            is_verb = module.name == f"corpuscle.cli.{name}"  # its parameters are the flags of the command
            lines = lines_of(node, node.body[0].lineno if is_verb else node.lineno)
            if lines > whole:
                yield f"{module.place}:{name}", lines, f"lines, the limit of a {limit} is {whole}"
            if not isinstance(node, ast.ClassDef) and not is_verb and parameters_of(node) > PARAMETERS:
                yield f"{module.place}:{name}()", parameters_of(node), f"parameters, the limit is {PARAMETERS}"


def test_files_functions_classes_and_signatures_are_small(modules):
    broken = [f"{place}: {size} {what}" for place, size, what in oversized(modules) if size > EXCEPTIONS.get(place, 0)]
    assert not broken, "\n".join(broken)


def test_no_exception_is_stale(modules):
    sizes = {place: size for place, size, _ in oversized(modules)}
    stale = {
        place: f"is {sizes.get(place, 'within the limit')}"
        for place, size in EXCEPTIONS.items()
        if sizes.get(place) != size
    }
    assert not stale, "remove or lower these exceptions"


def test_a_long_function_would_be_seen():
    body = "\n".join(["    x = 1"] * 61)
    node = ast.parse(f'def f(a, *, b):\n    """Doc.\n\n    More.\n    """\n{body}\n').body[0]
    assert lines_of(node, node.lineno) == 62 and parameters_of(node) == 2
