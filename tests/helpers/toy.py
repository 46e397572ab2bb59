"""A corpus, a network and a training of a few seconds, for tests of what is built on them."""

import contextlib
import io
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import yaml
from configs import loss_config, model_config, train_config
from small_corpus import write_competition

from aslutils.data.prepare import prepare
from aslutils.data.store import Store
from aslutils.model.checkpoint import load_checkpoint
from aslutils.run.stages import STAGES, defaults
from aslutils.training.folder import CHECKPOINT
from aslutils.training.trainer import Job

MODEL = model_config(dim=16, blocks=1, heads=2, kernel=5, decoder_layers=1, decoder_heads=2, decoder_ffn=16, stem_channels=4)
TRAIN = train_config(epochs=3, batch_size=6, accumulate=2, learning_rate=1e-2, warmup_epochs=0.5, precision="no", threads=1,
                    tracker="")
AUGMENTATIONS = ({"name": "Mirror", "p": 0.5}, {"name": "CutMix", "p": 0.5},
                 {"name": "Resample", "low": 0.7, "high": 1.3, "p": 0.8})


def toy_store(folder: Path) -> Store:
    """A store of 18 training and 6 supplemental sequences."""
    write_competition(folder / "data")
    with contextlib.redirect_stdout(io.StringIO()):
        return prepare(folder / "data", folder / "store", workers=1)


def toy_job(store: Store, folder: Path, name: str = "toy", **train) -> Job:
    """A training on a toy store; `train` replaces fields of its TrainConfig."""
    rows = np.flatnonzero(~store.table["is_sup"])
    return Job(name=name, folder=folder, store=store.path, rows=rows, scores=np.linspace(0, 1, len(rows)), validation=rows[:5],
               augmentations=AUGMENTATIONS, held_out="", model=MODEL, loss=loss_config(), train=replace(TRAIN, **train))


def weights(job: Job) -> dict:
    """The weights that a finished training left."""
    return load_checkpoint(job.folder / CHECKPOINT).network.state_dict()


def assert_same_weights(job: Job, other: Job) -> None:
    """Fail unless two trainings ended with the same weights, bit for bit."""
    ours, theirs = weights(job), weights(other)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


LOAD_JOB = """
import sys, pickle
from pathlib import Path
from aslutils.training.trainer import Trainer
job = pickle.loads(Path(sys.argv[1]).read_bytes())
print("ready", flush=True)
"""
TRAIN_JOB = LOAD_JOB + """
print("finished", Trainer(job).fit(), flush=True)
"""


def start_job(code: str, job, folder, *arguments, before=()) -> subprocess.Popen:
    """A process that runs `code` with the pickled job."""
    (folder / "job.pickle").write_bytes(pickle.dumps(job))
    return subprocess.Popen([*before, sys.executable, "-c", code, str(folder / "job.pickle"), *map(str, arguments)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})


PARAMETERS = {"demo_sequences": 120, "demo_supplemental": 20, "demo_participants": 12, "epochs": 1, "warmup_epochs": 0.1,
              "dim": 16, "blocks": 1, "heads": 2, "decoder_heads": 2, "decoder_ffn": 16, "fold_count": 2, "folds": [0, 1],
              "threads": 1, "compared": 20, "scored": 10}


def write_profile(folder: Path) -> Path:
    """The demo's parameters, toy-sized."""
    folder.mkdir(parents=True)
    for stage in STAGES:
        values = {name: value for name, value in PARAMETERS.items() if name in defaults(stage)}
        (folder / f"{stage}.yaml").write_text(yaml.safe_dump({"run": "toy", **values}))
    return folder
