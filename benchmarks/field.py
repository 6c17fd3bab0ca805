"""Scores of a source with the classifiers of the field, on the folds of a run.

In: a source, seeds, methods, and finished runs to compare with. Out: a Markdown table, for each
method: mean and spread of the competition's score over the folds of all seeds; over all scored rows
the score, accuracy and macro F1 over all gestures; seconds to fit and predict the folds of a seed.
The predictions of each fold stay in ``--state``: the same command continues where it was stopped.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python -m benchmarks.field watch --state /tmp/field
    python -m benchmarks.field watch --state /tmp/field --seeds 42,43 --methods extra-trees
        --run state/watch-1 --run state/watch-2

MiniRocket and MultiRocket-Hydra need aeon (requirements-field.txt) and are skipped without it. They
are given acceleration (gravity included), quaternion, thermopiles and mean distances where there
are any, each interpolated linearly to the median length of the fold's training sequences; the trees
are given statistics of these channels, of the norm of the acceleration and of the steps of each.
Settings are the libraries' defaults, but for the number of trees. Nothing is chosen on scored rows:
the penalty of the ROCKET methods' ridge classifier is chosen by leave-one-out on training rows.
The first fold after aeon's installation also contains the compilation by numba, one to two minutes.

``--run`` adds the models of a finished run, one run for each seed, on the same folds. Its seconds
are those of its folds, without the feature table, with the threads and the load that it had.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.field_inputs import VERSION, FieldInputs
from benchmarks.recordings import NUM_FOLDS
from benchmarks.scores import macro_f1, spread
from trainer.blend import blend_probabilities
from trainer.config import make_config
from trainer.data.sequences import IntArray
from trainer.folds import FoldAssignment
from trainer.metric import competition_score
from trainer.models.registry import BLEND
from trainer.store.durable import dump_json, write_atomic
from trainer.store.reader import RunReader

NUM_TREES = 500  # rounds of LightGBM, as many as a run boosts, and trees of ExtraTrees
HEAD = (
    "| method | folds | score | out of fold | accuracy | macro F1 | seconds |\n"
    "|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Method:
    """One classifier of the field.

    Attributes:
        title: Its name in the table.
        make: Returns the unfitted classifier of a seed.
        has_series: Whether it is given series and needs aeon; else it is given the plain table.
    """

    title: str
    make: Callable[[int], Any]
    has_series: bool = False


def _mini_rocket(seed: int) -> Any:
    from aeon.classification.convolution_based import MiniRocketClassifier

    return MiniRocketClassifier(random_state=seed, n_jobs=1)


def _multi_rocket_hydra(seed: int) -> Any:
    from aeon.classification.convolution_based import MultiRocketHydraClassifier

    return MultiRocketHydraClassifier(random_state=seed, n_jobs=1)


def _lightgbm(seed: int) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=NUM_TREES, random_state=seed, n_jobs=1, verbose=-1)


def _extra_trees(seed: int) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(n_estimators=NUM_TREES, random_state=seed, n_jobs=1)


METHODS = {
    "minirocket": Method("MiniRocket", _mini_rocket, has_series=True),
    "multirocket-hydra": Method("MultiRocket-Hydra", _multi_rocket_hydra, has_series=True),
    "lightgbm": Method("plain table, LightGBM", _lightgbm),
    "extra-trees": Method("plain table, ExtraTrees", _extra_trees),
}


@dataclass(frozen=True)
class Predictions:
    """Predictions for the folds of one seed.

    Attributes:
        folds: The folds.
        predicted_N: (N,) int64 class indices; those of folds that are not scored do not matter.
        seconds: To fit and predict the scored folds.
    """

    folds: FoldAssignment
    predicted_N: IntArray
    seconds: float


def predict(
    method: Method, inputs: FieldInputs, seed: int, num_folds: int, state: Path
) -> Predictions:
    """Fit a method on the first folds of a seed and predict them; folds in ``state`` are reused."""
    predicted_N = np.zeros(len(inputs.folds.fold_N), dtype=np.int64)
    seconds = 0.0
    for fold in range(num_folds):
        path = state / f"field-{_key(method, inputs, seed, fold)}.json"
        if not path.exists():
            write_atomic(path, dump_json(_predict_fold(method, inputs, seed, fold)))
        result = json.loads(path.read_bytes())
        predicted_N[inputs.folds.fold_N == fold] = result["predicted_idx"]
        seconds += result["seconds"]
    return Predictions(inputs.folds, predicted_N, seconds)


def _key(method: Method, inputs: FieldInputs, seed: int, fold: int) -> str:
    """Return a digest of everything that the predictions of a fold depend on."""
    classifier = method.make(seed)
    library = importlib.import_module(type(classifier).__module__.partition(".")[0])
    parts = (VERSION, inputs.fingerprint, repr(classifier), library.__version__, fold)
    return hashlib.sha256(repr(parts).encode() + inputs.folds.fold_N.tobytes()).hexdigest()[:16]


def _predict_fold(method: Method, inputs: FieldInputs, seed: int, fold: int) -> dict[str, Any]:
    began = time.perf_counter()
    train_idx, valid_idx = inputs.folds.split(fold)
    values_N = inputs.series_NCL(train_idx) if method.has_series else inputs.table_NF
    classifier = method.make(seed).fit(values_N[train_idx], inputs.folds.label_idx[train_idx])
    predicted_idx = classifier.predict(values_N[valid_idx]).tolist()
    return {"predicted_idx": predicted_idx, "seconds": time.perf_counter() - began}


def run_predictions(
    run: RunReader, folds: FoldAssignment, num_folds: int
) -> Iterator[tuple[str, Predictions]]:
    """Yield title and predictions of each model of a run and of the blend.

    Raises:
        SystemExit: The run has other folds or is not finished.
    """
    status, scores, oof, run_folds = run.status(), run.scores(), run.oof(), run.folds()
    if status is None or status.state != "finished" or scores is None or oof is None:
        raise SystemExit(
            f"{run.root}: expected the folder of a finished run. Resume it, or name one"
        )
    if run_folds is None or not run_folds.equals(folds.to_frame()):
        raise SystemExit(
            f"{run.root}: its folds differ from the {folds.num_folds} folds of this source and "
            f"seed. Name a run of the same recordings, seed and number of folds"
        )
    gestures = folds.labels.gestures
    proba = {
        model: oof.select(f"{model}:{gesture}" for gesture in gestures).to_numpy()
        for model in scores.weights
    }
    weights = {model: {model: 1.0} for model in proba}
    if len(proba) > 1:
        weights[BLEND] = scores.weights
    records = [record for record in run.fold_records() if record.fold < num_folds]
    for name, used in weights.items():
        blended_NK, _ = blend_probabilities({model: proba[model] for model in used}, used)
        seconds = sum(record.seconds for record in records if record.model in used)
        title = f"run, {name}{' (optimistic)' if scores.is_optimistic(name) else ''}"
        yield title, Predictions(folds, blended_NK.argmax(axis=1), seconds)


def table_line(title: str, of_seeds: list[Predictions], num_folds: int) -> str:
    """Return the line of a method: its folds of all seeds, then means over the seeds."""
    fold_scores = [
        _scores(one, one.folds.fold_N == fold)[0] for one in of_seeds for fold in range(num_folds)
    ]
    rows = [(*_scores(one, one.folds.fold_N < num_folds), one.seconds) for one in of_seeds]
    *means, seconds = (statistics.mean(values) for values in zip(*rows, strict=True))
    cells = (title, str(len(fold_scores)), spread(fold_scores), *(f"{mean:.4f}" for mean in means))
    return f"| {' | '.join(cells)} | {seconds:.1f} |"


def _scores(one: Predictions, scored_mask: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return the competition's score, accuracy and macro F1 over all gestures of some rows."""
    labels = one.folds.labels
    true_idx, predicted_idx = one.folds.label_idx[scored_mask], one.predicted_N[scored_mask]
    score = competition_score(true_idx, predicted_idx, labels.num_targets).score
    macro = macro_f1(true_idx, predicted_idx, labels.num_classes)
    return score, float(np.mean(true_idx == predicted_idx)), macro


