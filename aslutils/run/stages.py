"""The five stages and their parameters. Defaults are defined only in the `parameters` cell of each stage's notebook.

papermill reads nothing else, so every other way to run a stage (`run_all.sh`, `aslutils train`, Kaggle's kernels) starts from
the values in that cell. A parameter file overrides them, and parameters on the command line override both.
"""

import ast
import json
from dataclasses import fields
from pathlib import Path

from aslutils.data.augment import build
from aslutils.model.config import LossConfig, ModelConfig
from aslutils.run.config import DataConfig, ExportConfig, SubmissionConfig, TableConfig
from aslutils.run.place import KIT
from aslutils.system.errors import UserError
from aslutils.system.parameters import assigned, from_values, read_params
from aslutils.training.config import FoldsConfig, SeedsConfig, TrainConfig, TrainingRun

FOLDS, TABLE, SEEDS, EXPORT, SUBMISSION = STAGES = (
    "01_round1_folds", "02_build_oof", "03_fullfit", "04_convert_tflite", "05_submission_kernel")
TRAININGS = (FOLDS, SEEDS)                        # the stages that train and therefore read the data
ROUNDS = {"round1": FOLDS, "round2": SEEDS}
ENSEMBLE = [1, 2]                                 # round 2's seeds where neither the command nor the profile names any
CONFIGS = {
    FOLDS: (DataConfig, TrainingRun, FoldsConfig, ModelConfig, LossConfig, TrainConfig),
    TABLE: (TableConfig,),
    SEEDS: (DataConfig, TrainingRun, SeedsConfig, ModelConfig, LossConfig, TrainConfig),
    EXPORT: (ExportConfig,),
    SUBMISSION: (SubmissionConfig,),
}


def settings(stage: str, namespace: dict) -> tuple:
    """A notebook's parameters as the dataclasses of its stage, from its `globals()`.

    Raises UserError for a parameter that the stage does not have, suggesting the closest one, or a value of the wrong type.
    """
    return configs(stage, assigned(namespace))


def configs(stage: str, values: dict) -> tuple:
    """One instance of each dataclass of a stage, from all of its parameters; raises as `settings` does."""
    made = from_values(values, *CONFIGS[stage])
    if stage in TRAININGS:
        augmentations = build(values["augmentations"])
        if values.get("align_cuts") and augmentations.cutmix is None:
            raise UserError("align_cuts is True, but augmentations has no CutMix, which it is about; add {name: CutMix, p: 0.5}")
    if stage == FOLDS and not values["folds_file"] and max(values["folds"]) >= values["fold_count"]:
        raise UserError(f"folds is {values['folds']}, but fold_count is {values['fold_count']}: there are folds 0 to "
                        f"{values['fold_count'] - 1}")
    return made


def defaults(stage: str, kit: Path = KIT) -> dict:
    """The defaults in the `parameters` cell of a stage's notebook. Raises UserError if the notebook is not available."""
    path = Path(kit) / "notebooks" / f"{stage}.ipynb"
    if not path.is_file():
        raise UserError(f"there is no notebook {path}, which has the defaults of this stage; run this from the kit's own folder")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    (source,) = ("".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", []))
    return {statement.target.id: ast.literal_eval(statement.value) for statement in ast.parse(source).body}


def parameters(stage: str, file=None, overrides: dict | None = None, kit: Path = KIT) -> dict:
    """All parameters of a stage: its notebook's defaults, overridden by the YAML `file` and then by `overrides`.

    Raises FileNotFoundError if there is no such file, UserError for a parameter that the stage does not have (suggesting the
    closest one) or an invalid value.
    """
    values = {**defaults(stage, kit), **(read_params(file) if file else {}), **(overrides or {})}
    try:
        configs(stage, values)
    except UserError as error:
        raise UserError(f"{Path(file) if file else stage}: {error}") from error
    return values


def seeds(asked: list[int], values: dict) -> list[int]:
    """The seeds to train: those asked for, else those in round 2's parameters, else ENSEMBLE."""
    return asked or values["seeds"] or ENSEMBLE


def check_rounds(first: dict, second: dict) -> None:
    """Raise UserError if the stages from round 1 to round 2 do not fit together: what round 2 needs, round 1 must make."""
    for name in (field.name for field in fields(DataConfig) if field.name != "run"):
        if first[name] != second[name]:
            raise UserError(f"{name} is {first[name]!r} in round 1 and {second[name]!r} in round 2, which use the same data: set "
                            f"it alike in {FOLDS}.yaml and {SEEDS}.yaml")
    if not first["folds_file"] and sorted(first["folds"]) != list(range(first["fold_count"])):
        raise UserError(f"folds is {first['folds']}, but stage 02 needs all {first['fold_count']} of fold_count")
    if second["align_cuts"] and not first["ctc_weight"]:
        raise UserError("align_cuts is True in round 2, but round 1 trains no CTC head to align with: set its ctc_weight "
                        "above 0, or align_cuts to False")


def profile(name: str, stage: str) -> tuple:
    """The dataclasses of a stage with the values of one of the kit's profiles: `profile("winning", "03_fullfit")`."""
    return configs(stage, parameters(stage, KIT / "params" / name / f"{stage}.yaml"))
