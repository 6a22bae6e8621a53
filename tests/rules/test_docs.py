"""The pages are true: links lead somewhere, commands exist, code compiles; and nothing private is in the files."""

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAIN = ROOT / "src" / "corpuscle" / "cli" / "main.py"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.M | re.S)
PRIVATE = re.compile(r"(?<![\w.~-])(?:/(?:home|Users|root|work)/\w|[A-Z]:\\Users\\)")


def kept_files():
    """Files that are, or would be, in the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def pages():
    return [path for path in kept_files() if path.suffix == ".md"]


def blocks(language):
    """(page, code) of each fenced block of a language."""
    for page in pages():
        for found, code in FENCE.findall(page.read_text(encoding="utf-8")):
            if found == language:
                yield page.relative_to(ROOT).as_posix(), code


def anchor_of(heading):
    """The anchor that a heading gets on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_relative_links_lead_to_a_file_and_a_heading():
    broken = []
    for page in pages():
        for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
            if re.match(r"[a-z]+:", link):
                continue
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            headings = (
                re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
                if target.suffix == ".md" and target.is_file()
                else []
            )
            if not target.exists() or (anchor and anchor not in map(anchor_of, headings)):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert not broken, "links that lead nowhere:\n" + "\n".join(broken)


@functools.cache
def help_of(*words):
    """What `corpuscle WORDS --help` says, or nothing if there is no such verb."""
    command = [sys.executable, "-c", "from corpuscle.cli.main import main; main()", *words, "--help"]
    wide = {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, text=True, env=wide, timeout=60)
    return done.stdout if done.returncode == 0 else None


def commands_in(code):
    """The words of each `corpuscle …` command of a block, up to a pipe, a redirection or a comment."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words[:1] == ["corpuscle"]:
            ends = [
                at for at, word in enumerate(words) if word in ("|", "&&", "||", ";") or word.startswith((">", "2>"))
            ]
            yield words[1 : min(ends, default=len(words))]


@pytest.mark.skipif(not MAIN.is_file(), reason="there is no command line yet")
def test_commands_in_the_pages_have_known_verbs_and_flags():
    broken = []
    for page, code in (*blocks("bash"), *blocks("sh"), *blocks("console")):
        for words in commands_in(code):
            verb = [word for word in words[:1] if not word.startswith("-")]
            known = help_of(*verb)
            flags = [word.split("=")[0] for word in words if re.match(r"--?[A-Za-z]", word)]
            unknown = [
                flag for flag in flags if known and not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", known)
            ]
            if known is None or unknown:
                broken.append(f"{page}: corpuscle {' '.join(words)} ({', '.join(unknown) or 'no such verb'})")
    assert not broken, "commands that do not work:\n" + "\n".join(broken)


def test_python_in_the_pages_compiles():
    for page, code in blocks("python"):
        if ">>>" not in code:
            compile(code, page, "exec")


def test_no_file_names_a_machine_of_its_authors():
    broken = []
    for path in kept_files():
        if path.suffix in (".png", ".jpg", ".gif", ".ico", ".safetensors"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if PRIVATE.search(line):
                broken.append(f"{path.relative_to(ROOT)}:{number} {line.strip()[:100]}")
    assert not broken, "paths of one machine:\n" + "\n".join(broken)


def test_the_lock_names_no_package_index_and_pins_every_package_by_hash():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host", lock)
    pinned = re.findall(r"^([\w.-]+)==[^\n]*\\\n\s+--hash=sha256:", lock, re.M)
    named = re.findall(r"^([A-Za-z][\w.-]*)", lock, re.M)
    assert pinned and pinned == named


def test_no_file_is_larger_than_a_megabyte():
    assert [path for path in kept_files() if path.stat().st_size > 1 << 20] == []
