"""Kaggle as a cluster: push the kernels of a plan, wait for them, continue those that ran out of time.

All progress is stored in `<out>/state.json`, so the command can be stopped and started again at any time: the kernels keep
running on Kaggle, and finished work is kept.
"""

import hashlib
import json
import re
import shutil
import time
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

from aslutils.kaggle.client import KaggleError, run_client
from aslutils.kaggle.kernels import Kernel, write_kernel_metadata
from aslutils.kaggle.publish import publish
from aslutils.run.sessions import SESSION
from aslutils.run.stages import TRAININGS
from aslutils.system.files import locked, writable, write_json, write_text
from aslutils.system.inputs import read_json
from aslutils.system.parameters import decisive
from aslutils.system.progress import progress

VERSION = 2                                      # of state.json
PATIENCE = 10                                    # consecutive polls that Kaggle may leave unanswered
RUNNING = ("QUEUED", "RUNNING", "NEW_SCRIPT", "CANCEL_REQUESTED")
FULL = re.compile(r"maximum.*session|session count", re.IGNORECASE)          # Kaggle limits the number of concurrent GPU sessions
OUT_OF_TIME = re.compile(r"time limit|timed? ?out|exceeded.*(time|duration|hours)|maximum.*(time|duration)", re.IGNORECASE)


def alone(out) -> AbstractContextManager:
    """Nobody else writes or pushes the kernels in the folder `out` meanwhile. Raises KaggleError naming the process that does."""
    return locked(writable(out), lambda process: KaggleError(f"{out}: process {process} is already pushing these kernels"))


