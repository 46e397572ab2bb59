"""All notebooks in a row, each a stage: what `run_all.sh` runs once the environment stands.

A stage is done again only when its parameters or its inputs have changed or its outputs are gone; what it was made from is kept
in `datamount/<run>/stages/`. `python -m aslutils.run.pipeline --help` lists the options.
"""

import argparse
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from aslutils import kaggle
from aslutils.run.place import KIT
from aslutils.system.files import read_json, write_json

NOTEBOOKS = ("01_round1_folds", "02_build_oof", "03_fullfit", "04_convert_tflite", "05_submission_kernel")
# Parameters that change no result: a stage is not done again for them.
UNIMPORTANT = {"run", "fresh", "processes", "threads", "workers", "max_minutes", "checkpoint_minutes", "evaluate_every",
               "tracker"}
TRAINS = ("01_round1_folds", "03_fullfit")        # the notebooks that train, and so read the data


@dataclass(eq=False)
class Stage:
    """One execution of a notebook."""

    name: str                        # the notebook's stem
    parameters: dict                 # all of them: the YAML file's, then this execution's own
    inputs: list[Path]               # files that it reads
    outputs: list[Path]              # files that it leaves; one missing means that the stage stopped early

    def fingerprint(self) -> str:
        """What the stage is made from: parameters that change results, and the content of its inputs."""
        parameters = {name: value for name, value in self.parameters.items() if name not in UNIMPORTANT}
        digest = hashlib.sha256(json.dumps(parameters, sort_keys=True, default=str).encode())
        for path in self.inputs:
            digest.update(_content(path))
        return digest.hexdigest()


def _content(path: Path) -> bytes:
    """A file's digest; of a folder (the user's data) the names, sizes and times of its files."""
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file())
        states = [(str(file.relative_to(path)), file.stat()) for file in found]
        return json.dumps([(name, state.st_size, state.st_mtime_ns) for name, state in states]).encode()
    if not path.is_file():
        return b"absent"
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def stages(profile: Path, run: str, data: str, seeds: list[int], jobs: int) -> list[Stage]:
    """The stages in order. profile: a folder of parameter files; jobs: seeds that are trained at once."""
    from aslutils.system.parameters import read_params  # needs YAML: --help works before anything is installed

    folder = kaggle.run_folder(run)
    params = {notebook: read_params(profile / f"{notebook}.yaml") for notebook in NOTEBOOKS}

    def stage(notebook, inputs, outputs, **own):
        found = {"data": data} if notebook in TRAINS else {}
        return Stage(notebook, {**params[notebook], "run": run, **found, **own}, inputs, outputs)

    first = params["01_round1_folds"]
    predictions = [folder / "round1" / f"fold{fold}" / "predictions.csv" for fold in first.get("folds", range(4))]
    checkpoints = [folder / "round2" / f"seed{seed}" / "checkpoint.pt" for seed in seeds]
    table = folder / "train_folded_oof_supp.csv"
    export = [folder / "export" / name for name in ("model.tflite", "inference_args.json", "report.json")]
    submission = [folder / "submission" / name for name in ("submission.zip", "report.json")]
    return [
        stage("01_round1_folds", [Path(name).resolve() for name in (data, first.get("folds_file", "")) if name],
              [*predictions, folder / "store" / "store.json"]),
        stage("02_build_oof", [folder / "folds.csv", *predictions], [table]),
        stage("03_fullfit", [table, folder / "store" / "store.json"], checkpoints, seeds=seeds, processes=jobs),
        stage("04_convert_tflite", checkpoints, export, checkpoints=[str(checkpoint) for checkpoint in checkpoints]),
        stage("05_submission_kernel", export, submission),                      # it finds the data that the run was made from
    ]


class Pipeline:
    """Runs stages with papermill and tells a person about it."""

    def __init__(self, run: str, fresh: bool = False):
        self.fresh = fresh
        self.folder = kaggle.run_folder(run)
        self.teller = _Teller()

    def record(self, stage: Stage) -> Path:
        return self.folder / "stages" / f"{stage.name}.json"

    def executed(self, stage: Stage) -> Path:
        """The notebook of a stage's last whole execution."""
        return self.folder / "notebooks" / f"{stage.name}.ipynb"

    def unfinished(self, stage: Stage) -> Path:
        """The notebook while it runs; it stays where it fails or stops, so that a finished one is never lost."""
        return self.folder / "notebooks" / "unfinished" / f"{stage.name}.ipynb"

    def is_current(self, stage: Stage) -> bool:
        """Whether the stage was finished with these parameters and inputs and its outputs are still there."""
        if not self.record(stage).is_file() or not all(path.exists() for path in stage.outputs):
            return False
        return read_json(self.record(stage))["fingerprint"] == stage.fingerprint()

    def run_stage(self, stage: Stage, redo: bool = False) -> None:
        """Run a stage, unless it is current and not to `redo`. Raises StageError when it fails or stops."""
        if not redo and not self.fresh and self.is_current(stage):
            self.teller.say(f"{stage.name}: nothing has changed since {read_json(self.record(stage))['ended']}, kept")
            return
        self.teller.say(f"{stage.name}: started")
        run = _Run(stage, self)
        try:
            while not run.ended():
                time.sleep(0.3)
                self.teller.progress(run.state())
        finally:
            run.stop()
        self._conclude(run)

    def _conclude(self, run) -> None:
        stage, seconds = run.stage, time.monotonic() - run.began
        if run.process.returncode:
            raise StageError(_failure(stage, self.unfinished(stage), run.log))
        missing = [path for path in stage.outputs if not path.exists()]
        if missing:
            raise StageError(f"{stage.name} stopped before its end (max_minutes?): it did not leave {missing[0]}. "
                             f"Run again to go on. What it printed: {self.unfinished(stage)}", stopped=True)
        os.replace(self.unfinished(stage), self.executed(stage))
        with contextlib.suppress(OSError):        # of other stages something may stay
            self.unfinished(stage).parent.rmdir()
        write_json(self.record(stage), {"fingerprint": stage.fingerprint(), "seconds": round(seconds, 1),
                                        "ended": time.strftime("%Y-%m-%d %H:%M:%S"), "parameters": stage.parameters})
        self.teller.say(f"{stage.name}: done in {_duration(seconds)}")


