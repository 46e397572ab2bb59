"""Where a notebook runs, on Kaggle or locally, and where its data is."""

import itertools
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from aslutils.system.errors import UserError

KIT = Path(__file__).resolve().parents[2]                        # holds aslutils/, params/, notebooks/
COMPETITION = "asl-fingerspelling"
PREPROCESSED = "asl-fingerspelling-preprocessing-train-dataset"  # darraghdog's, .npy files
SESSION_MINUTES = 9 * 60         # the shortest of Kaggle's session limits
SPARE_MINUTES = 20               # reserved for decoding, pictures and saving the output
_BEGAN = time.monotonic()        # when this session's notebook imported the kit, in its first cell


@dataclass(frozen=True)
class Place:
    """Where a notebook runs."""

    on_kaggle: bool
    inputs: Path | None  # attached data, read-only; None locally
    outputs: Path        # artefacts go here


@dataclass(frozen=True)
class DataSource:
    """The data that a notebook reads."""

    folder: Path | None  # None: nothing found, the notebook writes its demo data
    kind: str            # "competition", "npy" or "demo"
    how: str             # one line for the user: what was found, and where


def where() -> Place:
    """Detect Kaggle by its environment variable or its two folders.

    ASLUTILS_KAGGLE_ROOT names the folder that holds `input` and `working`, if it is not /kaggle.
    """
    root = Path(os.environ.get("ASLUTILS_KAGGLE_ROOT") or "/kaggle")
    folders = (root / "input").is_dir() and (root / "working").is_dir()
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE") or folders:
        return Place(True, root / "input", root / "working")
    return Place(False, None, KIT / "datamount")


def minutes_left(max_minutes: float) -> float:
    """Time limit of a training: `max_minutes`; if that is 0, the rest of the session on Kaggle, 0 (no limit) locally."""
    if max_minutes or not where().on_kaggle:
        return max_minutes
    return max(1.0, SESSION_MINUTES - SPARE_MINUTES - (time.monotonic() - _BEGAN) / 60)


def usable_gpus() -> int:
    """The number of usable GPUs: those in CUDA_VISIBLE_DEVICES, else all. Does not import torch, which takes seconds."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        named = (name.strip() for name in os.environ["CUDA_VISIBLE_DEVICES"].split(","))
        return len(list(itertools.takewhile(lambda name: name and not name.startswith("-"), named)))    # as CUDA reads it
    try:
        asked = subprocess.run(["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True)
    except FileNotFoundError:
        return 0
    return len(asked.stdout.split()) if asked.returncode == 0 else 0


def attached(inputs: Path) -> list[Path]:
    """All attached sources, in both of Kaggle's layouts.

    `input/<slug>`, or `input/competitions/<slug>`, `input/datasets/<owner>/<slug>` and `input/notebooks/<owner>/<slug>`.
    """
    nested = {"competitions": "*", "datasets": "*/*", "notebooks": "*/*"}
    sources = [source for folder, pattern in nested.items() for source in sorted(inputs.glob(f"{folder}/{pattern}"))]
    sources += sorted(source for source in inputs.glob("*") if source.name not in nested)
    return [source for source in sources if source.is_dir()]


def find_data(data="") -> DataSource:
    """Find the data to use.

    data: a folder of competition files or of the published .npy files. If "", on Kaggle look for the competition's attached
    files, then the published preprocessed data set, then any attached data set in the competition's layout (for example the
    kit's own demo data). If nothing is found, or locally, use the demo.
    Raises sources.DataError for a folder of neither kind.
    """
    from aslutils.data.sources import DataError, find_kind  # `where` must not need pyarrow and pandas

    if data:
        folder = Path(data).expanduser()
        kind = find_kind(folder)
        return DataSource(folder, kind, f"{_WORDS[kind]} in {folder}, as given")
    place = where()
    if not place.on_kaggle:
        return DataSource(None, "demo", "the demo's own, as no data was given")
    sources = attached(place.inputs)
    known = next((source for slug in (COMPETITION, PREPROCESSED) for source in sources if source.name == slug), None)
    if known:
        try:
            kind = find_kind(known)
        except DataError as error:
            raise DataError(f"{error}; on Kaggle: attach the whole competition {COMPETITION} to read its files") from error
        return DataSource(known, kind, f"{_WORDS[kind]}, attached at {known}")
    for folder in sources:
        if (folder / "train.csv").is_file() and (folder / "train_landmarks").is_dir():
            return DataSource(folder, find_kind(folder), f"a data set in the competition's layout, attached at {folder}")
    return DataSource(None, "demo", f"the demo's own, as no data is attached under {place.inputs} "
                                    f"(Add input, search {COMPETITION})")


_WORDS = {"competition": "the competition's files", "npy": "the published preprocessed .npy files"}


def check_gpu() -> str:
    """The devices that training will use, in words.

    Raises UserError for a GPU that the installed torch does not support, such as Kaggle's P100 with current torch.
    """
    import torch

    if not torch.cuda.is_available():
        return "no GPU: training on the CPU"
    built = torch.cuda.get_arch_list()                           # such as ["sm_70", "sm_75", ..., "compute_120"]
    names = []
    for index in range(torch.cuda.device_count()):
        capability, name = torch.cuda.get_device_capability(index), torch.cuda.get_device_name(index)
        if not _runs_on(capability, built):
            raise UserError(
                f"{name} has compute capability {capability[0]}.{capability[1]}, but torch {torch.__version__} here is built for "
                f"{' '.join(built)} only; on Kaggle open Settings, Accelerator and pick GPU T4 x2")
        names.append(name)
    return ", ".join(f"{count} x {name}" for name, count in Counter(names).items())


def _runs_on(capability, built) -> bool:
    """Whether a torch built for `built` supports a GPU: by a binary of the same major version, or by PTX code to compile."""
    for target in built:
        form, _, number = target.partition("_")
        digits = "".join(filter(str.isdigit, number))            # "90a" counts as 90
        major, minor = int(digits[:-1]), int(digits[-1])
        if form == "sm" and major == capability[0] and minor <= capability[1]:
            return True
        if form == "compute" and (major, minor) <= tuple(capability):
            return True
    return False
