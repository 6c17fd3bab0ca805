"""Every command of the documents: its program, options and files exist; README's are run.

In: the code blocks and the inline commands of the pages. Out: what the command line makes of them.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import typer

from tests.docs.documents import PAGES, PROJECT, commands
from trainer.__main__ import app

GENERATED = PROJECT / "docs/command_line.md"  # is held to the help by another test
INLINE = re.compile(r"`((?:python -m|streamlit run|bash) [^`]+)`")
USAGE_ERROR = typer.BadParameter.__base__  # of typer's own click
SEPARATORS = {"&&", "|", ";", "||"}


def programs(text):
    """Return the commands of a line: words, split where the shell splits commands."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    parts = [[]]
    for word in lexer:
        if word in SEPARATORS:
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


def documented():
    """Return (page, words of a command) for every command of every page."""
    found = []
    for page in PAGES:
        if page == GENERATED:
            continue
        inline = [" ".join(text.split()) for text in INLINE.findall(page.read_text("utf-8"))]
        for line in dict.fromkeys(commands(page) + inline):
            found += [(page, words) for words in programs(line)]
    return found


def check_trainer(words):
    """Read the words as the command line does, up to where it would begin to work."""
    group = typer.main.get_command(app)
    if not words:
        return  # the help
    with group.context_class(group, info_name="trainer") as parent:
        name, command, rest = group.resolve_command(parent, words)
        command.make_context(name, [word for word in rest if word != "..."], parent=parent)


def check_program(words):
    """Fail where a command names an unknown module, option or file of the project."""
    while re.match(r"^[A-Z_]+=", words[0]):
        words = words[1:]
    if words[:2] == ["python", "-m"]:
        if words[2] == "trainer":
            check_trainer(words[3:])
        else:
            assert importlib.util.find_spec(words[2].rstrip(".")) is not None, words
    paths = [
        word for word in words if re.match(r"^(tests|benchmarks|docs|examples|trainer)/", word)
    ]
    for path in paths:
        assert (PROJECT / path.partition("::")[0]).exists(), words


@pytest.mark.parametrize(
    ("page", "words"),
    [
        pytest.param(page, words, id=f"{page.name}: {' '.join(words)}")
        for page, words in documented()
    ],
)
def test_a_documented_command_exists(page, words):
    """A renamed option, module or file is renamed in the documents too."""
    check_program(words)


def test_there_are_commands_to_check():
    """The pages are read at all: README, the documents and CONTRIBUTING have commands."""
    names = {page.name for page, _ in documented()}
    assert {"README.md", "CONTRIBUTING.md", "studies.md", "your_own_code.md", "kaggle.md"} <= names


@pytest.mark.parametrize("line", ["python -m trainer train --no-such", "python -m no_such_module"])
def test_a_command_that_is_not_there_is_found(line):
    """The check can fail."""
    with pytest.raises((USAGE_ERROR, AssertionError)):
        check_program(shlex.split(line))


@pytest.mark.slow
def test_the_commands_of_the_readme_work(tmp_path):
    """README's commands of the trainer, in its order, in a copy without runs: all exit with 0."""
    copy = tmp_path / "project"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    for name in tracked.stdout.split("\0"):
        if name and (PROJECT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, copy / name)
    environment = {k: v for k, v in os.environ.items() if k not in ("CKPT_DIR", "WORKERS")}
    lines = [words for page, words in documented() if page.name == "README.md"]
    ours = [words for words in lines if words[:3] == ["python", "-m", "trainer"]]
    assert len(ours) >= 6
    for words in ours:
        done = subprocess.run(
            [sys.executable, *words[1:]], cwd=copy, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    assert (copy / "predictions.csv").stat().st_size > 1000
