"""docs/your_own_code.md: its files are those of examples/, and its commands work as they stand."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.support.forked_trainers import fork_server
from tests.support.own_code import EXAMPLES
from tests.support.tiny_runs import PROJECT, TINY
from trainer.store.reader import RunReader

DOCUMENT = (PROJECT / "docs" / "your_own_code.md").read_text()
COMMANDS = re.search(r"```bash\n(.*?)```", DOCUMENT, re.DOTALL)[1].splitlines()


def test_the_files_of_the_document_are_those_of_the_folder():
    """Each is shown whole, under its name, and is shorter than 30 lines."""
    shown = dict(re.findall(r"`examples/(\w+\.py)`:\n\n```python\n(.*?)```", DOCUMENT, re.DOTALL))
    found = {path.name: path.read_text() for path in EXAMPLES.glob("*.py")}
    assert shown == found
    assert all(len(text.splitlines()) < 30 for text in found.values())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_document_works_as_it_stands(command, tmp_path, tiny_source):
    """By copy and paste; only recordings, sizes and state folder are those of the test."""
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "trainer"]
    if words[3] == "train":
        words += ["--data", tiny_source, "--state", tmp_path]
        words += [word for setting in TINY for word in ("--set", setting)]
    done = fork_server().run(*words[3:])
    assert done.code == 0, done.words
    if words[3] == "train":
        [run] = tmp_path.iterdir()
        assert run.name == words[words.index("--run") + 1]
        run_file = RunReader(run).run_file()
        assert [entry.partition(" ")[0] for entry in run_file.use] == [
            words[words.index("--use") + 1].rpartition("/")[2]
        ]
        assert set(RunReader(run).scores().models) >= set(run_file.models)