class StageError(Exception):
    """A stage failed, or stopped before its end; the message says all that a person needs."""

    def __init__(self, message, stopped=False):
        super().__init__(message)
        self.stopped = stopped


class _Run:
    """One papermill process."""

    def __init__(self, stage: Stage, pipeline: Pipeline):
        self.stage, self.began = stage, time.monotonic()
        executed, unfinished = pipeline.executed(stage), pipeline.unfinished(stage)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        self.status = executed.with_suffix(".progress")
        self.status.unlink(missing_ok=True)
        self.log = executed.with_suffix(".log")
        own = {**stage.parameters, "run": pipeline.folder.name}
        if stage.name in TRAINS:
            own["fresh"] = own.get("fresh", False) or pipeline.fresh
        parameters = executed.with_suffix(".yaml")
        parameters.write_text(json.dumps(own, default=str))                     # JSON is YAML
        command = [sys.executable, "-m", "papermill", str(KIT / "notebooks" / f"{stage.name}.ipynb"), str(unfinished),
                   "-f", str(parameters), "--no-progress-bar", "--cwd", str(KIT)]
        environment = {**os.environ, "ASLUTILS_PROGRESS": str(self.status), "JUPYTER_PREFER_ENV_PATH": "1",
                       "OMP_WAIT_POLICY": "passive", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment,
                                            start_new_session=True)

    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self):
        """End papermill and its kernel, where they have not ended."""
        if not self.ended():
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()

    def state(self) -> str:
        line = self.status.read_text(encoding="utf-8") if self.status.is_file() else ""
        return f"{self.stage.name} {_duration(time.monotonic() - self.began)}{': ' + line if line else ''}"


class _Teller:
    """Prints what happens; progress is one moving line on a terminal, else a line every half minute."""

    def __init__(self):
        self.terminal = sys.stdout.isatty()
        self.told = 0.0

    def say(self, line: str):
        print(("\r\033[K" if self.terminal else "") + time.strftime("%H:%M:%S ") + line, flush=True)
        self.told = time.monotonic()

    def progress(self, state: str):
        if self.terminal:
            width = os.get_terminal_size().columns
            print("\r\033[K" + state[:width - 1], end="", flush=True)
        elif time.monotonic() - self.told > 30:
            self.say(state)


