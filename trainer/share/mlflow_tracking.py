"""MLflow: a parent run for a run, a child run for each fold of each model.

In: a run and the address of a tracking server. Out: parameters, curves, scores and files on it.
Runs are found again by their tags, so a second call, or one after a kill, adds what is missing:
each point that the server has is left as it is. Only the client is needed, ``mlflow-skinny``.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from trainer.share import ShareError
from trainer.share.shared_run import SharedRun, demand, safe_key
from trainer.store.checksums import CODE_FOLDER, CheckedFolder
from trainer.store.durable import sha256
from trainer.store.names import RunPaths

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "gestures"  # unless MLFLOW_EXPERIMENT_NAME is set
RUN, PART, FILE = "gesture.run", "gesture.part", "gesture.sha256."  # tags
WHOLE = "run"  # the part of the parent; those of folds are such as "lgbm/0"
STATUS = {  # of the run to MLflow's; a paused run waits
    "finished": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
    "paused": "SCHEDULED",
}
ENVIRONMENT = {  # unless set: reports of usage, lines on each run, 7 attempts of two minutes
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}

Points = Iterable[tuple[str, float, int, float]]  # name, number, step, time in s since 1970


def share_to_mlflow(run: SharedRun, uri: str | None) -> str:
    """Send a run, or what is new of it; return what was done, in words.

    Args:
        run: The run.
        uri: The address; None is MLflow's own choice, such as ``MLFLOW_TRACKING_URI``.

    Raises:
        LibraryError: MLflow's client cannot be imported.
        ShareError: The server cannot be reached, or refuses.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    demand("mlflow", "MLflow's client")
    with _reporting():
        from mlflow import MlflowClient

        target = Target(MlflowClient(uri), run)
        target.share()
    return f"{target.describe()}: {target.num_points:,} points, {target.num_files} files added"


@dataclass
class Target:
    """The runs on the server.

    Attributes:
        client: Of the server.
        run: The run.
        num_points: Points that were added.
        num_files: Files that were added or replaced.
        num_other: Points that the server has with other numbers.
    """

    client: MlflowClient
    run: SharedRun
    num_points: int = 0
    num_files: int = 0
    num_other: int = 0
    experiment: str = field(init=False)
    found: dict[str, Any] = field(init=False)

    def share(self) -> None:
        """Send the parent, its folds, the scores and the files."""
        self.experiment = self._experiment()
        self.found = {one.data.tags.get(PART, ""): one for one in self._search()}
        config = self.run.run_file
        parent = self._demand_run(
            WHOLE, self.run.name, config.created_at, {}, _parameters(self.run)
        )
        for record in self.run.folds:
            key = (record.model, record.fold)
            points, end = self.run.points.get(key, ()), self.run.fold_ends.get(key)
            child = self._demand_run(
                f"{record.model}/{record.fold}",
                f"{self.run.name} {record.model} fold {record.fold}",
                points[0].time if points else config.created_at,
                {"mlflow.parentRunId": parent.info.run_id},
                {"model": record.model, "fold": str(record.fold)},
            )
            self._add_points(child, _curve(points))
            if record.done and record.score is not None and end is not None:
                scores = {"seconds": record.seconds, **record.score.model_dump()}
                self._add_points(
                    child,
                    ((f"fold.{name}", value, 0, end.time) for name, value in scores.items()),
                )
            is_done = record.done and end is not None
            self._set_status(child, "FINISHED" if is_done else None, end.time if end else None)
        self._add_points(parent, _scores(self.run))
        self._add_files(parent)
        self._set_status(parent, None, None)

    def describe(self) -> str:
        """Return the parent's place, and a warning where the server has other numbers."""
        place = f"MLflow experiment {self.experiment}, run {self.found[WHOLE].info.run_id}"
        if self.num_other:
            place += (
                f" ({self.num_other:,} points there have other numbers than the run, because a "
                f"fold was started over; MLflow keeps them: delete the run there and share again)"
            )
        return place

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        known = self.client.get_experiment_by_name(name)
        return str(self.client.create_experiment(name) if known is None else known.experiment_id)

    def _search(self) -> Iterator[Any]:
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment], f"tags.`{RUN}` = '{self.run.identity}'", page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _demand_run(
        self,
        part: str,
        name: str,
        begun_at: float,
        tags: Mapping[str, str],
        parameters: Mapping[str, str],
    ) -> Any:  # noqa: ANN401 - a Run of MLflow
        """Return the run of a part, made where it is missing, with all parameters."""
        from mlflow.entities import Param

        if part not in self.found:
            self.found[part] = self.client.create_run(
                self.experiment,
                start_time=_milliseconds(begun_at),
                tags={RUN: self.run.identity, PART: part, **tags},
                run_name=name,
            )
        known = self.found[part]
        for key, value in tags.items():  # a parent that was deleted there has another id now
            if known.data.tags.get(key) != value:
                self.client.set_tag(known.info.run_id, key, value)
        missing = [
            Param(key, value) for key, value in parameters.items() if key not in known.data.params
        ]
        self.client.log_batch(known.info.run_id, params=missing)
        return known

    def _add_points(self, known: Any, points: Points) -> None:  # noqa: ANN401 - a Run of MLflow
        """Add the points that the server lacks."""
        from mlflow.entities import Metric

        wanted = {(key, step): (value, at) for key, value, step, at in points}
        there = {
            (key, point.step): point.value
            for key in sorted({key for key, _ in wanted} & known.data.metrics.keys())
            for point in self.client.get_metric_history(known.info.run_id, key)
        }
        new = [
            Metric(key, value, _milliseconds(at), step)
            for (key, step), (value, at) in wanted.items()
            if (key, step) not in there
        ]
        self.client.log_batch(known.info.run_id, metrics=new)
        self.num_points += len(new)
        self.num_other += sum(
            there.get(place, value) != value for place, (value, _) in wanted.items()
        )

    def _add_files(self, parent: Any) -> None:  # noqa: ANN401 - a Run of MLflow
        """Add the files that the server lacks, or has with another content."""
        folder = CheckedFolder(self.run.root)
        for name in _file_names(self.run, folder):
            data = folder.read(name)
            if data is None or parent.data.tags.get(FILE + safe_key(name)) == sha256(data):
                continue  # a damaged file is no result
            with tempfile.TemporaryDirectory() as place:
                path = Path(place) / PurePosixPath(name).name
                path.write_bytes(data)
                inside = PurePosixPath(name).parent.as_posix()
                self.client.log_artifact(
                    parent.info.run_id, str(path), None if inside == "." else inside
                )
            self.client.set_tag(parent.info.run_id, FILE + safe_key(name), sha256(data))
            self.num_files += 1

    def _set_status(self, known: Any, status: str | None, ended_at: float | None) -> None:  # noqa: ANN401
        """Set a run's status where it differs, by default that of the whole run."""
        status = status or STATUS.get(self.run.derived.state, "RUNNING")
        if known.info.status == status:
            return
        if status in ("RUNNING", "SCHEDULED"):
            self.client.update_run(known.info.run_id, status=status)
            return
        seen = self.run.derived.status
        ended_at = ended_at or (time.time() if seen is None else seen.heartbeat_at)
        self.client.set_terminated(known.info.run_id, status, _milliseconds(ended_at))


