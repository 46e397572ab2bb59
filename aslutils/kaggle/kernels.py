"""The kit as Kaggle kernels: a folder for each `kaggle kernels push`, and a data set that carries the code.

A stage is a notebook with its parameters already injected. Folds and seeds are separate kernels, so that they run in parallel;
a kernel reads the outputs of earlier ones, which are attached to it. Before the five notebooks, one more kernel prepares the
landmark store for all of them. Only trainings use a GPU.
"""

import hashlib
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from aslutils.kaggle.packages import PYTHON, fetch_packages
from aslutils.kaggle.publish import write_dataset_metadata
from aslutils.run import stages
from aslutils.run.place import COMPETITION, KIT
from aslutils.system.errors import UserError
from aslutils.system.files import write_json, write_text
from aslutils.system.names import check_run, check_user

PREPARE = "00_prepare"                   # the one kernel that is not a notebook

SCRIPT = '''\
"""Prepare the landmark store once: every later kernel reads it in place."""

import os
import sys
from pathlib import Path

PARAMETERS = {parameters!r}

inputs = Path(os.environ.get("ASLUTILS_KAGGLE_ROOT", "/kaggle")) / "input"
kits = (found.parents[1] for depth in ("*", "*/*", "*/*/*") for found in inputs.glob(f"{{depth}}/aslutils/__init__.py"))
kit = next(kits, None)
if not kit:
    raise FileNotFoundError(f"no kit in {{inputs}}: attach the data set that was written with this kernel")
sys.path.insert(0, str(kit))

from aslutils.run.corpus import open_corpus
from aslutils.run.sessions import end_session
from aslutils.run.stages import FOLDS, configs

if __name__ == "__main__":               # the worker processes import this file too
    open_corpus(configs(FOLDS, PARAMETERS)[0])
    end_session(PARAMETERS["run"], "00_prepare", finished=True)
'''


@dataclass(frozen=True)
class Kernel:
    """One kernel: a stage, or one fold or seed of it."""

    name: str                            # unique in its plan, and its folder: "03_fullfit_seed1"
    notebook: str                        # the stage, or PREPARE
    slug: str                            # its address on Kaggle, after the user's name
    dataset: str                         # that of the run's data set, which carries the code
    parameters: dict                     # all parameters to inject
    needs: tuple[str, ...] = ()          # names of the kernels whose outputs it reads
    competition: bool = field(default=True)   # whether it reads the competition's files

    @property
    def code(self) -> str:
        return f"{self.notebook}.{'py' if self.notebook == PREPARE else 'ipynb'}"

    def reference(self, user: str, session: int = 1) -> str:
        """`user/slug` of a session. Later ones are separate kernels, because a push discards a kernel's output."""
        return f"{user}/{self.slug}" + (f"-session{session}" if session > 1 else "")


def plan(profile: Path, *, run: str, seeds: list[int], processes: int, minutes: float, competition: bool,
         kit: Path = KIT) -> list[Kernel]:
    """The kernels of a whole training, each after those that it needs.

    profile: a folder of parameter files; seeds: of round 2, [] for the profile's; processes: folds or seeds that one session
    trains at once, one per GPU (a T4 session has two); minutes: when a training stops with a checkpoint, unless set in its
    parameters; competition: attach the competition's files (else the kernels write and read the demo's). Raises as
    `stages.parameters` does.
    """
    check_run(run)
    if not 0 < minutes < 1e6:                     # NaN too
        raise UserError(f"minutes is {minutes}; it must be above 0")
    params = {stage: stages.parameters(stage, profile / f"{stage}.yaml", kit=kit) for stage in stages.STAGES}
    if params[stages.SUBMISSION]["push"]:
        raise UserError(f"{profile / stages.SUBMISSION}.yaml: push is true, but kernels run without internet; leave it out, and "
                        "publish the export from your computer with `aslutils kaggle publish`")
    for stage in stages.TRAININGS:
        if params[stage]["fresh"]:
            raise UserError(f"{profile / stage}.yaml: fresh is true, so that each session would begin anew; leave it out, and "
                            "give the run another name to train from scratch")
    kernels = []

    def add(notebook, label="", **own):
        given = {**params.get(notebook, params[stages.FOLDS]), "run": run, **own}
        if notebook in stages.TRAININGS and not given["max_minutes"]:
            given["max_minutes"] = float(minutes)
        needs = tuple(kernel.name for kernel in kernels if kernel.notebook != notebook)
        name = f"{notebook}_{label}" if label else notebook
        stages.configs(notebook if notebook != PREPARE else stages.FOLDS, given)
        kernels.append(Kernel(name, notebook, _slug(run, notebook[:2], label), _slug(run, "kit"), given, needs,
                              competition))

    add(PREPARE)
    for group in _groups(params[stages.FOLDS]["folds"], processes):
        add(stages.FOLDS, "fold" + "-".join(map(str, group)), folds=group, processes=len(group))
    add(stages.TABLE)
    seeds = stages.seeds(seeds, params[stages.SEEDS])
    stages.configs(stages.SEEDS, {**params[stages.SEEDS], "seeds": seeds})
    stages.check_rounds(params[stages.FOLDS], params[stages.SEEDS])
    for group in _groups(seeds, processes):
        add(stages.SEEDS, "seed" + "-".join(map(str, group)), seeds=group, processes=len(group))
    add(stages.EXPORT)
    add(stages.SUBMISSION)
    return kernels


