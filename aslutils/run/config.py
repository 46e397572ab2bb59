"""Parameters of a run, its export and its submission: all notebook parameters that do not concern training; without torch.

No field has a default: defaults are only in the notebooks' `parameters` cells (`aslutils.run.stages`).
"""

from dataclasses import dataclass

from aslutils.system.errors import UserError, above_zero, at_least, one_of
from aslutils.system.names import check_dataset, check_run
from aslutils.task.rejection import MIN_FRAMES, Limits


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The run."""

    run: str                        # the run's folder: datamount/<run>, on Kaggle /kaggle/working/<run>

    def __post_init__(self):
        check_run(self.run)


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
    demo_characters: int            # most characters of its phrases
    demo_long: float                # share of its phrases that may have up to 31 instead, as in the corpus
    demo_pace: float                # its frames per character, at the median; the corpus has 8.9
    demo_missing: float             # its mean share of frames without a hand; the corpus has 0.44
    demo_resting: float             # share of the spelled sequences in which the hand rests in view around the phrase
    demo_varied: float              # share of its participants who vary more, as people do: harder to read
    demo_seed: int                  # its seed

    def __post_init__(self):
        super().__post_init__()
        one_of(self, store_dtype=("float16", "float32"))
        at_least(self, fold_count=2, fold_seed=0, demo_sequences=1, demo_supplemental=0, demo_participants=1, demo_characters=1,
                 demo_seed=0)
        above_zero(self, "demo_pace")
        for name, whole in {"demo_missing": "frames", "holdout": "participants"}.items():
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be a share of the {whole}, at least 0 and below 1")
        for name, whole in {"demo_varied": "participants", "demo_long": "phrases", "demo_resting": "sequences"}.items():
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be a share of the {whole}, 0 to 1")
        if self.folds_file and self.holdout:
            raise UserError(f"folds_file and holdout ({self.holdout}) exclude each other: the table says who is held out")


@dataclass(frozen=True, kw_only=True)
class TableConfig(RunConfig):
    """Parameters of notebook 02."""

    worst: int                      # number of lowest-scoring sequences to show

    def __post_init__(self):
        super().__post_init__()
        at_least(self, worst=0)


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
    ctc_share: float                # share of the CTC head in the search; 0: not used; -1: CTC_SHARE where all networks have it
    half_rate: bool                 # read every second frame too, and answer the more certain text; published networks never do
    fixed_frames: int               # frames of the export of a fixed shape; 0: none
    min_confidence: float           # sequences of less confidence are rejected
    min_certainty: float            # so are texts of less certainty; -1: 0.18, 0.1 or none, see `run.export.limits`

    def __post_init__(self):
        super().__post_init__()
        one_of(self, precision=("auto", "float32", "float16", "mixed", "int8"))
        above_zero(self, "max_mb", "max_ms")
        at_least(self, beams=-1, compared=1, length_penalty=0, rerank_weight=0, ctc_share=-1, fixed_frames=0)
        if 0 < self.fixed_frames < MIN_FRAMES:
            raise UserError(f"fixed_frames is {self.fixed_frames}; it must be 0 or at least {MIN_FRAMES}: shorter sequences are "
                            "rejected")
        if self.rerank_weight > 1:
            raise UserError(f"rerank_weight is {self.rerank_weight}; it must be in 0..1")
        if -1 < self.ctc_share < 0 or self.ctc_share >= 1:
            raise UserError(f"ctc_share is {self.ctc_share}; it must be at least 0 and below 1, or -1")
        Limits(self.min_confidence)               # raises for what is none
        if self.min_certainty != -1 and not 0 <= self.min_certainty < 1:
            raise UserError(f"min_certainty is {self.min_certainty}; it must be at least 0 and below 1, or -1")
        if not all(isinstance(path, str) for path in self.checkpoints):
            raise UserError(f"checkpoints is {self.checkpoints}; it must hold paths of checkpoints")


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
        super().__post_init__()
        at_least(self, scored=1)
        check_dataset(self.title, self.slug, self.user, self.license)
