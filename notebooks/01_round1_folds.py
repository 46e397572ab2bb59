# %% [markdown]
# # Round 1: a network for each fold
#
# The winning solution trains twice. This first round trains a small Squeezeformer for each of four participant-disjoint folds,
# which then reads the fold's sequences, whose participants it has not seen. How well each sequence is read is its *score*:
# round 2 learns to predict it, as its confidence.
#
# Reads the competition's files (or the published .npy files, or a demo that it writes itself). Writes the landmark store,
# `folds.csv`, and in `round1/fold<k>/` a checkpoint, its history and a prediction for every sequence of the fold.

# %% tags=["parameters"]
run: str = "demo"  # the run's folder: datamount/<run>, on Kaggle /kaggle/working/<run>
data: str = ""  # folder of competition files or of the published .npy files; "": the data attached on Kaggle, or the demo
fresh: bool = False  # train from scratch and discard checkpoints
processes: int = 2  # trainings at once: one per GPU, or a share of the cores each
folds: list = [0, 1, 2, 3]  # the folds to train
store_dtype: str = "float16"  # of the landmark store: float16 (its error is below MediaPipe's jitter) or float32
fold_count: int = 4  # participant-disjoint folds
fold_seed: int = 1  # decides the folds and the held-out participants
folds_file: str = ""  # a published train_folded.csv to take the folds from
holdout: float = 0.2  # share of the participants kept out of both rounds, for honest scores
demo_sequences: int = 6000  # sequences in the demo data, written if there is no other data
demo_supplemental: int = 400  # its supplemental sequences
demo_participants: int = 400  # its participants
demo_characters: int = 8  # most characters of its phrases
demo_long: float = 0.0  # share of its phrases that may have up to 31 instead, as in the corpus
demo_pace: float = 7.0  # its frames per character, at the median; the corpus has 8.9
demo_missing: float = 0.28  # its mean share of frames without a hand; the corpus has 0.44
demo_resting: float = 0.0  # share of the spelled sequences in which the hand rests in view around the phrase
demo_varied: float = 0.0   # share of its participants who vary more, as people do: harder to read
demo_seed: int = 1  # its seed
dim: int = 96  # model width D
blocks: int = 2  # Squeezeformer blocks
heads: int = 4  # attention heads of the encoder
kernel: int = 15  # depthwise convolution, in frames
attention: str = "rotary"  # "relative" (round 1) or "rotary" (round 2)
part_stems: bool = True  # separate stems for left hand, right hand, face and pose
backward_decoder: bool = False  # a second decoder trained on the reversed phrase
confidence: bool = False  # a head that predicts the out-of-fold score
decoder_layers: int = 2  # transformer decoder layers
decoder_heads: int = 4  # their attention heads
decoder_ffn: int = 256  # their feed-forward width
stem_channels: int = 16  # channels of the stem's convolution
stem_momentum: float = 0.95  # weight of the new batch in the stem's BatchNorm1d statistics
dropout: float = 0.0  # in the encoder's modules and on the decoder's residuals and activations
decoder_attention_dropout: float = 0.0  # on the decoder's attention weights
mask_probability: float = 0.2  # a decoder input becomes MASK with this probability
replace_probability: float = 0.0  # it becomes a random character instead with this one; 0: never, as published
backward_weight: float = 0.4  # share of the backward decoder in the cross-entropy
confidence_weight: float = 0.02  # share of the confidence head in the loss
ctc_weight: float = 1.0  # an auxiliary CTC loss on the encoder, added; 0: none, as published
shown_weight: float = 1.0  # a loss on the character that each frame shows, where the data say it; 0: none, as published
ignore_pad: bool = True  # True: only characters and EOS are targets; False: PAD too, as published
init: str = ""  # a checkpoint whose weights the training begins with (pretraining); "": random weights
seed: int = 1  # decides weights, data order, augmentation, dropout
epochs: int = 4  # passes over the data
batch_size: int = 16  # sequences per step
accumulate: int = 1  # steps whose gradients are summed before the optimiser steps
optimiser: str = "muon"  # "muon" or "adamw", which is the published one and wants half of muon's learning rate
learning_rate: float = 2.4e-3  # peak learning rate
warmup_epochs: float = 0.6  # epochs of linear warm-up from 0, then cosine decay to 0
weight_decay: float = 0.05  # decoupled weight decay
beta2: float = 0.98  # AdamW's second beta; 0.999 as published
clip: float = 4.0  # maximum gradient norm
precision: str = "auto"  # "fp16", "bf16" or "no"; auto: fp16 on a GPU, else no
min_frames: int = 15  # shorter sequences are left out of training
workers: int = 0  # data loading processes; 0: load in the training process
threads: int = 0  # CPU threads per training; 0: all cores, shared by the concurrent trainings
max_minutes: float = 0.0  # stop with a checkpoint after this time; run again to resume; 0: only Kaggle's own limit
checkpoint_minutes: float = 1.0  # time between checkpoints
evaluate_every: int = 0  # epochs between evaluations on up to 512 validation sequences; 0: only at the end
tracker: str = "tensorboard"  # logs curves besides history.csv: also "wandb" (offline) or "trackio"; "": none
augmentations: list = [  # Mirror, then CutMix, then the others in order; each with its ranges and its probability p
    {"name": "Mirror", "p": 0.5},
    {"name": "SpatialAffine", "scale": [0.82, 1.18], "shear": [-0.12, 0.12], "shift": [-0.09, 0.09],
     "degree": [-18, 18], "p": 0.75},
    {"name": "Resample", "low": 0.4, "high": 1.0, "p": 0.8},
]

