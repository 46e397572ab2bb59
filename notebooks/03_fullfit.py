# %% [markdown]
# # Round 2: the large network on everything
#
# It has a stem for each part of the body, rotary attention, a second decoder that spells backwards, and a head that predicts how
# well a sequence can be read. It trains on all sequences, including the supplemental ones, once per seed; notebook 04 averages
# the networks of all seeds.
#
# Reads the store (prepared here if necessary) and `train_folded_oof_supp.csv` (without it every score is 1). Writes to
# `round2/seed<s>/` a checkpoint, its history, and predictions for the held-out participants.

# %% tags=["parameters"]
run: str = "demo"  # the run's folder: datamount/<run>, on Kaggle /kaggle/working/<run>
data: str = ""  # folder of competition files or of the published .npy files; "": the data attached on Kaggle, or the demo
fresh: bool = False  # train from scratch and discard checkpoints
processes: int = 2  # trainings at once: one per GPU, or a share of the cores each
seeds: list = []  # several seeds at once, one per GPU; empty: seed alone, but 1 and 2 by run_all.sh and Kaggle kernels
align_cuts: bool = False  # CutMix cuts at the borders that round 1's CTC head found between characters; False: as published
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
blocks: int = 3  # Squeezeformer blocks
heads: int = 4  # attention heads of the encoder
kernel: int = 15  # depthwise convolution, in frames
attention: str = "rotary"  # "relative" (round 1) or "rotary" (round 2)
part_stems: bool = True  # separate stems for left hand, right hand, face and pose
backward_decoder: bool = True  # a second decoder trained on the reversed phrase
confidence: bool = True  # a head that predicts the out-of-fold score
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
confidence_weight: float = 0.1  # share of the confidence head in the loss
ctc_weight: float = 1.0  # an auxiliary CTC loss on the encoder, added; 0: none, as published
shown_weight: float = 1.0  # a loss on the character that each frame shows, where the data say it; 0: none, as published
ignore_pad: bool = True  # True: only characters and EOS are targets; False: PAD too, as published
init: str = ""  # a checkpoint whose weights the training begins with (pretraining); "": random weights
seed: int = 1  # decides weights, data order, augmentation, dropout
epochs: int = 12  # passes over the data
batch_size: int = 16  # sequences per step
accumulate: int = 1  # steps whose gradients are summed before the optimiser steps
optimiser: str = "muon"  # "muon" or "adamw", which is the published one and wants half of muon's learning rate
learning_rate: float = 2.4e-3  # peak learning rate
warmup_epochs: float = 1.0  # epochs of linear warm-up from 0, then cosine decay to 0
weight_decay: float = 0.05  # decoupled weight decay
beta2: float = 0.98  # AdamW's second beta; 0.999 as published
clip: float = 4.0  # maximum gradient norm
precision: str = "auto"  # "fp16", "bf16" or "no"; auto: fp16 on a GPU, else no
min_frames: int = 1  # shorter sequences are left out of training
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
    {"name": "Resample", "low": 0.4, "high": 1.1, "p": 0.8},
    {"name": "PartDrop", "pose": 0.1, "face": 0.05},
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
from IPython.display import display

from aslutils import plots
from aslutils.data import augment
from aslutils.model.checkpoint import load_network
from aslutils.run import scoring, stages
from aslutils.run.corpus import open_corpus
from aslutils.run.place import check_gpu, minutes_left
from aslutils.run.sessions import end_session
from aslutils.training import rounds
from aslutils.training.evaluate import postprocess
from aslutils.training.folder import CHECKPOINT
from aslutils.training.jobs import histories, train_all

data_config, training, seed_config, model, loss, train = stages.settings("03_fullfit", globals())
print(check_gpu())

# %% [markdown]
# ## The data

# %%
corpus = open_corpus(data_config)
table = rounds.training_table(corpus)
table.groupby("is_sup")["score"].describe()

# %%
row = plots.clear_sequence(corpus.store)
partner = plots.clear_sequence(corpus.store, skip=1)
plots.augmentations(corpus.store.frames(row), corpus.store.frames(partner), augment.build(augmentations))

# %% [markdown]
# ## Training

# %%
jobs = rounds.seed_jobs(corpus, table, seed_config, model, loss, train, training.augmentations)
finished = train_all(jobs, processes=training.processes, fresh=training.fresh,
                     max_minutes=minutes_left(train.max_minutes))
end_session(run, "03_fullfit", finished=finished)
print("Trained." if finished else "Stopped at the time limit, with a checkpoint: run this notebook again to resume.")

# %%
plots.learning_curves(histories(jobs))

# %% [markdown]
# ## Predictions
#
# The held-out participants were in neither round, so their score is fair. If nobody is held out, as in the winning solution,
# these are sequences that it was trained on.

# %%
if finished:
    read = {job.name: rounds.final_predictions(job, corpus) for job in jobs}
    kinds = {name: scoring.kinds(corpus.folder, predictions) for name, predictions in read.items()}
    spelled = {name: predictions[kinds[name] != scoring.UNSPELLED] for name, predictions in read.items()}
    print(f"Scores on {rounds.validation_words(jobs[0])}:")
    display(rounds.score_table(spelled).round(4))

# %% [markdown]
# All pictures are of the first seed's network. Its scores by group, with 95 % intervals:

# %%
if finished:
    predictions = spelled[jobs[0].name]
    display(plots.scores_by(corpus.store.described(postprocess(predictions))))

# %% [markdown]
# The confidence head against the score. In the scores above, sequences to the left of the line got the dummy phrase.

# %%
if finished and model.confidence:
    display(plots.confidence(read[jobs[0].name]))

# %%
if finished:
    display(plots.predictions(predictions, corpus.store))

# %% [markdown]
# The decoder's attention while it spells:

# %%
if finished:
    display(plots.attention(load_network(jobs[0].folder / CHECKPOINT), corpus.store, rounds.longest_right(predictions)))
