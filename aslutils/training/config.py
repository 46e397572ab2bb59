"""Training parameters of notebooks 01 and 03 and of the training command; does not import torch.

No field has a default: defaults are only in the notebooks' `parameters` cells (`aslutils.run.stages`).
"""

from dataclasses import dataclass

from aslutils.system.errors import UserError, above_zero, at_least, one_of

OPTIMISERS = ADAMW, MUON = "adamw", "muon"
SEEDS = 2**32                       # every random generator in use takes seeds below


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a network is trained."""

    init: str                       # a checkpoint whose weights the training begins with; "": random weights
    seed: int                       # decides weights, data order, augmentation, dropout
    epochs: int                     # passes over the data
    batch_size: int                 # sequences per step, over all processes
    accumulate: int                 # steps whose gradients are summed before the optimiser steps
    optimiser: str                  # one of OPTIMISERS, see training.optimiser; published: adamw
    learning_rate: float            # peak learning rate
    warmup_epochs: float            # epochs of linear warm-up from 0, then cosine decay to 0
    weight_decay: float             # decoupled weight decay
    beta2: float                    # AdamW's second beta
    clip: float                     # maximum gradient norm
    precision: str                  # "auto", "fp16", "bf16" or "no"; auto: fp16 on a GPU, else no
    min_frames: int                 # shorter sequences are left out of training
    workers: int                    # data loading processes; 0: load in the training process
    threads: int                    # CPU threads per training; 0: all cores, shared by the concurrent trainings
    max_minutes: float              # stop with a checkpoint after this time; 0: no limit
    checkpoint_minutes: float       # time between checkpoints
    evaluate_every: int             # epochs between evaluations on up to 512 validation sequences; 0: only at the end
    tracker: str                    # logs curves besides history.csv: tensorboard, wandb (offline), trackio; "": none

    def __post_init__(self):
        at_least(self, epochs=1, batch_size=1, accumulate=1, warmup_epochs=0, weight_decay=0, beta2=0, min_frames=1, workers=0,
                 threads=0, max_minutes=0, checkpoint_minutes=0, evaluate_every=0)
        above_zero(self, "learning_rate", "clip")
        one_of(self, optimiser=OPTIMISERS, precision=("auto", "fp16", "bf16", "no"),
               tracker=("", "tensorboard", "wandb", "trackio"))
        _check_numbers("seed", [self.seed], SEEDS)
        if self.beta2 >= 1:
            raise UserError(f"beta2 is {self.beta2}; it must be below 1")
        if not self.warmup_epochs < self.epochs:
            raise UserError(f"warmup_epochs ({self.warmup_epochs}) must be fewer than epochs ({self.epochs})")


@dataclass(frozen=True, kw_only=True)
class FoldsConfig:
    """The folds that notebook 01 trains."""

    folds: list                     # the folds to train

    def __post_init__(self):
        if not self.folds:
            raise UserError(f"folds is {self.folds}; it must name at least one fold")
        _check_numbers("folds", self.folds, 1000)


@dataclass(frozen=True, kw_only=True)
class SeedsConfig:
    """The seeds that notebook 03 trains, and what only round 2 can do."""

    seeds: list                     # several seeds at once; empty: the parameter `seed` alone
    align_cuts: bool                # CutMix cuts at the borders that round 1's CTC head found between characters (5th place)

    def __post_init__(self):
        _check_numbers("seeds", self.seeds, SEEDS)


def _check_numbers(name: str, values: list, limit: int) -> None:
    """Raise UserError unless the values are distinct whole numbers of at least 0 and below `limit`."""
    if not all(type(value) is int and 0 <= value < limit for value in values) or len(set(values)) < len(values):
        shown, what = (values[0], "be a whole number") if name == "seed" else (values, "hold distinct whole numbers")
        raise UserError(f"{name} is {shown}; it must {what} of at least 0 and below {limit}")


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """How a notebook runs its trainings."""

    processes: int                  # trainings at once: one per GPU, or a share of the cores each
    fresh: bool                     # train from scratch and discard checkpoints
    augmentations: list             # applied in order; each with its ranges and its probability p

    def __post_init__(self):
        at_least(self, processes=1)
