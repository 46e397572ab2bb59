"""Parameters of a run, its export and its submission: all notebook parameters that do not concern training; without torch.

No field has a default: defaults are only in the notebooks' `parameters` cells (`aslutils.run.stages`).
"""

from dataclasses import dataclass

from aslutils.system.errors import UserError, at_least


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The run."""

    run: str                        # the run's folder: datamount/<run>, on Kaggle /kaggle/working/<run>


@dataclass(frozen=True, kw_only=True)
class DataConfig(RunConfig):
    """The data of a run."""

    data: str                       # folder of competition or published .npy files; "": the data attached on Kaggle, or the demo
    store_dtype: str                # of the landmark store: float16 (error below MediaPipe's jitter) or float32
    fold_count: int                 # participant-disjoint folds
    fold_seed: int                  # decides the folds and the held-out participants
    folds_file: str                 # a published train_folded.csv to take the folds from
    holdout: float                  # share of the participants kept out of both rounds, for honest scores
    demo_sequences: int             # sequences in the demo data, written if there is no other data
    demo_supplemental: int          # its supplemental sequences
    demo_participants: int          # its participants
    demo_seed: int                  # its seed

    def __post_init__(self):
        if not 0 <= self.holdout < 1:
            raise UserError(f"holdout is {self.holdout}; it must be a share of the participants, at least 0 and below 1")
        if self.folds_file and self.holdout:
            raise UserError(f"folds_file and holdout ({self.holdout}) exclude each other: the table says who is held out")


@dataclass(frozen=True, kw_only=True)
class TableConfig(RunConfig):
    """Parameters of notebook 02."""

    worst: int                      # number of lowest-scoring sequences to show


@dataclass(frozen=True, kw_only=True)
class ExportConfig(RunConfig):
    """Parameters of notebook 04, which exports the checkpoints."""

    checkpoints: list               # checkpoints to average, ours or published ones; empty: every finished seed of the run
    precision: str                  # float32, float16, mixed, int8; auto: the most faithful within max_mb and max_ms
    max_mb: float                   # the competition's limit for the model file
    max_ms: float                   # limit of the time per sequence on one core; 265 is 5 h for 68,000 sequences
    compared: int                   # maximum number of sequences to compare the variants on
    beams: int                      # beams of the beam search; 0: greedy; -1: 8 for our networks, greedy for published ones
    length_penalty: float           # length penalty of the beam search, see BeamSearch
    rerank_weight: float            # weight of the backward decoder in ranking the hypotheses

    def __post_init__(self):
        at_least(self, beams=-1, compared=1)


@dataclass(frozen=True, kw_only=True)
class SubmissionConfig(RunConfig):
    """Parameters of notebook 05, which scores and publishes the export."""

    data: str                       # competition folder to score on; "": the run's own
    scored: int                     # maximum number of sequences to score
    push: bool                      # publish export/ as a Kaggle data set
    title: str                      # title of the data set, 6..50 characters
    slug: str                       # its address on Kaggle
    user: str                       # its owner's Kaggle name; "": the owner of the credentials
    license: str                    # one of Kaggle's licence names
    description: str                # description of the data set
    public: bool                    # whether a new data set is public
    message: str                    # notes of a new version

    def __post_init__(self):
        at_least(self, scored=1)
