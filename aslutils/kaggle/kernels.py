"""The kit as Kaggle kernels: a folder each for `kaggle kernels push`, and a data set that carries the code.

A stage is a notebook with its parameters already injected. Folds and seeds are kernels of their own, so that they run side by
side; a kernel reads what earlier ones left as attached outputs. Before the five notebooks comes one more kernel that prepares the
landmark store once for all of them. Only trainings take a GPU.
"""

import difflib
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from aslutils.kaggle.packages import PYTHON, fetch_packages
from aslutils.kaggle.publish import write_dataset_metadata
from aslutils.run.place import COMPETITION, KIT
from aslutils.system.files import write_json, write_text
from aslutils.system.parameters import read_params

SLUG = "asl-fingerspelling-kit"          # the data set that carries the code
PREPARE, FOLDS, TABLE, SEEDS, CONVERT, SUBMIT = NOTEBOOKS = (
    "00_prepare", "01_round1_folds", "02_build_oof", "03_fullfit", "04_convert_tflite", "05_submission_kernel")
TRAININGS = (FOLDS, SEEDS)               # stages that run on a GPU, and that a later session goes on with

SCRIPT = '''\
"""Prepare the landmark store once: every later kernel reads it in place."""

import dataclasses
import os
import sys
from pathlib import Path

PARAMETERS = {parameters!r}

inputs = Path(os.environ.get("ASLUTILS_KAGGLE_ROOT", "/kaggle")) / "input"
kits = (found.parents[1] for depth in ("*", "*/*", "*/*/*") for found in inputs.glob(f"{{depth}}/aslutils/__init__.py"))
sys.path.insert(0, str(next(kits)))

from aslutils import kaggle
from aslutils.run.corpus import DataConfig, open_corpus

if __name__ == "__main__":               # the processes that prepare import this file too
    names = [field.name for field in dataclasses.fields(DataConfig)]
    open_corpus(DataConfig(**{{name: PARAMETERS[name] for name in names if name in PARAMETERS}}))
    kaggle.end_session(PARAMETERS["run"], "00_prepare", finished=True)
'''


@dataclass(frozen=True)
class Kernel:
    """One kernel to be: a stage, or one fold or seed of it."""

    name: str                            # unique in its plan, and its folder: "03_fullfit_seed1"
    notebook: str                        # the stage, one of NOTEBOOKS
    slug: str                            # its address at Kaggle, behind the user's name
    parameters: dict                     # every parameter that is injected
    needs: tuple[str, ...] = ()          # names of the kernels whose output it reads
    competition: bool = field(default=True)   # whether it reads the competition's files

    @property
    def code(self) -> str:
        return f"{self.notebook}.{'py' if self.notebook == PREPARE else 'ipynb'}"

    def reference(self, user: str, session: int = 1) -> str:
        """`user/slug` of a session. A later one is a kernel of its own, because a kernel's output goes with its next push."""
        return f"{user}/{self.slug}" + (f"-session{session}" if session > 1 else "")


def plan(profile: str, *, run: str = "", seeds=(1, 2), per_session: int = 1, minutes: float = 510, competition: bool = True,
         kit=KIT) -> list[Kernel]:
    """The kernels of a whole training, each behind those that it needs.

    profile: folder under params/; run: the run's name, else the profile's; per_session: folds or seeds that one session trains
    at once, one a GPU (a T4 session has two); minutes: when a training stops with a checkpoint, unless its parameters say;
    competition: attach the competition's files (else the kernels write and read the demo's). Raises FileNotFoundError for an
    unknown profile.
    """
    run = run or profile
    params = {notebook: read_params(Path(kit) / "params" / profile / f"{notebook}.yaml") for notebook in NOTEBOOKS[1:]}
    kernels = []

    def add(notebook, label="", **own):
        given = {**params.get(notebook, params[FOLDS]), "run": run, **own}
        if notebook in TRAININGS and not given.get("max_minutes"):
            given["max_minutes"] = float(minutes)
        needs = tuple(kernel.name for kernel in kernels if kernel.notebook != notebook)
        name = f"{notebook}_{label}" if label else notebook
        kernels.append(Kernel(name, notebook, _slug(run, notebook, label), given, needs, competition))

    add(PREPARE)
    folds = params[FOLDS].get("folds") or list(range(params[FOLDS].get("fold_count", 4)))
    for group in _groups(folds, per_session):
        add(FOLDS, "fold" + "-".join(map(str, group)), folds=group, processes=len(group))
    add(TABLE)
    for group in _groups(seeds, per_session):
        add(SEEDS, "seed" + "-".join(map(str, group)), seeds=group, processes=len(group))
    add(CONVERT)
    add(SUBMIT)
    return kernels


