# %% [markdown]
# # From checkpoints to one TFLite file
#
# Any number of trained networks become one model that averages them: the same layers in TensorFlow with the trained weights,
# preprocessing and decoding inside, built-in operations only. It reads what MediaPipe gives and answers with characters.
#
# Reads `round2/seed*/checkpoint.pt`, or any `checkpoints`, the published ones too. Leaves `export/`: `model.tflite`,
# `inference_args.json` and `report.json`.

# %% tags=["parameters"]
run: str = "demo"  # the run's folder: datamount/<run>, on Kaggle /kaggle/working/<run>
checkpoints: list = []  # checkpoints to average, ours or published ones; empty: every finished seed of the run
precision: str = "auto"  # of the weights: float32, float16, mixed, int8; auto: the most faithful that fits max_mb and max_ms
max_mb: float = 40.0  # the competition's limit for the model file
max_ms: float = 265.0  # a recording's time on one core; 265 is 5 h for 68,000 recordings
compared: int = 400  # recordings that the variants are compared on, at most
beams: int = -1  # of a beam search in the model; 0: greedy; -1: 8 for our networks, greedy for published ones
length_penalty: float = 0.5  # of the search: it ranks by log probability / ((5 + length) / 6) ** length_penalty
rerank_weight: float = 0.4  # share of the backward decoder's opinion in ranking what the search found; 0: leaves it out

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
import torch

from aslutils import kaggle, plots
from aslutils.run import release
from aslutils.run.corpus import open_run
from aslutils.system.files import write_json
from aslutils.task.metric import score
from aslutils.model.checkpoint import load_checkpoint
from aslutils.system.parameters import settings
from aslutils.port.compare import compare_layers, read_pytorch
from aslutils.port.export import check, write_export
from aslutils.port.variants import build_variants, choose, measure_variants, sensitivity, typical_recording
from aslutils.system.progress import progress

(config,) = settings(globals(), release.ExportConfig)
folder = open_run(config.run)
torch.set_num_threads(1)
paths = release.find_checkpoints(folder, config.checkpoints)
loaded = [load_checkpoint(path) for path in paths]
networks = [checkpoint.network.eval() for checkpoint in loaded]
beam = release.decoding(config, loaded)
check(networks, beam, config.precision)
for path, checkpoint in zip(paths, loaded):
    weights = sum(weight.numel() for weight in checkpoint.network.parameters())
    print(f"{path}: {'published' if checkpoint.published else 'ours'}, {weights:,} weights, {checkpoint.network.config}")

# %% [markdown]
# ## What PyTorch reads
#
# The reference that every exported variant is held against, one recording at a time.

# %%
store, rows, words = release.scored_rows(folder, config.compared, [checkpoint.facts for checkpoint in loaded])
print(f"Compared on {words}.")
recordings = [release.columns(store, row) for row in rows]
phrases = [store.table["phrase"][row] for row in rows]
reference = [read_pytorch(networks, recording, beam)
             for recording in progress(recordings, what="reading", unit="recordings")]
pytorch_score = score(phrases, [reading.text for reading in reference]) if len(rows) else None
if len(rows):
    print(f"Score of the ensemble in PyTorch: {pytorch_score:.4f}, {f'by {beam}' if beam else 'decoded greedily'}")
if len(rows) and beam:
    greedy = [read_pytorch(networks, recording).text for recording in recordings]
    print(f"Decoded greedily it would be {score(phrases, greedy):.4f}")
auc = release.confidence_auc(folder, release.sequence_ids(store, rows), [reading.confidence for reading in reference])
if auc is not None:
    print(f"The confidence tells spoilt recordings from good ones with an area under the ROC curve of {auc:.3f}")

# %% [markdown]
# ## Layer by layer
#
# The same weights in TensorFlow and in TFLite, float32: the largest difference from PyTorch in each layer's output.

# %%
layers = compare_layers(networks[0], recordings[:8] or [typical_recording()])
plots.layers(layers)

# %%
layers

# %% [markdown]
# ## The variants
#
# Each precision of the weights: how large the file is, how long a recording takes on one core, how many texts equal PyTorch's.
# The limits are the competition's.

# %%
variants = build_variants(networks, beam)
table = measure_variants(variants, len(networks), recordings, phrases, reference)
plots.variants(table)

# %% [markdown]
# ## What int8 costs
#
# Each part of the networks alone in int8, all else in float32, on some of the recordings: the share of texts that change, how far
# the logits move, and what `mixed` keeps that part in.

# %%
sensitivity(variants["float32"], recordings[:100], reference[:100]) if len(rows) else None

# %% [markdown]
# ## The choice
#
# The most faithful variant within `max_mb` and `max_ms`, unless `precision` names one.

# %%
chosen = choose(table, config.precision, config.max_mb, config.max_ms)
path = write_export(variants[chosen], folder / "export")
(figures,) = table[table["variant"] == chosen].astype(object).where(table.notna(), None).to_dict("records")
report = {**figures, "score": pytorch_score, "score_exported": figures["score"] if len(rows) else None,
          "beams": beam.beams if beam else 0, "scored_on": words, "compared": len(rows), "confidence_auc": auc,
          "checkpoints": [str(path) for path in paths], "facts": [checkpoint.facts for checkpoint in loaded],
          "largest_difference": float(layers["tflite"].max())}
write_json(folder / "export" / "report.json", report)
kaggle.end_session(run, "04_convert_tflite", finished=True)
print(f"Exported: {chosen}, {path.stat().st_size / 1e6:.1f} MB, {path}")
table
