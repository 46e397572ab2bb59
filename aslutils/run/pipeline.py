"""All stages in a row: what `run_all.sh` runs once the environment is set up.

A stage runs again only if its parameters, inputs or code have changed or its outputs are missing. These are recorded in
`datamount/<run>/stages/`.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from aslutils.data.folds import read_folds
from aslutils.reading.tflite import FIXED
from aslutils.run import stages
from aslutils.run.fingerprint import difference, made_from
from aslutils.run.place import KIT, usable_gpus
from aslutils.run.sessions import remembered_data, run_folder
from aslutils.system.errors import TimeLimit, UserError
from aslutils.system.files import locked, writable, write_json
from aslutils.system.inputs import read_json
from aslutils.system.processes import as_interrupt
from aslutils.system.progress import duration


def _absolute(path: str) -> str:
    """A path that the user named, as notebooks, which run in the kit's folder, take it; "" stays so."""
    return str(Path(path).expanduser().resolve()) if path else ""


@dataclass(eq=False)
class Stage:
    """One execution of a notebook."""

    name: str                        # the notebook's stem
    parameters: dict                 # all of them
    inputs: list[Path]               # files that it reads
    outputs: list[Path]              # files that it writes; one missing means that the stage stopped early


def plan(profile: Path, run: str, data: str, seeds: list[int], processes: int) -> list[Stage]:
    """The stages in order, with all parameters checked.

    profile: a folder of parameter files; data: the user's, "" for the profile's, else that of an earlier call, else the demo's;
    seeds: of round 2, [] for the profile's; processes: trainings at once. Raises as `stages.parameters` does.
    """
    folder = run_folder(run)
    data = data or _absolute(stages.parameters(stages.FOLDS, profile / f"{stages.FOLDS}.yaml")["data"]) or remembered_data(folder)

    def stage(name, inputs, outputs, **own):
        return Stage(name, parameters(name, **own), inputs, outputs)

    def parameters(name, **own):
        found = {"data": data, **({"processes": processes} if processes else {})} if name in stages.TRAININGS else {}
        values = stages.parameters(name, profile / f"{name}.yaml", {"run": run, **found, **own})
        return values | {name: _absolute(values[name]) for name in ("init", "folds_file") if name in values}

    def files(*names):
        return [Path(name) for name in names if name]

    seeds = stages.seeds(seeds, parameters(stages.SEEDS))
    first, second = parameters(stages.FOLDS), parameters(stages.SEEDS, seeds=seeds)
    stages.check_rounds(first, second)
    if first["folds_file"]:
        read_folds(first["folds_file"])
    predictions = [folder / "round1" / f"fold{fold}" / "predictions.csv" for fold in first["folds"]]
    trained = [folder / "round2" / f"seed{seed}" / "checkpoint.pt" for seed in seeds]
    exported = [Path(_absolute(path)) for path in parameters(stages.EXPORT)["checkpoints"]] or trained
    table = folder / "train_folded_oof_supp.csv"
    export = [folder / "export" / name for name in ("model.tflite", "inference_args.json", "report.json")]
    fixed = [folder / "export" / FIXED] if parameters(stages.EXPORT)["fixed_frames"] else []
    submission = [folder / "submission" / name for name in ("submission.zip", "report.json")]
    return [
        stage(stages.FOLDS, files(data, first["folds_file"], first["init"]),
              [*predictions, folder / "store" / "store.json"]),
        stage(stages.TABLE, [folder / "folds.csv", *predictions], [table]),
        stage(stages.SEEDS, [table, folder / "store" / "store.json", *files(second["init"])], trained, seeds=seeds),
        stage(stages.EXPORT, exported, [*export, *fixed], checkpoints=[str(path) for path in exported]),
        stage(stages.SUBMISSION, export, submission),                           # it uses the run's own data
    ]


def run_stages(profile: Path, *, run: str, data: str, start: str, seeds: list[int], processes: int, fresh: bool) -> None:
    """Run the stages from `start` on, then write the report and print the table.

    profile, data: as for `plan`; start: the first stage to redo with all that follow, "": run only outdated stages; processes:
    trainings at once, 0 for one per GPU or two on a CPU; fresh: redo every stage and train from scratch. Raises UserError,
    TimeLimit or FileNotFoundError.
    """
    from aslutils.run.report import figures, write_report  # its packages may not be installed yet when only --help runs

    began = time.monotonic()
    folder = run_folder(run)
    planned = plan(profile, run, _absolute(data), seeds, processes or usable_gpus())
    as_interrupt("SIGTERM", "SIGHUP")             # end the notebook too
    writable(folder)
    with locked(folder, lambda process: UserError(f"{folder} is being run by process {process}: wait for it, or choose another "
                                                  "name (--run)")):
        pipeline = Pipeline(folder, fresh)
        for stage in planned[stages.STAGES.index(start or stages.FOLDS):]:
            pipeline.run_stage(stage, redo="as requested" if start or fresh else "")
        write_report(folder)
    print(_told(folder, figures(folder)))
    print(f"\nAll stages done in {duration(time.monotonic() - began)}.")


