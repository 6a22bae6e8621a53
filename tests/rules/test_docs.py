"""The pages are true: links lead somewhere, commands exist, code compiles; and nothing private is in the files."""

import functools
import json
import os
import re
import shlex
import shutil
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
    from typer.testing import CliRunner

    from corpuscle.cli.main import app

    done = CliRunner().invoke(app, [*words, "--help"], prog_name="corpuscle")
    return done.output if done.exit_code == 0 else None


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


def test_settings_in_the_pages_exist(tmp_path):
    from corpuscle.core.settings import parse_assignment
    from corpuscle.recipes import compose

    for _, code in blocks("toml"):
        (tmp_path / "page.toml").write_text(code, encoding="utf-8")
        compose("default", tmp_path / "page.toml")
    told = [words for language in ("bash", "console") for _, code in blocks(language) for words in commands_in(code)]
    flags = [words[at + 1] for words in told for at, word in enumerate(words) if word == "--set"]
    given = [parse_assignment(flag) for flag in flags if "$" not in flag and flag != "section.field=value"]
    assert len(given) > 3
    for key, value in given:
        compose("default", None, {key: value})


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


COMMAND_LINE = ROOT / "docs" / "reference" / "command-line.md"
RUN_FOLDER = ROOT / "docs" / "reference" / "run-folder.md"
CONSOLE = (
    "split-by-patient",
    "csv-and-columns",
    "submit",
    "evaluate-on-other-data",
    "compare-runs",
    "bad-images-and-leaks",
)


@functools.cache
def verbs():
    """The verbs that `corpuscle --help` lists."""
    return re.findall(r"^  (\w+) ", help_of().partition("Commands:")[2], re.M)


def flags_of(*words):
    """The flags that a verb's help lists, long and short."""
    listed = re.findall(r"^  (-[^ ].*?)(?:  |$)", help_of(*words), re.M)
    return {flag for line in listed for flag in re.findall(r"--?[A-Za-z][\w-]*", line)}


def test_every_verb_and_flag_is_in_the_reference():
    page = COMMAND_LINE.read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w>-])--?[A-Za-z][\w-]*", page))
    known = {verb: flags_of(verb) for verb in verbs()}
    missing = [f"{verb} {flag}" for verb, flags in known.items() for flag in sorted(flags - named)]
    assert len(known) == 14 and not missing, f"not in {COMMAND_LINE.name}: {', '.join(missing)}"
    assert [verb for verb in known if f"`{verb}" not in page] == []
    gone = named - set().union(flags_of(), *known.values())
    assert not gone, f"{COMMAND_LINE.name} names flags that are not there: {', '.join(sorted(gone))}"


def test_the_settings_page_is_what_the_settings_are():
    script = ROOT / "docs" / "reference" / "make_settings.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_every_page_can_be_reached_from_the_readme():
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        links = LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
        waiting += [
            (page.parent / link.partition("#")[0]).resolve() for link in links if not re.match(r"[a-z]+:", link)
        ]
    assert [page for page in pages() if page.is_relative_to(ROOT / "docs") and page not in seen] == []


def run_in(place, command):
    """What a command in a page says, on both streams, and its exit code."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("the pages are for bash")
    here = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONIOENCODING": "utf-8"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run([bash, "-c", command], cwd=place, env=os.environ | here, text=True, timeout=240, **streams)
    return done.stdout.splitlines(), done.returncode


def steps_in(page):
    """(command, the lines it says) of the console blocks of a page."""
    for language, code in FENCE.findall(page.read_text(encoding="utf-8")):
        for step in re.split(r"^\$ ", code, flags=re.M)[1:] if language == "console" else ():
            command, *said = step.splitlines()
            yield command, said


def quicker(text):
    """The same with one epoch of small images."""
    return re.sub(r"--epochs \d+", "--epochs 1", text).replace("--size 64", "--size 32").replace("size: 64", "size: 32")


def is_the_same_everywhere(line):
    """Whether a line of output depends neither on the machine nor on how well a net was trained."""
    depends = (r"\d\.\d", r"^(device|precision|epoch\w*)\b", "^…$", "basophil_s07.*,[a-z]+$", "chance explains")
    return not any(re.search(pattern, line) for pattern in depends)


@pytest.mark.slow
def test_the_commands_of_the_pages_say_what_the_pages_say(tmp_path):
    """One epoch in place of many; what depends on the machine or on the training is not compared."""
    from corpuscle.synth.folder import write_cells

    write_cells(tmp_path / "runs" / "demo-cells", 120, 96, 0)
    names = ("start/first-model", *(f"how-to/{name}" for name in CONSOLE))
    for page in (ROOT / "docs" / f"{name}.md" for name in names):
        code = None
        for command, said in steps_in(page):
            if command == "echo $?":
                assert said == [str(code)], f"{page.name}: exit code"
                continue
            came, code = run_in(tmp_path, quicker(command))
            lost = [line for line in said if is_the_same_everywhere(line) and quicker(line) not in came]
            assert not lost, f"{page.name}: $ {command}\nno longer says\n" + "\n".join([*lost, "but", *came])


def test_every_page_with_console_blocks_is_run():
    listed = {"docs/start/first-model.md", *(f"docs/how-to/{name}.md" for name in CONSOLE)}
    assert {page for page, _ in blocks("console")} == listed


@pytest.mark.slow
def test_the_python_of_the_start_page_runs_and_its_run_is_described(tmp_path, monkeypatch, capsys):
    from corpuscle.synth.folder import write_cells

    write_cells(tmp_path / "runs" / "demo-cells", 20, 32, 0)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for page, code in blocks("python"):
        if page == "docs/start/python.md":
            exec(compile(code.replace('"prepare.size": 64', '"prepare.size": 32'), page, "exec"), names)
    assert "Did you mean leukemia?" in capsys.readouterr().out
    text = RUN_FOLDER.read_text(encoding="utf-8")
    run = tmp_path / "runs" / "from-python"
    files = [path.name for path in run.iterdir() if path.is_file() and not path.name.startswith(".")]
    tables = [
        (run / name).read_text(encoding="utf-8").splitlines()[0].split(",") for name in files if name.endswith(".csv")
    ]
    columns = [name for header in tables for name in header if not name.startswith(("p_", "raw_"))]
    keys = [
        key
        for name in files
        if name in ("fingerprint.json", "metrics.json")
        for key in json.loads((run / name).read_text())
    ]
    assert [name for name in (*files, *columns, *keys) if name not in text] == []
