# %% [markdown]
# # From checkpoints to a TFLite file
#
# Converts any number of trained networks to one model that averages them: the same layers in TensorFlow with the trained weights,
# including preprocessing and decoding, with built-in operations only. Its input is MediaPipe's output, its output is characters.
#
# Reads `round2/seed*/checkpoint.pt`, or any `checkpoints`, including the published ones. Writes `export/`: `model.tflite`,
# `model_fixed.tflite` for runtimes that need a fixed shape, `inference_args.json` and `report.json`.

# %% tags=["parameters"]
run: str = "demo"  # the run's folder: datamount/<run>, on Kaggle /kaggle/working/<run>
checkpoints: list = []  # checkpoints to average, ours or published ones; empty: every finished seed of the run
precision: str = "auto"  # of the weights: float32, float16, mixed, int8; auto: the most faithful within max_mb and max_ms
max_mb: float = 40.0  # the competition's limit for the model file
max_ms: float = 265.0  # limit of the time per sequence on one core; 265 is 5 h for 68,000 sequences
compared: int = 250  # maximum number of sequences to compare the variants on
beams: int = -1  # beams of the beam search; 0: greedy; -1: 8 for our networks unless clearly worse; published ones greedily
length_penalty: float = 0.5  # of the search, which ranks by log probability / ((5 + length) / 6) ** length_penalty
rerank_weight: float = 0.4  # weight of the backward decoder in ranking the hypotheses; 0: not used
ctc_share: float = -1.0  # share of the CTC head in the search; 0: not used; -1: 0.5 where every network has a trained one
half_rate: bool = True  # read every second frame too, and answer the more certain text, as slow hands need; published ones never
fixed_frames: int = 384  # frames of the second export, whose shape is fixed; 0: none
min_confidence: float = 0.15  # a sequence of less confidence is rejected; 0.15: as published
min_certainty: float = -1.0  # so is a text of less certainty; -1: 0.18 if `shown` was learnt, else 0.1, published ones 0

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
import torch

from aslutils import plots
from aslutils.model.checkpoint import load_checkpoint
from aslutils.port.compare import compare_layers, read_pytorch
from aslutils.port.export import check, convert, with_precision, write_export
from aslutils.port.variants import build_variants, choose, measure_variants, typical_is_read, typical_sequence
from aslutils.reading.tflite import FIXED
from aslutils.run import export, scoring, stages
from aslutils.run.corpus import open_run
from aslutils.run.sessions import end_session
from aslutils.system.files import write_json
from aslutils.system.progress import progress
from aslutils.task.metric import score

(config,) = stages.settings("04_convert_tflite", globals())
folder = open_run(config.run)
torch.set_num_threads(1)
paths = export.find_checkpoints(folder, config.checkpoints)
loaded = [load_checkpoint(path) for path in paths]
networks = [checkpoint.network.eval() for checkpoint in loaded]
beam = export.decoding(config, loaded)
check(networks, beam, config.precision)
for path, checkpoint in zip(paths, loaded):
    weights = sum(weight.numel() for weight in checkpoint.network.parameters())
    print(f"{path}: {'published' if checkpoint.published else 'ours'}, {weights:,} weights, {checkpoint.network.config}")

# %% [markdown]
# ## Predictions of PyTorch
#
# The reference for every exported variant, one sequence at a time.

# %%
store, rows, kind = scoring.scored_rows(folder, config.compared, [checkpoint.facts for checkpoint in loaded])
print(f"Compared on {len(rows):,} {kind.value}." if len(rows) else "This run has no data, so nothing is compared or scored.")
sequences = [store.columns(row) for row in rows]
phrases = [store.table["phrase"][row] for row in rows]
limits, half_rate = export.limits(config, loaded), export.half_rate(config, loaded)
reference = [read_pytorch(networks, columns, beam, limits, half_rate)
             for columns in progress(sequences, what="reading", unit="sequences")]
