"""Messages for people."""

from __future__ import annotations

from corpuscle.core.errors import DataFault, Fault, nearest


def test_only_the_names_that_are_about_as_near_as_the_nearest_are_offered():
    assert nearest("resnet81", ["vit", "resnet18"]) == "Did you mean resnet18?"
    assert nearest("batchsize", ["batch_size", "balance", "patience"]) == "Did you mean batch_size?"
    assert nearest("b.pgn", ["a.jpg", "b.png"]) == "Did you mean b.png?"


def test_a_name_is_offered_once():
    assert nearest("cat", ["car", "car", "cat2"]).count("car") <= 1


def test_a_word_unlike_all_gets_the_first_dozen():
    known = [f"name{number:02}" for number in range(15)]
    assert nearest("???", known) == f"Known: {', '.join(known[:12])} and 3 more"


def test_faults_are_told_at_once_up_to_a_limit():
    faults = [Fault(f"row {number}", "is empty", "fill it") for number in range(DataFault.SHOWN + 2)]
    lines = str(DataFault(faults)).splitlines()
    assert lines[0] == "row 0: is empty; fill it"
    assert len(lines) == DataFault.SHOWN + 1 and lines[-1] == "and 2 more faults"
    assert DataFault(faults).faults == tuple(faults)
