# %% [markdown]
# # Round 1: a network on each fold
#
# The winning solution trains twice. This first round trains a small Squeezeformer on each of four participant-disjoint folds and
# lets it read the people it has not seen. How well each recording is read becomes its *score*: round 2 learns to predict
# it, as its confidence.
#
# Reads the competition's files (or the published .npy files, or a demo that it writes itself). Leaves the landmark store,
# `folds.csv`, and in `round1/fold<k>/` a checkpoint, its history and a prediction for every recording of the fold.

# %% tags=["parameters"]
run: str = "demo"  # the run's folder: datamount/<run>, on Kaggle /kaggle/working/<run>
data: str = ""  # folder of competition files or of the published .npy files; "": what Kaggle attached, else the demo
fresh: bool = False  # train anew, forgetting checkpoints
processes: int = 2  # trainings at once: one a GPU, or a share of the cores
folds: list = [0, 1, 2, 3]  # the folds to train
store_dtype: str = "float16"  # of the landmark store: float16 (its error is below MediaPipe's jitter) or float32
fold_count: int = 4  # participant-disjoint folds
fold_seed: int = 1  # decides the folds and who is held out
folds_file: str = ""  # a published train_folded.csv to take the folds from
holdout: float = 0.2  # share of the participants kept out of both rounds, for honest scores
demo_sequences: int = 6000  # recordings of the demo data, written when there is no other
demo_supplemental: int = 400  # its supplemental recordings
demo_participants: int = 60  # its people
demo_seed: int = 1  # and its seed
dim: int = 96  # model width D
blocks: int = 2  # Squeezeformer blocks
heads: int = 4  # attention heads of the encoder
kernel: int = 15  # depthwise convolution, in frames
attention: str = "relative"  # "relative" (round 1) or "rotary" (round 2)
part_stems: bool = False  # a stem each for left hand, right hand, face and pose
backward_decoder: bool = False  # a second decoder trained on the reversed phrase
confidence: bool = False  # a head that predicts the out-of-fold score
decoder_layers: int = 2  # transformer decoder layers
decoder_heads: int = 4  # their attention heads
decoder_ffn: int = 256  # their feed-forward width
stem_channels: int = 32  # channels of the stem's convolution
stem_momentum: float = 0.95  # weight of the new batch in the stem's BatchNorm1d statistics
dropout: float = 0.0  # in the encoder's modules and on the decoder's residuals and activations
decoder_attention_dropout: float = 0.0  # on the decoder's attention weights
mask_probability: float = 0.2  # a decoder input becomes MASK with this probability
backward_weight: float = 0.4  # share of the backward decoder in the cross entropy
confidence_weight: float = 0.02  # share of the confidence head in the loss
ctc_weight: float = 0.5  # an auxiliary CTC loss on the encoder, added; 0: none, as published
ignore_pad: bool = True  # True: only characters and EOS are targets; False: PAD too, as published
seed: int = 1  # decides weights, data order, augmentation, dropout
epochs: int = 8  # passes over the data
batch_size: int = 32  # sequences a step
accumulate: int = 1  # steps whose gradients are added before the weights move
learning_rate: float = 2e-3  # highest learning rate
warmup_epochs: float = 0.8  # epochs in which it rises from 0; then a cosine to 0
weight_decay: float = 0.05  # AdamW's
beta2: float = 0.98  # AdamW's second beta; 0.999 as published
clip: float = 4.0  # largest gradient norm
precision: str = "auto"  # "fp16", "bf16" or "no"; auto: fp16 on a GPU, else no
min_frames: int = 15  # shorter recordings are left out of training
workers: int = 0  # processes that load data; 0: in the training process
threads: int = 0  # CPU threads a training uses; 0: all cores shared by the trainings at once
max_minutes: float = 0.0  # stop with a checkpoint after this time, run again to go on; 0: no limit but Kaggle's own
checkpoint_minutes: float = 1.0  # time between checkpoints
evaluate_every: int = 0  # epochs between scores of up to 512 validation sequences; 0: at the end only
tracker: str = "tensorboard"  # "wandb" (offline) or "trackio"; "": none
augmentations: list = [  # in order; each with its ranges and its probability p
    {"name": "Mirror", "p": 0.5},
    {"name": "SpatialAffine", "scale": [0.82, 1.18], "shear": [-0.12, 0.12], "shift": [-0.09, 0.09],
     "degree": [-18, 18], "p": 0.75},
    {"name": "Resample", "low": 0.8, "high": 1.25, "p": 0.5},
]