def _parameters(run: SharedRun) -> dict[str, str]:
    """Return the settings, and what the run was made of."""
    config = run.run_file
    recordings = config.recordings
    return {
        **run.settings,
        "recordings.fingerprint": recordings.fingerprint,
        "recordings.num_sequences": str(recordings.num_sequences),
        "recordings.num_subjects": str(recordings.num_subjects),
        "recordings.groups": ",".join(recordings.groups)[:500],
        "recordings.is_simulated": str(config.is_simulated).lower(),
        "project_version": config.project_version[:500],
        **{f"versions.{safe_key(name)}": text[:500] for name, text in config.versions.items()},
    }


def _curve(points: Iterable[Any]) -> Points:
    for point in points:
        for name, value in point.values.items():
            if name != "step":
                yield safe_key(name), value, int(point.values["step"]), point.time


def _scores(run: SharedRun) -> Points:
    """Yield the scores over the finished folds; their number is the step.

    Those chosen on the scored rows have a name that shows it.
    """
    if run.scores is None:
        return
    at = max((event.time for event in run.fold_ends.values()), default=run.run_file.created_at)
    for model, scores in run.scores.models.items():
        name = f"optimistic.{model}" if run.scores.is_optimistic(model) else model
        parts = {"all": scores.all_sensors, "imu": scores.imu_only}
        numbers = {"half_and_half": scores.half_and_half}
        for kind, part in parts.items():
            if part is not None:
                numbers |= {f"{kind}.mean": part.mean, f"{kind}.std": part.std}
            if part is not None and part.oof is not None:
                numbers |= {f"{kind}.oof": part.oof.score, f"{kind}.accuracy": part.oof.accuracy}
        for kind, value in numbers.items():
            if value is not None:
                yield f"score.{safe_key(name)}.{kind}", value, run.num_scored, at


def _file_names(run: SharedRun, folder: CheckedFolder) -> list[str]:
    """Return the files that are handed over: results, and what prediction needs."""
    paths = RunPaths(run.root)
    bundles = [paths.bundle(model) for model in run.run_file.models]
    results = [paths.config, paths.folds, paths.oof, paths.scores, paths.importance]
    wanted = {path.name for path in (*results, paths.resume_record, *bundles)}
    named = (ref.name for ref in folder.checksums().files)
    return [name for name in named if name in wanted or name.startswith(f"{CODE_FOLDER}/")]


def _milliseconds(seconds: float) -> int:
    return int(1000.0 * seconds)


@contextmanager
def _reporting() -> Iterator[None]:
    """Turn the errors of MLflow's client, and of what it sends with."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError, ImportError) as error:
        text = " ".join(re.sub(r"//[^/@\s]*@", "//", str(error)).split())  # without a password
        raise ShareError(
            f"MLflow: {text[:600].rstrip('.')}. Start a server (pip install mlflow, mlflow server) "
            f"and give its address, such as --to mlflow:http://127.0.0.1:5000; then share the run "
            f"again: it continues"
        ) from error