# %%
# Find the kit: beside this notebook, or in an attached data set on Kaggle.
import os
import sys
from itertools import chain
from pathlib import Path

inputs = Path(os.environ.get("ASLUTILS_KAGGLE_ROOT", "/kaggle")) / "input"
attached = (found.parents[1] for depth in ("*", "*/*", "*/*/*") for found in inputs.glob(f"{depth}/aslutils/__init__.py"))
kit = next((place for place in chain([Path.cwd(), Path.cwd().parent], attached) if (place / "aslutils").is_dir()), None)
if not kit:
    raise FileNotFoundError(f"no kit in {Path.cwd()}: run this from the kit's folder (papermill: --cwd KIT), or attach it")
sys.path.insert(0, str(kit))

# %%
import pandas as pd
from IPython.display import display

from aslutils import plots
from aslutils.data import augment
from aslutils.data.folds import balance
from aslutils.run import stages
from aslutils.run.corpus import open_corpus
from aslutils.run.place import KIT, check_gpu, minutes_left
from aslutils.run.sessions import end_session
from aslutils.system.parameters import read_params
from aslutils.task.metric import score
from aslutils.training import rounds
from aslutils.training.jobs import histories, train_all

data_config, training, fold_config, model, loss, train = stages.settings("01_round1_folds", globals())
print(check_gpu())

# %% [markdown]
# ## The sequences
#
# A sequence is one row of the CSV file: frames with 130 landmarks each, of lips, eyes, nose, arms and both hands. A hand that
# MediaPipe did not find is missing, often most of the time.

# %%
corpus = open_corpus(data_config, training.fresh)
corpus.store.table.head()

# %%
plots.corpus(corpus.store.table)

# %% [markdown]
# One of them, in motion:

# %%
row = plots.clear_sequence(corpus.store)
phrase = corpus.store.table["phrase"][row]
plots.skeleton(corpus.store.landmarks(row), phrase)

# %%
plots.strip(corpus.store.landmarks(row), phrase)

# %% [markdown]
# ## The handshapes of the demo
#
# Without other data the kit generates its own: a kinematic hand spells phrases. These are its letters, digits and symbols, each
# from the front and from the side.

# %%
if corpus.kind == "demo":
    display(plots.handshapes())

# %% [markdown]
# ## What augmentation does to a sequence

# %%
partner = plots.clear_sequence(corpus.store, skip=1)
plots.augmentations(corpus.store.frames(row), corpus.store.frames(partner), augment.build(augmentations))

# %% [markdown]
# These are the ones that this training uses. All that the kit has, as strong as in the winning solution's second round:

# %%
published = read_params(KIT / "params" / "winning" / "03_fullfit.yaml")["augmentations"]
plots.augmentations(corpus.store.frames(row), corpus.store.frames(partner),
                    augment.build([*published, {"name": "SpatialMask"}]))      # in the list with p 0

# %% [markdown]
# ## The folds
#
# No participant is in two folds. The share `holdout` of the participants is held out of both rounds.

# %%
balance(corpus.folds).rename(index={-1: "held out"})

# %% [markdown]
# ## Training

# %%
jobs = [rounds.fold_job(corpus, fold, model, loss, train, training.augmentations) for fold in fold_config.folds]
finished = train_all(jobs, processes=training.processes, fresh=training.fresh,
                     max_minutes=minutes_left(train.max_minutes))
end_session(run, "01_round1_folds", finished=finished)
print("All folds are trained." if finished else "Stopped at the time limit, with checkpoints: run this notebook again to resume.")

# %%
plots.learning_curves(histories(jobs))

# %% [markdown]
# ## Out-of-fold predictions
#
# Each sequence of the trained folds, read by a network that has not seen its participant.

# %%
if finished:
    predictions = pd.concat([rounds.read_predictions(job.folder, corpus.store) for job in jobs], ignore_index=True)
    print(f"Out-of-fold score of {len(predictions):,} sequences: {score(predictions['phrase'], predictions['prediction']):.4f}")
    display(plots.predictions(predictions, corpus.store))