def select_methods(names: list[str]) -> list[Method]:
    """Return the named methods; print which ones are skipped because aeon is not installed."""
    methods = [METHODS[name] for name in names]
    if find_spec("aeon") is not None:
        return methods
    for method in methods:
        if method.has_series:
            print(
                f"{method.title}: skipped, aeon is not installed. In an environment of its own: "
                f"python -m pip install -r requirements-field.txt"
            )
    return [method for method in methods if not method.has_series]


def main() -> None:
    """Fit and predict all methods and seeds, then print the table."""
    parser = argparse.ArgumentParser(description="Scores of the classifiers of the field.")
    parser.add_argument("source")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--seeds", "--seed", default="42")
    parser.add_argument("--folds", type=int, default=NUM_FOLDS, help="the first so many of five")
    parser.add_argument("--methods", default=",".join(METHODS), help="default: %(default)s")
    parser.add_argument("--run", type=Path, action="append", default=[], metavar="FOLDER")
    options = parser.parse_args()
    names, seeds = options.methods.split(","), [int(text) for text in options.seeds.split(",")]
    if unknown := set(names) - set(METHODS):
        parser.error(f"--methods: expected {', '.join(METHODS)}; got {', '.join(sorted(unknown))}")
    if not 1 <= options.folds <= NUM_FOLDS:
        parser.error(f"--folds: expected 1 to {NUM_FOLDS}, got {options.folds}")
    if options.run and len(options.run) != len(seeds):
        parser.error(f"--run: expected one for each of {len(seeds)} seeds, got {len(options.run)}")
    options.state.mkdir(parents=True, exist_ok=True)
    methods = select_methods(names)
    found: dict[str, list[Predictions]] = {}
    for position, seed in enumerate(seeds):
        config = make_config("full", {"data.source": options.source, "seed": seed}, environment={})
        inputs = FieldInputs.read(config)
        for method in methods:
            one = predict(method, inputs, seed, options.folds, options.state)
            found.setdefault(method.title, []).append(one)
        for run in options.run[position : position + 1]:
            for title, one in run_predictions(RunReader(run), inputs.folds, options.folds):
                found.setdefault(title, []).append(one)
    lines = (table_line(title, of_seeds, options.folds) for title, of_seeds in found.items())
    print("\n".join((HEAD, *lines)))


if __name__ == "__main__":
    main()