class Cluster:
    """The state of a plan's kernels on Kaggle; call `Cluster(kernels, out, user).run()` within `alone(out)`.

    out: the folder that `write_kernels` wrote; poll: seconds between polls; sessions: maximum number for one kernel.
    """

    def __init__(self, kernels: list[Kernel], out, user: str, *, poll: float = 60, sessions: int = 50):
        self.kernels, self.out, self.user = kernels, Path(out), user
        self.poll, self.sessions = poll, sessions
        self.unanswered = 0                                      # consecutive polls without an answer from Kaggle
        stored = self.out / "state.json"
        self.state = read_json(stored) if stored.is_file() else {"version": VERSION}
        if self.state.get("version") != VERSION:
            raise KaggleError(f"{stored} was written by another version of the kit; finish with that one, or use another --run")
        self._forget_changed()

    def _forget_changed(self) -> None:
        """Forget the state of kernels whose parameters have changed, and of all that read their output."""
        dropped = set()
        for kernel in self.kernels:
            known = self.state.get(kernel.name)
            if dropped.intersection(kernel.needs) or (known and known["digest"] != _digest(kernel)):
                self.state.pop(kernel.name, None)
                dropped.add(kernel.name)

    def run(self) -> None:
        """Push kernels, wait and continue until all are done.

        Raises KaggleError naming the kernel that failed, with the end of its log.
        """
        self._publish_kit()
        self._wait_for_all()

    def _wait_for_all(self) -> None:
        with progress(total=len(self.kernels), what="Kaggle", unit="kernels") as bar:
            while True:
                self._step_all()
                done = sum(self._is(kernel.name, "done") for kernel in self.kernels)
                bar.set_postfix_str(self._words(), refresh=False)
                bar.update(done - bar.n)
                if done == len(self.kernels):
                    return
                time.sleep(self.poll)

    def _step_all(self) -> None:
        """Advance every kernel; if Kaggle does not answer, retry at the next poll, up to PATIENCE times in a row."""
        try:
            for kernel in self.kernels:
                self._step(kernel)
            self.unanswered = 0
        except KaggleError as error:
            self.unanswered += 1
            if error.kind != "server" or self.unanswered > PATIENCE:
                raise
            print(f"{error}\nRetrying in {self.poll:g} s.", flush=True)

    def _publish_kit(self) -> None:
        folder = self.out / "dataset"
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        content = b"".join(str(path.relative_to(folder)).encode() + path.read_bytes() for path in files)
        digest = hashlib.sha256(content).hexdigest()
        if self.state.get("dataset") != digest:
            publish(folder, message="The kit's code", poll=min(self.poll, 10))
            self._remember("dataset", digest)

    def _is(self, name: str, what: str) -> bool:
        return self.state.get(name, {}).get("state") == what

    def _remember(self, name: str, value) -> None:
        self.state[name] = value
        write_json(self.out / "state.json", self.state)

    def _words(self) -> str:
        """The state of the unfinished kernels, in words: "01_round1_folds_fold0 running 1:20:03, session 2"."""
        words = []
        for kernel in self.kernels:
            known = self.state.get(kernel.name, {"state": "waits"})
            if known["state"] == "pushed":
                since = timedelta(seconds=int(time.time() - known["since"]))
                session = f", session {known['session']}" if known["session"] > 1 else ""
                words.append(f"{kernel.name} {known['status'].lower()} {since}{session}")
        waiting = len(self.kernels) - len(words) - sum(self._is(kernel.name, "done") for kernel in self.kernels)
        return "; ".join(words + ([f"{waiting} waiting"] if waiting else []))

    def _step(self, kernel: Kernel) -> None:
        """Advance one kernel as far as possible without waiting."""
        if self._is(kernel.name, "pushed"):
            self._look(kernel)
        elif not self._is(kernel.name, "done") and all(self._is(name, "done") for name in kernel.needs):
            self._push(kernel)

    def _push(self, kernel: Kernel) -> None:
        """Push a kernel's next session; if Kaggle's session limit is reached, leave it for a later poll."""
        known = self.state.get(kernel.name, {"session": 0, "progress": None})
        session = known["session"] + 1
        folder = self.out / (kernel.name if session == 1 else f"{kernel.name}_session{session}")
        if session > 1:
            folder.mkdir(exist_ok=True)
            shutil.copyfile(self.out / kernel.name / kernel.code, folder / kernel.code)
        sources = [self.state[name]["reference"] for name in kernel.needs] + ([known["reference"]] if session > 1 else [])
        reference = kernel.reference(self.user, session)
        write_kernel_metadata(folder, kernel, reference, self.user, sources)
        try:
            run_client("kernels", "push", "-p", folder)
        except KaggleError as error:
            if FULL.search(str(error)):
                return
            if re.search("quota", str(error), re.IGNORECASE):
                raise KaggleError(f"{error}\nStart the same command again when the quota is renewed; finished work is kept.",
                                  error.kind) from None
            raise
        self._remember(kernel.name, {"state": "pushed", "status": "queued", "session": session, "reference": reference,
                                     "since": time.time(), "progress": known["progress"], "digest": _digest(kernel)})

    def _look(self, kernel: Kernel) -> None:
        """Check a pushed kernel: running, done, out of time, or failed."""
        known = self.state[kernel.name]
        said = run_client("kernels", "status", known["reference"])
        status = re.search(r'has status "(?:\w+\.)?(\w+)"', said)
        status = status.group(1) if status else "unknown"
        if status in RUNNING:
            known["status"] = status
            return
        stopped = status != "COMPLETE"
        if stopped and not (kernel.notebook in TRAININGS and OUT_OF_TIME.search(said)):
            self._fail(kernel, said)
        note = self._note(kernel)
        if note and note["finished"] and not stopped:
            self._remember(kernel.name, {**known, "state": "done"})
        elif kernel.notebook in TRAININGS and (note or stopped):
            self._go_on(kernel, note)
        else:
            self._fail(kernel, "it ended before its last cell")

    def _note(self, kernel: Kernel) -> dict | None:
        """The note in the kernel's output on how its last stage ended."""
        folder = self.out / kernel.name / "output"
        shutil.rmtree(folder, ignore_errors=True)
        run_client("kernels", "output", self.state[kernel.name]["reference"], "-p", folder,
                   "--file-pattern", rf"(^|/){re.escape(SESSION)}$")
        notes = list(folder.rglob(SESSION))
        return read_json(notes[0]) if notes else None

    def _go_on(self, kernel: Kernel, note: dict | None) -> None:
        """Push the next session of a training that ran out of time, unless the last one made no progress."""
        known = self.state[kernel.name]
        came = note["progress"] if note else "unknown"
        if came == known["progress"]:
            self._fail(kernel, f"session {known['session']} got no further than the previous one ({came}); a session is too "
                               "short for one epoch, or it could not read the earlier output")
        if known["session"] >= self.sessions:
            self._fail(kernel, f"it has not finished after {known['session']} sessions ({came})")
        self._remember(kernel.name, {**known, "state": "out of time", "progress": came})
        self._push(kernel)

    def _fail(self, kernel: Kernel, why: str) -> None:
        """Fetch the kernel's log, mark its last session to be pushed again at the next start, and raise."""
        known = self.state[kernel.name]
        reference = known["reference"]
        try:
            log = _log_text(run_client("kernels", "logs", reference))
        except KaggleError as error:
            log = f"Kaggle does not return it: {error}"
        path = write_text(self.out / kernel.name / "log.txt", log)
        before = known["session"] - 1
        self._remember(kernel.name, {**known, "state": "failed", "session": before, "progress": None,
                                     "reference": kernel.reference(self.user, before)})
        end = "\n".join(log.splitlines()[-25:])
        raise KaggleError(f"the kernel {reference} failed: {why}\nThe end of its log ({path}):\n{end}\n"
                          f"Start the same command again to push {reference} again; finished work is kept.")


def _digest(kernel: Kernel) -> str:
    """A digest of the parameters that decide a kernel's output (and not, for example, when its session ends)."""
    made_from = {**decisive(kernel.parameters), "kernel": kernel.slug}
    if not kernel.competition:                   # only then: the digests of kernels that run by now stay as they are
        made_from["data"] = "demo"
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def _log_text(said: str) -> str:
    """A kernel's log as text. Kaggle stores it as JSON: a list of pieces with stream and time."""
    try:
        pieces = json.loads(said)
    except json.JSONDecodeError:
        return said
    return "".join(piece.get("data", "") for piece in pieces) if isinstance(pieces, list) else said
