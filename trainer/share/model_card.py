"""Model card: what others must know of a run, in Markdown as Hugging Face shows it.

In: a run and its trained models. Out: the text of ``README.md``. Every text that comes with the run
stands in a code span, where nothing is markup or a link.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from trainer import __version__
from trainer.models import registry
from trainer.share.shared_run import SharedRun
from trainer.store.record_types import Score
from trainer.store.records import ModelScores, Scores, SensorScores

MAX_CHARACTERS = 120  # of a name
MAX_GESTURES = 100
FRONT_MATTER = """\
---
license: other
tags:
- wrist-sensor
- gesture-recognition
- time-series-classification
---
"""
NOT_LICENSED = (
    "No licence was chosen: whoever uploads the folder sets `license` above. The recordings' own "
    "terms may apply to the models too."
)
LOADING = """\
## How to load

With the code of this project (version {version}); nothing in this folder is pickled:

```bash
pip install -r requirements.txt -r requirements-share.txt
python -m trainer predict FOLDER recordings.csv
```

```python
from pathlib import Path
from trainer.data.sources import read_table, sequences_from_table
from trainer.predict.predictor import Predictor

sequences = sequences_from_table(read_table(Path("recordings.csv")))
prediction = Predictor.load(Path("FOLDER")).predict(sequences)
print(prediction.predicted, prediction.proba_NK)
```

Each fold has a `.json`, arrays in `.safetensors` (those of the network's `state_dict` begin with
`packed.weights.`) and, of LightGBM, a text that `lightgbm.Booster(model_file=...)` reads too: its
raw scores lack `packed.log_shares`. `gesture_models.json` holds the SHA-256 of every file.
"""


def model_card(run: SharedRun, bundles: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the model card.

    Args:
        run: The run.
        bundles: Its finished models, by name.
    """
    parts = [
        f"# Gesture models of run {code(run.name)}",
        _summary(run, bundles),
        _recordings(run),
        _scores(run),
        _limits(run),
        LOADING.format(version=__version__),
        f"## Licence\n\n{NOT_LICENSED}",
    ]
    return FRONT_MATTER + "\n" + "\n\n".join(part.strip() for part in parts) + "\n"


def code(text: str) -> str:
    """Return a text from anywhere as a code span, also inside a table."""
    shown = "".join(one if one.isprintable() else " " for one in text)
    shown = " ".join(shown.replace("`", "'").replace("|", "/").split())
    return f"`{shown[:MAX_CHARACTERS] or '-'}`"


def _summary(run: SharedRun, bundles: Mapping[str, Mapping[str, Any]]) -> str:
    config = run.run_file
    models = ", ".join(
        f"{registry.title(model)} ({len(bundle['folds'])} folds)"
        for model, bundle in bundles.items()
    )
    made = time.strftime("%Y-%m-%d", time.gmtime(config.created_at))
    gestures = _listed(config.labels.gestures)
    lines = [
        "Gestures from recordings of a wrist sensor, in the schema of the Kaggle competition "
        '"CMI - Detect Behavior with Sensor Data".',
        "",
        f"- Models: {models}; made on {made} with version {code(config.project_version)}",
        f"- Gestures ({config.labels.num_targets} targets first): {gestures}",
    ]
    if not run.is_finished:
        missing = [registry.title(model) for model in config.models if model not in bundles]
        lines.append(f"- **The run is not finished**: without {', '.join(missing) or 'its end'}")
    if config.use:
        lines.append(
            "- The models need the code in `code/`. Read it; it is executed only after `python -m "
            "trainer approve FOLDER`"
        )
    return "\n".join(lines)


def _recordings(run: SharedRun) -> str:
    config = run.run_file
    recordings, folds = config.recordings, config.folds
    source = config.data.source.partition(":")[0]
    own = {"watch": "the recordings that ship with the project", "kaggle": "the competition's data"}
    title = "simulated recordings" if config.is_simulated else own.get(source, "own recordings")
    split = "as a file assigns them" if folds.file_sha256 else "by subject, stratified by gesture"
    return "\n".join(
        [
            "## Data and folds",
            "",
            f"- {title}: {recordings.num_sequences:,} sequences of {recordings.num_subjects:,} "
            f"people, {recordings.num_rows:,} time steps; sensors: {_listed(recordings.groups)}",
            f"- Fingerprint: {code(recordings.fingerprint)}",
            f"- {folds.count} folds, {split}; seed {config.seed}, preset {config.preset}",
        ]
    )


def _scores(run: SharedRun) -> str:
    """Return the table of scores: mean and spread over the folds, out of fold, IMU only."""
    lines = [
        "## Scores",
        "",
        "The competition's score: the mean of the binary F1 (target or not) and the macro F1 over "
        "the gestures. Each sequence is predicted by models that were not trained on it.",
        "",
        "| model | mean of folds | out of fold | accuracy | IMU only, out of fold |",
        "|---|---|---|---|---|",
    ]
    if run.scores is None:
        return "\n".join(lines[:2]) + "No score is recorded."
    for model, scores in run.scores.models.items():
        lines.append(_score_row(registry.title(model), scores))
    return "\n".join([*lines, "", *_warnings(run.scores, run.run_file.is_simulated)])


def _score_row(title: str, scores: ModelScores) -> str:
    part = scores.all_sensors
    spread = "" if part.std is None else f" ± {part.std:.3f}"
    done = sum(fold is not None for fold in part.folds)
    cells = [
        f"{_number(part.mean)}{spread} ({done})",
        _number(part.oof.score if part.oof else None),
        _number(part.oof.accuracy if part.oof else None),
        _imu(scores.imu_only),
    ]
    return f"| {code(title)} | {' | '.join(cells)} |"


def _imu(part: SensorScores | None) -> str:
    return _number(part.oof.score if part is not None and part.oof else None)


def _number(value: Score | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _warnings(scores: Scores, is_simulated: bool) -> list[str]:
    """Return what makes the scores higher than those on new people."""
    lines = []
    if is_simulated:
        lines.append("**Simulated recordings: these scores do not apply to real ones.**")
    if scores.has_chosen:
        lines.append(
            "**Optimistic: the best round or epoch of each fold was chosen on the scored rows.**"
        )
    if scores.shared_subjects:
        lines.append("**Optimistic: subjects are shared between training and validation.**")
    return lines or ["Nothing was chosen or fitted on the rows that are scored."]


def _limits(run: SharedRun) -> str:
    lines = [
        "## Limits",
        "",
        "- Trained for the gestures above; any other movement is given one of their names too.",
        "- People, devices and ways of wearing them that the recordings lack may score lower.",
        "- Not a medical device: it does not diagnose anything.",
    ]
    if missing := {"rot", "thm", "tof"} - set(run.run_file.recordings.groups):
        lines.append(f"- Sensors that were not in the recordings are not used: {_listed(missing)}.")
    lines.append(
        "- The files hold gestures and, where devices were worn reversed, names of subjects "
        "(`turned_subjects`); no recordings."
    )
    return "\n".join(lines)


def _listed(names: Iterable[str]) -> str:
    listed = sorted(names) if isinstance(names, set) else list(names)
    more = f" and {len(listed) - MAX_GESTURES} more" if len(listed) > MAX_GESTURES else ""
    return ", ".join(map(code, listed[:MAX_GESTURES])) + more