def _groups(numbers, size: int) -> list[list[int]]:
    return [list(numbers[start:start + size]) for start in range(0, len(numbers), size)]


def _slug(run: str, notebook: str, label: str) -> str:
    """A kernel's address, such as asl-winning-03-seed1, with room for "-session99" in Kaggle's 50 characters."""
    slug = re.sub(r"[^a-z0-9]+", "-", f"asl {run} {notebook[:2]} {label}".lower()).strip("-")
    if len(slug) > 39:
        raise ValueError(f"run {run!r}: the kernels' address {slug!r} is longer than 39 characters; give the run a shorter name")
    return slug


def write_kernels(kernels: list[Kernel], out, user: str, *, kit=KIT, packages: bool = True) -> None:
    """Write `out/<kernel>/` for each kernel of a plan, and `out/dataset/`, which holds the code.

    user: the Kaggle name that they will belong to; kit: the folder with aslutils/, params/ and notebooks/; packages: bring
    what Kaggle's image may lack. Raises ValueError for a parameter that its notebook does not have, FileNotFoundError for a
    missing notebook, KaggleError when the packages cannot be fetched.
    """
    out, kit = Path(out), Path(kit)
    write_kit(out / "dataset", user, kit=kit, packages=packages)
    for kernel in kernels:
        folder = out / kernel.name
        if kernel.notebook == PREPARE:
            write_text(folder / kernel.code, SCRIPT.format(parameters=kernel.parameters))
        else:
            write_notebook(kit / "notebooks" / kernel.code, kernel.parameters, folder / kernel.code)
        write_kernel_metadata(folder, kernel, kernel.reference(user), user,
                              [other.reference(user) for other in kernels if other.name in kernel.needs])


def write_kit(folder: Path, user: str, *, kit=KIT, packages: bool = True) -> None:
    """The data set that carries the code: aslutils/, params/ and packages/, which Kaggle shows as folders again; its metadata."""
    for part in ("aslutils", "params"):
        shutil.rmtree(folder / part, ignore_errors=True)
        shutil.copytree(Path(kit) / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*"))
    for text in ("LICENSE", "NOTICE"):
        if (Path(kit) / text).is_file():
            shutil.copyfile(Path(kit) / text, folder / text)
    if packages:
        fetch_packages(folder / "packages" / PYTHON)
    else:
        shutil.rmtree(folder / "packages", ignore_errors=True)
    write_dataset_metadata(folder, title="ASL fingerspelling kit", slug=SLUG, user=user, license="apache-2.0",
                           description="The code that the ASL fingerspelling kernels import.")


def write_notebook(source: Path, parameters: dict, target: Path) -> Path:
    """Write a notebook's copy with `parameters` injected behind its parameters cell, as papermill does."""
    import nbformat
    from papermill.inspection import inspect_notebook
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    if not source.is_file():
        raise FileNotFoundError(f"there is no notebook {source}")
    known = inspect_notebook(str(source))
    for name in parameters:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
            raise ValueError(f"{source.name} has no parameter {name!r}; {hint}")
    notebook = parameterize_notebook(load_notebook_node(str(source)), parameters)
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"                       # not a new one each time: equal notebooks are equal files
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
                         "language_info": {"name": "python"}}        # Kaggle's own kernel, whatever the kit's is called at home
    return write_text(target, nbformat.writes(notebook))


def write_kernel_metadata(folder, kernel: Kernel, reference: str, user: str, sources: list[str]) -> Path:
    """Write `kernel-metadata.json` for the kernel `reference`; sources: the kernels whose output it reads, `user/slug` each."""
    gpu = kernel.notebook in TRAININGS                           # another stage would only spend its quota
    return write_json(Path(folder) / "kernel-metadata.json", {
        "id": reference, "title": reference.partition("/")[2].replace("-", " "), "code_file": kernel.code, "language": "python",
        "kernel_type": "notebook" if kernel.code.endswith(".ipynb") else "script", "is_private": True,
        "enable_gpu": gpu, "enable_tpu": False, "enable_internet": False, **({"machine_shape": "NvidiaTeslaT4"} if gpu else {}),
        "dataset_sources": [f"{user}/{SLUG}"], "competition_sources": [COMPETITION] if kernel.competition else [],
        "kernel_sources": sources, "model_sources": []})
