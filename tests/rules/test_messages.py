"""An error says what was expected, what came, and what to do: one line, and no full stop after the remedy."""

import ast

REMEDIES = (
    "; ",
    "pass ",
    "nearest(",
    "nearest_",
    "expected",
    "expects",
    " need ",
    "should be",
    "Did you mean",
    "remedy",
    "--",
)


def text_of(node):
    """The message as far as it is written in the source; what is filled in stands as its own code in braces."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}" for part in node.values
        )
    return None


def wrong_with(message):
    """What is wrong with an error's message, or nothing."""
    if "\n" in message:
        return "is more than one line"
    if message.rstrip().endswith("."):
        return "ends with a full stop"
    if len(message) < 25:
        return "says too little"
    if not any(word in message for word in REMEDIES):
        return "does not say what to do: expected · what came; what to do"
    return None


def test_each_error_is_one_line_with_its_remedy(modules, descendants):
    errors, broken, seen = descendants("CorpuscleError") - {"DataFault"}, [], 0
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func) in errors:
                told = [text_of(arg) for arg in node.exc.args]
                if not any(told):
                    continue
                seen += 1
                # some errors take the finding and the remedy apart; what is not text here is text elsewhere
                message = "; ".join(text or "{…}" for text in told)
                if wrong_with(message):
                    broken.append(f"{module.place}:{node.lineno} {wrong_with(message)}: {message}")
    assert seen > 5, "no errors were found: this test looks at nothing"
    assert not broken, "\n".join(broken)


def test_each_fault_has_a_place_a_finding_and_a_remedy(modules):
    broken = []
    for module in modules:
        for node in ast.walk(module.tree):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "Fault"
                and not any(isinstance(arg, ast.Starred) for arg in node.args)
            ):
                told = [text_of(arg) for arg in (*node.args, *(word.value for word in node.keywords))]
                bad = [
                    text
                    for text in told
                    if text is not None and (not text.strip() or "\n" in text or text.endswith("."))
                ]
                if len(told) != 3 or bad:
                    broken.append(f"{module.place}:{node.lineno} {ast.unparse(node)}")
    assert not broken, "a fault is Fault(where, what, remedy), each a few words of one line:\n" + "\n".join(broken)


def test_a_bad_message_would_be_seen():
    assert wrong_with("the disk is full: {path}; free some space") is None
    assert wrong_with("wrong") == "says too little"
    assert wrong_with("the run folder {path} could not be read at all") is not None
    assert wrong_with("the run folder is none; name another one.") == "ends with a full stop"
