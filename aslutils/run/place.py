"""Where am I, on Kaggle or at home, and where does the data lie there?"""

import os
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

KIT = Path(__file__).resolve().parents[2]                        # holds aslutils/, params/, notebooks/
COMPETITION = "asl-fingerspelling"
PREPROCESSED = "asl-fingerspelling-preprocessing-train-dataset"  # darraghdog's, .npy files (FACTS.md section 2)


SESSION_MINUTES = 9 * 60         # the shortest of Kaggle's session limits
SPARE_MINUTES = 20               # of those, for decoding, pictures and saving the output
_BEGAN = time.monotonic()        # when this session's notebook imported the kit, in its first cell


@dataclass(frozen=True)
class Place:
    """Where a notebook runs."""

    name: str            # "kaggle" or "local"
    inputs: Path | None  # attached data, read-only; None at home
    outputs: Path        # artefacts go here
    gpu: str             # such as "2 x Tesla T4"; "" without one

    @property
    def on_kaggle(self) -> bool:
        return self.name == "kaggle"


@dataclass(frozen=True)
class DataSource:
    """What a notebook is to read."""

    folder: Path | None  # None: nothing found, the notebook writes its demo data
    kind: str            # "competition", "npy" or "demo"
    how: str             # one line for people: what was found, and where


def where(root=None) -> Place:
    """On Kaggle or not, by Kaggle's own variable or its two folders.

    root: the folder that holds `input` and `working`; else the variable ASLUTILS_KAGGLE_ROOT, else /kaggle.
    """
    root = Path(root or os.environ.get("ASLUTILS_KAGGLE_ROOT") or "/kaggle")
    folders = (root / "input").is_dir() and (root / "working").is_dir()
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE") or folders:
        return Place("kaggle", root / "input", root / "working", _gpus())
    return Place("local", None, KIT / "datamount", _gpus())


def minutes_left(max_minutes: float, *, root=None) -> float:
    """How long a training may take: `max_minutes`; where that is 0, on Kaggle what the session leaves, at home 0 (no limit)."""
    if max_minutes or not where(root).on_kaggle:
        return max_minutes
    return max(1.0, SESSION_MINUTES - SPARE_MINUTES - (time.monotonic() - _BEGAN) / 60)


@lru_cache(maxsize=1)
def _gpus() -> str:
    """The machine's GPUs in words, by nvidia-smi (torch takes seconds to import)."""
    if not shutil.which("nvidia-smi"):
        return ""
    asked = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
    names = Counter(line.strip() for line in asked.stdout.splitlines() if asked.returncode == 0 and line.strip())
    return ", ".join(f"{count} x {name}" for name, count in names.items())


def attached(inputs: Path) -> list[Path]:
    """Every attached source, in both of Kaggle's layouts.

    `input/<slug>`, or `input/competitions/<slug>`, `input/datasets/<owner>/<slug>` and `input/notebooks/<owner>/<slug>`.
    """
    nested = {"competitions": "*", "datasets": "*/*", "notebooks": "*/*"}
    sources = [source for folder, pattern in nested.items() for source in sorted(inputs.glob(f"{folder}/{pattern}"))]
    sources += sorted(source for source in inputs.glob("*") if source.name not in nested)
    return [source for source in sources if source.is_dir()]


def find_data(data="", *, root=None) -> DataSource:
    """The recordings to work on.

    data: a folder of competition files or of the published .npy files; "" to look for them: on Kaggle the competition's
    attached files, then the published preprocessed set, then any attached set in the competition's layout (the kit's own
    demo data, say); nothing found, or at home, means the demo. root: as in `where`.
    Raises sources.DataError for a folder that is neither kind.
    """
    from aslutils.data.sources import DataError, find_kind  # pyarrow and pandas are not needed to ask where one is

    if data:
        folder = Path(data).expanduser()
        kind = find_kind(folder)
        return DataSource(folder, kind, f"{_WORDS[kind]} in {folder}, as asked")
    place = where(root)
    if not place.on_kaggle:
        return DataSource(None, "demo", "the demo's own, as none are given")
    sources = attached(place.inputs)
    known = next((source for slug in (COMPETITION, PREPROCESSED) for source in sources if source.name == slug), None)
    if known:
        try:
            kind = find_kind(known)
        except DataError as error:
            raise DataError(f"{error}; on Kaggle: attach the whole competition {COMPETITION}, its files are then read") from error
        return DataSource(known, kind, f"{_WORDS[kind]}, attached at {known}")
    for folder in sources:
        if (folder / "train.csv").is_file() and (folder / "train_landmarks").is_dir():
            return DataSource(folder, find_kind(folder), f"a data set in the competition's layout, attached at {folder}")
    return DataSource(None, "demo", f"the demo's own, as nothing to read is attached under {place.inputs} "
                                    f"(Add input, search {COMPETITION})")


_WORDS = {"competition": "the competition's files", "npy": "the published preprocessed .npy files"}


def check_gpu() -> str:
    """What training will run on, in words, for every GPU that this torch sees.

    Raises RuntimeError for a GPU that the installed torch has no code for, as Kaggle's P100 with today's torch.
    """
    import torch

    if not torch.cuda.is_available():
        return "no GPU: training on the CPU"
    built = torch.cuda.get_arch_list()                           # such as ["sm_70", "sm_75", ..., "compute_120"]
    names = []
    for index in range(torch.cuda.device_count()):
        capability, name = torch.cuda.get_device_capability(index), torch.cuda.get_device_name(index)
        if not _runs_on(capability, built):
            raise RuntimeError(
                f"{name} has compute capability {capability[0]}.{capability[1]}, but torch {torch.__version__} here is built for "
                f"{' '.join(built)} only; on Kaggle open Settings, Accelerator and pick GPU T4 x2")
        names.append(name)
    return ", ".join(f"{count} x {name}" for name, count in Counter(names).items())


def _runs_on(capability, built) -> bool:
    """Whether a torch built for `built` has code for a GPU: a binary of the same major version, or portable code to compile."""
    for target in built:
        form, _, number = target.partition("_")
        digits = "".join(filter(str.isdigit, number))            # "90a" counts as 90
        major, minor = int(digits[:-1]), int(digits[-1])
        if form == "sm" and major == capability[0] and minor <= capability[1]:
            return True
        if form == "compute" and (major, minor) <= tuple(capability):
            return True
    return False
