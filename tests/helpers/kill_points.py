"""Kills a piece of work at every single change that it makes to its folder, and starts it again.

    python tests/helpers/kill_points.py WORK FOLDER

prints how many kill points there were. A kill point is the moment before a change (a file opened to be written, renamed or
removed, a folder made or removed) and, where a file is opened to be written, also a moment after, when half of it is there.
The work is started again once; it must end, leave what it leaves undisturbed, and nothing else. Each attempt is a forked process.
"""

import importlib
import itertools
import os
import shutil
import signal
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).parent)]

CHANGES = {"os.rename": 2, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1, "os.truncate": 1, "os.symlink": 2, "os.link": 2}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def demo(folder):
    from aslutils.demo.writer import write_demo
    write_demo(folder / "out", sequences=1, supplemental=1, participants=1, file_sequences=1, supplemental_repeats=1)


def prepare(folder):
    from small_corpus import corpus_rows, write_competition

    from aslutils.data.prepare import prepare
    if not (folder / "data").exists():
        write_competition(folder / "data", corpus_rows(files=2, sequences=1, supplemental=0))
    prepare(folder / "data", folder / "out", workers=1)


def train(folder):
    import torch
    from toy import toy_job, toy_store

    from aslutils.data.store import Store
    from aslutils.training.jobs import train_all
    torch.set_num_threads(1)
    store = Store(folder / "store") if (folder / "store").exists() else toy_store(folder)
    train_all([toy_job(store, folder / "out", epochs=1, checkpoint_minutes=0.0)])


def export(folder):
    from aslutils.port.export import write_export
    from aslutils.system.files import write_json
    write_export(b"model", folder / "out", fixed=b"fixed")
    write_json(folder / "out" / "report.json", {"variant": "float32"})


def publish(folder):
    from aslutils.kaggle.publish import write_dataset_metadata
    from aslutils.reading.scorer import pack
    from aslutils.system.files import write_text
    for name in ("model.tflite", "inference_args.json"):
        write_text(folder / "out" / name, "{}")
    write_dataset_metadata(folder / "out", title="Good title", slug="good-title", user="signer")
    pack(folder / "out", folder / "out" / "submission.zip")


WORKS = {work.__name__: work for work in (demo, prepare, train, export, publish)}
IMPORTS = {"demo": ["aslutils.demo.writer"], "prepare": ["aslutils.data.prepare", "small_corpus"],
           "train": ["toy", "aslutils.training.jobs", "torch._dynamo"], "export": ["aslutils.port.export"],
           "publish": ["aslutils.kaggle.publish", "aslutils.reading.scorer"]}        # before the first fork, so once


def content(folder: Path) -> dict:
    """What a finished folder holds, without what depends on the time: weights of checkpoints, the bytes of the rest."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"):
        name = str(path.relative_to(folder))
        if name.endswith(".pt"):
            import torch
            weights = torch.load(path, weights_only=True)["model"]
            found[name] = {key: value.numpy().tobytes() for key, value in weights.items()}
        elif name == "history.csv":
            found[name] = len(path.read_text().splitlines())
        else:
            found[name] = path.name.endswith(".zip") or path.read_bytes()    # a zip file holds the time
    return found


def attempt(work, folder: Path, kill_at: int = 0) -> int:
    """Do the work in a process of its own; returns its exit code, -9 if it was killed at change number `kill_at`."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    count = itertools.count(1)
    place = str(folder / "out")

    def watch(event, arguments):
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike) and arguments[2] & WRITES:
            path = os.fsdecode(arguments[0])
            if path.startswith(place):
                reached()
                if next(count) == kill_at:
                    if not os.path.exists(path) or arguments[2] & os.O_TRUNC:
                        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "wb") as half:
                            half.write(b"half")
                    os.kill(os.getpid(), signal.SIGKILL)
        elif event in CHANGES and any(os.fsdecode(path).startswith(place) for path in arguments[:CHANGES[event]]
                                      if isinstance(path, str | bytes | os.PathLike)):
            reached()

    def reached():
        if next(count) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.stdout = open(os.devnull, "w")
    sys.stderr = open(folder / "stderr", "w")
    if kill_at:
        sys.addaudithook(watch)
    try:
        work(folder)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main(name: str, folder: Path) -> None:
    work = WORKS[name]
    for module in IMPORTS[name]:
        importlib.import_module(module)
    assert attempt(work, folder) == 0, (folder / "stderr").read_text()
    expected = content(folder / "out")
    shutil.rmtree(folder / "out")
    for kill_at in itertools.count(1):
        ended = attempt(work, folder, kill_at)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL, (kill_at, (folder / "stderr").read_text())
        again = attempt(work, folder)
        assert again == 0, f"killed at change {kill_at}: {(folder / 'stderr').read_text()}"
        found = content(folder / "out")
        differing = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
        assert found == expected, f"killed at change {kill_at}: {differing} differ"
        shutil.rmtree(folder / "out")
    print(f"{name}: {kill_at - 1} kill points")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