pytorch_score = score(phrases, [answer.text for answer in reference]) if len(rows) else None
if len(rows):
    print(f"Score of the ensemble in PyTorch: {pytorch_score:.4f}, {f'by {beam}' if beam else 'decoded greedily'}")
if len(rows) and beam:
    greedy = [read_pytorch(networks, columns, None, limits, half_rate)
              for columns in progress(sequences, what="reading greedily", unit="sequences")]
    greedy_score = score(phrases, [answer.text for answer in greedy])
    print(f"Decoded greedily it would be {greedy_score:.4f}")
    if not export.search_stays(config, pytorch_score, greedy_score):
        beam, reference, pytorch_score = None, greedy, greedy_score
        print("The search reads these clearly worse, so the export decodes greedily; beams: 8 keeps the search.")

# %% [markdown]
# What the demo's networks make of sequences that are corrupted, or in which nobody spells: these should be rejected.

# %%
others = scoring.unspelled_rows(folder, config.compared // 2)
unspelled = [read_pytorch(networks, store.columns(row), beam, limits, half_rate)
             for row in progress(others, what="reading", unit="sequences")]
answers = scoring.answers_by_kind(folder, store, [*rows, *others], [*reference, *unspelled])
answers.round(3)

# %% [markdown]
# ## Layer by layer
#
# The same weights in TensorFlow and in TFLite, float32: the largest difference from PyTorch in each layer's output.

# %%
layers = compare_layers(networks[0], sequences[:8] or [typical_sequence()])
plots.layers(layers)

# %%
layers

# %% [markdown]
# ## The variants
#
# For each precision of the weights: the size of the file, the time per sequence on one core, and the share of texts equal to
# PyTorch's. The limits are the competition's.

# %%
variants = build_variants(networks, beam, limits, half_rate)
table = measure_variants(variants, len(networks), sequences, phrases, reference)
if not len(rows) and not typical_is_read(variants["float32"]):
    print("These networks reject the made-up clip that is timed here, so spelling is not in the times: measure on data of yours.")
plots.variants(table)

# %% [markdown]
# ## The choice
#
# The most faithful variant within `max_mb` and `max_ms`, unless `precision` names one.

# %%
chosen = choose(table, config.precision, config.max_mb, config.max_ms)
fixed = None
if config.fixed_frames:
    fixed = with_precision(convert(networks, beam, config.fixed_frames, limits, half_rate), chosen)
path = write_export(variants[chosen], folder / "export", fixed, limits, **export.usual(loaded))
print(f"Exported: {chosen}, {path.stat().st_size / 1e6:.1f} MB, {path}")
table

# %% [markdown]
# ## The export with a fixed shape
#
# `model_fixed.tflite` takes exactly `fixed_frames` rows, for runtimes in browsers and on phones that cannot resize an input.
# Rows of NaN behind a sequence are no frames, so it reads the same text up to that length. It always takes the time of a long
# sequence.

# %%
both = {"model.tflite": variants[chosen]} | ({FIXED: fixed} if fixed else {})
shapes = measure_variants(both, len(networks), sequences[:100], phrases[:100], reference[:100])
shapes

# %% [markdown]
# ## The report

# %%
(figures,) = table[table["variant"] == chosen].astype(object).where(table.notna(), None).to_dict("records")
report = {**figures, "score": pytorch_score, "score_exported": figures["score"] if len(rows) else None,
          "beams": beam.beams if beam else 0, "half_rate": half_rate, "scored_on": kind.name, "compared": len(rows),
          "kinds": answers.astype(object).where(answers.notna(), None).to_dict("index"),
          "checkpoints": export.names(folder, paths), "facts": [checkpoint.facts for checkpoint in loaded],
          "largest_difference": float(layers["tflite"].max()),
          "fixed": shapes[shapes["variant"] == FIXED].astype(object).where(shapes.notna(), None).to_dict("records")}
write_json(folder / "export" / "report.json", report)
end_session(run, "04_convert_tflite", finished=True)