# %%
# Find the kit: beside this notebook at home, an attached data set on Kaggle.
import os
import sys
from itertools import chain
from pathlib import Path

inputs = Path(os.environ.get("ASLUTILS_KAGGLE_ROOT", "/kaggle")) / "input"
attached = (found.parents[1] for depth in ("*", "*/*", "*/*/*") for found in inputs.glob(f"{depth}/aslutils/__init__.py"))
sys.path.insert(0, str(next(kit for kit in chain([Path.cwd(), Path.cwd().parent], attached) if (kit / "aslutils").is_dir())))

# %%
import pandas as pd
from IPython.display import display

from aslutils import kaggle, plots
from aslutils.data import augment
from aslutils.training import rounds
from aslutils.run import place
from aslutils.run.corpus import DataConfig, clear_recording, open_corpus
from aslutils.task.metric import score
from aslutils.data.folds import balance
from aslutils.training.jobs import histories, train_all
from aslutils.model.config import ModelConfig
from aslutils.model.loss import LossConfig
from aslutils.system.parameters import read_params, settings
from aslutils.training.trainer import TrainConfig

data_config, training, fold_config, model, loss, train = settings(
    globals(), DataConfig, rounds.TrainingRun, rounds.FoldsConfig, ModelConfig, LossConfig, TrainConfig)
print(kaggle.check_gpu())

# %% [markdown]
# ## The recordings
#
# Each recording is a sequence of frames of 130 landmarks: lips, eyes, nose, arms and both hands. A hand that the camera did not
# find is missing, often most of the time.

# %%
corpus = open_corpus(data_config, training.fresh)
corpus.store.table.head()

# %%
plots.corpus(corpus.store.table)

# %% [markdown]
# One of them, as the network will see it move:

# %%
row = clear_recording(corpus.store)
phrase = corpus.store.table["phrase"][row]
plots.skeleton(corpus.store.raw(row), phrase)

# %%
plots.strip(corpus.store.raw(row), phrase)

# %% [markdown]
# ## The handshapes of the demo
#
# Without other data the kit writes its own: a kinematic hand spells phrases. These are its letters, digits and signs, each from
# the front and from the side.

# %%
if corpus.kind == "demo":
    display(plots.handshapes())

# %% [markdown]
# ## What augmentation does to a recording

# %%
partner = clear_recording(corpus.store, skip=1)
plots.augmentations(corpus.store.standardised(row), corpus.store.standardised(partner), augment.build(augmentations))

# %% [markdown]
# Those are the ones that this training uses. All that the kit has, as strong as in the winning solution's second round:

# %%
published = read_params(place.KIT / "params" / "winning" / "03_fullfit.yaml")["augmentations"]
plots.augmentations(corpus.store.standardised(row), corpus.store.standardised(partner),
                    augment.build([*published, {"name": "SpatialMask"}]))      # which is there with p 0

# %% [markdown]
# ## The folds
#
# No participant is in two folds, and some are held out of both rounds when `holdout` says so.

# %%
balance(corpus.folds).rename(index={-1: "held out"})

# %% [markdown]
# ## Training

# %%
jobs = [rounds.fold_job(corpus, fold, model, loss, train, training.augmentations) for fold in fold_config.folds]
finished = train_all(jobs, processes=fold_config.processes, fresh=training.fresh,
                     max_minutes=kaggle.minutes_left(train.max_minutes))
kaggle.end_session(run, "01_round1_folds", finished=finished)
print("All folds are trained." if finished else "Stopped at the time limit, with checkpoints: run this notebook again to go on.")

# %%
plots.learning_curves(histories(jobs))

# %% [markdown]
# ## What the folds' own networks read
#
# Each recording of the trained folds, read by a network that never saw the person.

# %%
if finished:
    predictions = pd.concat([rounds.read_predictions(job.folder) for job in jobs], ignore_index=True)
    print(f"Out-of-fold score of {len(predictions):,} recordings: {score(predictions['phrase'], predictions['prediction']):.4f}")
    display(plots.predictions(predictions, corpus.store))