def _gpus() -> int:
    """How many GPUs there are to use: those that CUDA_VISIBLE_DEVICES allows, else all."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return sum(bool(name.strip()) for name in os.environ["CUDA_VISIBLE_DEVICES"].split(","))
    try:
        asked = subprocess.run(["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True)
    except FileNotFoundError:
        return 0
    return len(asked.stdout.split()) if asked.returncode == 0 else 0


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def _failure(stage: Stage, executed: Path, log: Path) -> str:
    """What went wrong in a notebook: its name, the error itself, where to look."""
    import nbformat  # as above

    error = ""
    if executed.is_file():
        outputs = [output for cell in nbformat.read(executed, 4).cells for output in cell.get("outputs", [])]
        error = next((f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"), "")
    error = error or "\n".join(log.read_text(errors="replace").strip().splitlines()[-5:])
    return f"{stage.name} failed.\n  {error}\n  The executed notebook: {executed}\n  papermill's log: {log}"


def summary(folder: Path) -> str:
    """The run in a table: scores, size, latency, and where everything lies."""
    from aslutils.task.metric import HIDDEN_SEQUENCES, MAX_HOURS, MAX_MEGABYTES  # needs rapidfuzz: as above

    export, submission = read_json(folder / "export" / "report.json"), read_json(folder / "submission" / "report.json")
    people = "held-out participants" if "held-out" in export["scored_on"] else "recordings that were trained on"
    milliseconds = f"{_number(submission['mean_ms'], '.1f')} / {_number(submission['p95_ms'], '.1f')} ms a recording"
    skipped = read_json(folder / "store" / "store.json")["source"]["skipped"] if (folder / "store").is_dir() else 0
    rows = [
        (f"score on {people}, {export['compared']} recordings: PyTorch / exported file",
         f"{_number(export.get('score'), '.4f')} / {_number(export.get('score_exported'), '.4f')}"),
        ("score by the competition's scorer (exported file)", _number(submission.get("score"), ".4f")),
        ("scored on", submission["scored_on"]),
        ("confidence: spoilt from good recordings, AUC", _number(export.get("confidence_auc"), ".3f")),
        ("model size", f"{submission['megabytes']:.1f} MB of {MAX_MEGABYTES} "
                       f"({submission['precision']}, {submission['seeds']} networks)"),
        ("latency, mean / 95 %", milliseconds),
        (f"projected for {HIDDEN_SEQUENCES:,} recordings", f"{_number(submission['projected_hours'], '.2f')} h of {MAX_HOURS}"),
        *([("recordings left out", f"{skipped:,}, listed in {folder / 'store' / 'skipped.csv'}")] if skipped else []),
        ("model", folder / "export" / "model.tflite"),
        ("submission", folder / "submission" / "submission.zip"),
        ("networks", folder / "round2"),
        ("executed notebooks", folder / "notebooks"),
        ("report", folder / "report.html"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {value}" for name, value in rows]
    return "\n".join(["", f"Run {folder.name}", *lines])


def _number(value, form: str) -> str:
    return "not measured" if value is None else format(value, form)


def main(arguments=None) -> int:
    """Run the stages; 0 when all are done, 1 when one failed, 3 when one stopped at its time limit, 2 for wrong options."""
    parser = argparse.ArgumentParser(prog="run_all.sh", description="Run the five notebooks: from landmark files to a scored, "
                                     "packaged TFLite model. Without --data a small demo data set is made first.")
    parser.add_argument("--profile", default="demo",
                        help="the parameters: demo (default) or winning, or a folder with files like those in params/demo")
    parser.add_argument("--data", default="", help="folder of competition files or of the published preprocessed .npy files")
    parser.add_argument("--run", default="", help="name of the run: artefacts go to datamount/RUN (default: the profile's name)")
    parser.add_argument("--from", dest="start", default="", metavar="STAGE",
                        help="redo this stage (01 .. 05) and what follows; finished trainings stay unless --fresh")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="seeds of round 2 (default: 1 2)")
    parser.add_argument("--jobs", type=int, default=0, help="seeds trained at once (default: one a GPU, or 2 on a CPU)")
    parser.add_argument("--fresh", action="store_true", help="redo every stage, and train anew")
    options = parser.parse_args(arguments)
    profiles = sorted(path.name for path in (KIT / "params").iterdir() if path.is_dir())
    profile = KIT / "params" / options.profile if options.profile in profiles else Path(options.profile)
    if not profile.is_dir():
        parser.error(f"there is no profile {options.profile!r}; there are {', '.join(profiles)}")
    starts = [notebook for notebook in NOTEBOOKS if notebook.startswith(options.start or "01")]
    if len(starts) != 1:
        parser.error(f"there is no stage {options.start!r}; give one of {', '.join(NOTEBOOKS)}, or its number")
    if options.data and not Path(options.data).is_dir():
        parser.error(f"there is no folder {options.data}; --data takes a folder of competition files or of published .npy files")
    if options.jobs < 0 or len(set(options.seeds)) < len(options.seeds):
        parser.error(f"--jobs {options.jobs} and --seeds {options.seeds}: at least 0, and every seed once")
    try:
        return _run(options, profile, NOTEBOOKS.index(starts[0]))
    except KeyboardInterrupt:
        print("\nInterrupted; run again to go on from the last checkpoint.", file=sys.stderr)
        return 130
    except (StageError, ValueError, FileNotFoundError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 3 if isinstance(error, StageError) and error.stopped else 1


def _run(options, profile: Path, start: int) -> int:
    run = options.run or profile.name
    data = str(Path(options.data).resolve()) if options.data else _remembered_data(kaggle.run_folder(run))
    jobs = options.jobs or _gpus() or min(2, os.cpu_count() or 1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)                   # `kill` ends the notebook too, as Ctrl-C does
    pipeline = Pipeline(run, options.fresh)
    began = time.monotonic()
    for stage in stages(profile, run, data, options.seeds, jobs)[start:]:
        pipeline.run_stage(stage, redo=bool(options.start))
    from aslutils.run.report import write_report  # needs nbformat: --help works before anything is installed

    write_report(pipeline.folder)
    print(summary(pipeline.folder))
    print(f"\nAll stages done in {_duration(time.monotonic() - began)}.")
    return 0


def _remembered_data(folder: Path) -> str:
    """The data that the run was made from, when it was the user's: a later call need not name it again."""
    known = read_json(folder / "corpus.json") if (folder / "corpus.json").is_file() else {"kind": "demo"}
    return "" if known["kind"] == "demo" else known["data"]


if __name__ == "__main__":
    sys.exit(main())
