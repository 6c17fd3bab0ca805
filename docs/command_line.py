"""The page ``command_line.md``, made from the help of the commands.

In: nothing. Out: the page; ``tests/docs/test_command_line.py`` compares it with the file.

    python -m docs.command_line
"""

from __future__ import annotations

from pathlib import Path

import typer

from trainer.__main__ import app

PAGE = Path(__file__).parent / "command_line.md"
INTRODUCTION = """\
# The command line

Made by `python -m docs.command_line` from the help of the commands. The dashboard starts the same
commands. Use them where there is no browser (Kaggle, Colab, a server).

**Exit codes**: 0 finished, 1 failed, 2 wrong usage or refused, 3 paused (0 with
`--paused-is-success`).

**Recordings** (`--data`):

- a CSV or Parquet file, or a folder in the competition's schema (`train.csv` and, where
  available, `train_demographics.csv`). Any subset of the sensors is enough, also the acceleration
  alone;
- for recordings larger than memory, a folder with one Parquet file per subject
  (`subject=NAME/part.parquet`), which is processed one file at a time ([scaling.md](scaling.md));
- `watch` (the embedded recordings, the default), `kaggle` (the competition's mounted input), or
  `simulated:20` (simulated recordings of 20 people; a score on them is no estimate of a score in
  the competition). `simulate` marks the last bits of the acceleration, so that a run on a copy of
  its files is shown as simulated under any file name.

**Settings**: `--set KEY=VALUE` sets any setting by its dotted name in `config.json`, such as
`--set boosting.learning_rate=0.05`. An unknown name is refused with the nearest ones. Precedence:
option, `--set`, environment, preset, default.

A further model has no weight in the blend by itself: `--set blend.weights.NAME=0.2`; of all
weights only the ratios matter.

**Folds of your own**: `--folds-file FILE` is a CSV or Parquet file with `sequence_id` and `fold`
(from 0, without a gap), such as `folds.parquet` of another run; further columns are not used. Every
sequence of the recordings must be in it once. Only its content counts: the run keeps the folds,
`resume` does not need the file, and `train` with other folds is refused. A subject in several folds
is refused, unless `--allow-shared-subjects` is given, which marks every score of the run as
optimistic. Folds of which one is empty, or has less than a tenth of the sequences of another, are
refused, also without a file.

**Your own code, studies and hand-over** have pages of their own:
[your_own_code.md](your_own_code.md), [studies.md](studies.md), [hand_over.md](hand_over.md).

**Environment names** of the notebook family keep their meaning: `CKPT_DIR` (state folder),
`RESUME=0` (start over; the old run is moved aside, never deleted), `USE_TORCH=0`,
`RESUME_TORCH=0` (the network's folds start over), `MODEL_PATH` (use a finished run or its
`lgbm_bundle.pkl`), `ENSEMBLE_W_LGBM`, `ENSEMBLE_W_TORCH`, `FAIL_IF_TORCH_MISSING`. `WORKERS` is
the default of `--workers`; `NOTIFY_URLS` has addresses for [notifications](notifications.md);
`KAGGLE_INPUT_DIR` is the folder where earlier runs and the competition's data are mounted (default
`/kaggle/input`).
"""


def render() -> str:
    """Return the whole page in Markdown."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    parts = [_section(name, command) for name, command in group.commands.items()]
    return "\n".join([INTRODUCTION, *parts])


def _section(name: str, command: object) -> str:
    """Return the heading, description and options of one command."""
    assert isinstance(command, typer.core.TyperCommand)
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    usage = " ".join([f"python -m trainer {name}", *(_argument(one) for one in arguments)])
    lines = [f"## {name}\n", f"`{usage}{' [OPTIONS]' if options else ''}`\n"]
    lines += [f"{paragraph}\n" for paragraph in _paragraphs(command.help or "")]
    lines += [f"- `{_argument(one)}`: {_sentence(one.help)}" for one in arguments]
    lines += [f"- `{_option(one)}`: {_sentence(one.help)}" for one in options]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def _argument(argument: object) -> str:
    assert isinstance(argument, typer.core.TyperArgument)
    return str(argument.metavar or (argument.name or "").upper())


def _option(option: object) -> str:
    assert isinstance(option, typer.core.TyperOption)
    value = "" if option.is_flag else f" {option.metavar or 'VALUE'}"
    return f"{', '.join(option.opts)}{value}"


def _sentence(text: str | None) -> str:
    """Return a help text with its end mark."""
    return f"{(text or '').rstrip('.')}."


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