class Pipeline:
    """Runs stages with papermill and prints their progress."""

    def __init__(self, folder: Path, fresh: bool):
        self.folder, self.fresh = folder, fresh
        self.teller = _Teller()

    def record(self, stage: Stage) -> Path:
        return self.folder / "stages" / f"{stage.name}.json"

    def executed(self, stage: Stage) -> Path:
        """The notebook of a stage's last complete execution."""
        return self.folder / "notebooks" / f"{stage.name}.ipynb"

    def unfinished(self, stage: Stage) -> Path:
        """The notebook while it runs; a failed one stays here, so that a complete one is never overwritten."""
        return self.folder / "notebooks" / "unfinished" / f"{stage.name}.ipynb"

    def outdated(self, stage: Stage, now: dict) -> str:
        """Why the stage must run again, in words; "" if nothing has changed and its outputs exist."""
        if not self.record(stage).is_file():
            return "it has not run yet"
        gone = [path for path in stage.outputs if not path.exists()]
        return f"{gone[0]} is missing" if gone else difference(read_json(self.record(stage)).get("made_from", {}), now)

    def run_stage(self, stage: Stage, redo: str = "") -> None:
        """Run a stage, unless it is up to date and there is no other reason to `redo` it.

        Raises UserError if it fails, TimeLimit if it stops early.
        """
        now = made_from(stage.name, stage.parameters, stage.inputs, self.folder)
        why = redo or self.outdated(stage, now)
        if not why:
            self.teller.say(f"{stage.name}: nothing has changed since {read_json(self.record(stage))['ended']}, kept")
            return
        self.teller.say(f"{stage.name}: started, {why}")
        run = _Run(stage, self)
        try:
            while not run.ended():
                time.sleep(0.3)
                self.teller.progress(run.state())
        finally:
            run.stop()
            self.teller.clear()
        self._conclude(run, now)

    def _conclude(self, run, now: dict) -> None:
        stage, seconds = run.stage, time.monotonic() - run.began
        if run.process.returncode:
            raise UserError(_failure(stage, self.unfinished(stage), run.log))
        missing = [path for path in stage.outputs if not path.exists()]
        if missing:
            raise TimeLimit(f"{stage.name} stopped early (max_minutes?): {missing[0]} is missing. "
                            f"Run again{' without --fresh' if self.fresh else ''} to continue. "
                            f"Its output: {self.unfinished(stage)}")
        os.replace(self.unfinished(stage), self.executed(stage))
        with contextlib.suppress(OSError):        # other unfinished notebooks may be there
            self.unfinished(stage).parent.rmdir()
        write_json(self.record(stage), {"made_from": now, "seconds": round(seconds, 1),
                                        "ended": time.strftime("%Y-%m-%d %H:%M:%S"), "parameters": stage.parameters})
        self.teller.say(f"{stage.name}: done in {duration(seconds)}")


class _Run:
    """One papermill process."""

    def __init__(self, stage: Stage, pipeline: Pipeline):
        self.stage, self.began = stage, time.monotonic()
        executed, unfinished = pipeline.executed(stage), pipeline.unfinished(stage)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        self.status = executed.with_suffix(".progress")
        self.status.unlink(missing_ok=True)
        self.log = executed.with_suffix(".log")
        own = dict(stage.parameters)
        if stage.name in stages.TRAININGS:
            own["fresh"] = own["fresh"] or pipeline.fresh
        parameters = executed.with_suffix(".yaml")
        parameters.write_text(json.dumps(own, default=str, ensure_ascii=False), encoding="utf-8")         # such JSON is YAML
        command = [sys.executable, "-m", "aslutils.run.execute", str(os.getpid()), str(KIT / "notebooks" / f"{stage.name}.ipynb"),
                   str(unfinished), "-f", str(parameters), "--no-progress-bar", "--cwd", str(KIT)]
        environment = {**os.environ, "ASLUTILS_PROGRESS": str(self.status), "JUPYTER_PREFER_ENV_PATH": "1",
                       "OMP_WAIT_POLICY": "passive", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment,
                                            start_new_session=True)

    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self):
        """End papermill and its kernel if they are still running, and remove the line of progress."""
        if not self.ended():
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()
        self.status.unlink(missing_ok=True)

    def state(self) -> str:
        line = self.status.read_text(encoding="utf-8") if self.status.is_file() else ""
        return f"{self.stage.name} {duration(time.monotonic() - self.began)}{': ' + line if line else ''}"


class _Teller:
    """Prints messages and progress: one updating line on a terminal, else a line every half minute."""

    def __init__(self):
        self.terminal = bool(sys.stdout and sys.stdout.isatty())
        self.told = 0.0

    def say(self, line: str):
        print(("\r\033[K" if self.terminal else "") + time.strftime("%H:%M:%S ") + line, flush=True)
        self.told = time.monotonic()

    def clear(self):
        """Leave an empty line for what comes next."""
        if self.terminal:
            print("\r\033[K", end="", flush=True)

    def progress(self, state: str):
        if self.terminal:
            width = os.get_terminal_size().columns
            print("\r\033[K" + state[:width - 1], end="", flush=True)
        elif time.monotonic() - self.told > 30:
            self.say(state)


def _failure(stage: Stage, executed: Path, log: Path) -> str:
    """The failure of a stage, in words: its name, the error, and the files to look at."""
    import nbformat  # as above

    error = ""
    if executed.is_file():
        try:
            outputs = [output for cell in nbformat.read(executed, 4).cells for output in cell.get("outputs", [])]
        except (nbformat.reader.NotJSONError, nbformat.ValidationError, KeyError):        # papermill was cut off as it wrote
            outputs = []
        error = next((f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"), "")
    error = error or "\n".join(log.read_text(errors="replace").strip().splitlines()[-5:])
    return f"{stage.name} failed.\n  {error}\n  The executed notebook: {executed}\n  papermill's log: {log}"


def _told(folder: Path, rows: list[tuple[str, str]]) -> str:
    """The run's figures and files as a table."""
    lie = {"model": "export/model.tflite", "submission": "submission/submission.zip", "networks": "round2",
           "executed notebooks": "notebooks", "report": "report.html"}
    rows = rows + [(name, str(folder / path)) for name, path in lie.items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(["", f"Run {folder.name}", *(f"  {name:<{width}}  {value}" for name, value in rows)])