def _groups(numbers, size: int) -> list[list[int]]:
    return [list(numbers[start:start + size]) for start in range(0, len(numbers), size)]


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _slug(run: str, *what: str) -> str:
    """The address of a run's kernel or data set, such as asl-winning-03-seed1.

    It is short enough to append "-session99" within Kaggle's 50 characters. Runs whose names Kaggle would write alike, as v1.0
    and v1-0, have different ones.
    """
    name = _plain(run) if _plain(run) == run else f"{_plain(run)}-{hashlib.sha256(run.encode()).hexdigest()[:4]}"
    slug = _plain(" ".join(["asl", name, *what]))
    if len(slug) > 39:
        raise UserError(f"run {run!r}: the address {slug!r} is longer than 39 characters; give the run a shorter name")
    return slug


def write_kernels(kernels: list[Kernel], out, user: str, *, kit=KIT, packages: bool = True) -> None:
    """Write `out/<kernel>/` for each kernel of a plan, and `out/dataset/`, which holds the code.

    user: the Kaggle name of their owner; kit: the folder with aslutils/, params/ and notebooks/; packages: include
    what Kaggle's image may lack. Raises KaggleError if the packages cannot be fetched.
    """
    out, kit = Path(out), Path(kit)
    check_user(user)
    write_kit(out / "dataset", user, kernels[0].dataset, kit=kit, packages=packages)
    for kernel in kernels:
        folder = out / kernel.name
        if kernel.notebook == PREPARE:
            write_text(folder / kernel.code, SCRIPT.format(parameters=kernel.parameters))
        else:
            write_notebook(kit / "notebooks" / kernel.code, kernel.parameters, folder / kernel.code)
        write_kernel_metadata(folder, kernel, kernel.reference(user), user,
                              [other.reference(user) for other in kernels if other.name in kernel.needs])


def write_kit(folder: Path, user: str, slug: str, *, kit=KIT, packages: bool = True) -> None:
    """Write the data set `user/slug` that carries the code (aslutils/, params/, notebooks/, packages/), with its metadata."""
    for part in ("aslutils", "params", "notebooks"):
        shutil.rmtree(folder / part, ignore_errors=True)
        shutil.copytree(Path(kit) / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*"))
    for text in ("LICENSE", "NOTICE"):
        if (Path(kit) / text).is_file():
            shutil.copyfile(Path(kit) / text, folder / text)
    if packages:
        fetch_packages(folder / "packages" / PYTHON)
    else:
        shutil.rmtree(folder / "packages", ignore_errors=True)
    write_dataset_metadata(folder, title=slug.replace("-", " "), slug=slug, user=user, license="apache-2.0",
                           description="The code that the ASL fingerspelling kernels import.")


def write_notebook(source: Path, parameters: dict, target: Path) -> Path:
    """Write a copy of a notebook with `parameters` injected after its parameters cell, as papermill does."""
    import nbformat
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    notebook = parameterize_notebook(load_notebook_node(str(source)), parameters)
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"                       # a fixed id, so that equal notebooks are equal files
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
                         "language_info": {"name": "python"}}        # Kaggle's kernel, whatever the local one is called
    return write_text(target, nbformat.writes(notebook))


def write_kernel_metadata(folder, kernel: Kernel, reference: str, user: str, sources: list[str]) -> Path:
    """Write `kernel-metadata.json` for the kernel `reference`; sources: the kernels whose outputs it reads, as `user/slug`."""
    gpu = kernel.notebook in stages.TRAININGS                           # other stages would only use up the quota
    return write_json(Path(folder) / "kernel-metadata.json", {
        "id": reference, "title": reference.partition("/")[2].replace("-", " "), "code_file": kernel.code, "language": "python",
        "kernel_type": "notebook" if kernel.code.endswith(".ipynb") else "script", "is_private": True,
        "enable_gpu": gpu, "enable_tpu": False, "enable_internet": False, **({"machine_shape": "NvidiaTeslaT4"} if gpu else {}),
        "dataset_sources": [f"{user}/{kernel.dataset}"], "competition_sources": [COMPETITION] if kernel.competition else [],
        "kernel_sources": sources, "model_sources": []})
