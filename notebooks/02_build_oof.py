# %% [markdown]
# # The out-of-fold table
#
# Joins the folds' predictions into one table: every training sequence with the score of a network that had not seen its
# participant, then the supplemental sequences with the score 0.5. Round 2 trains on this table.
#
# Reads `folds.csv` and `round1/fold*/`. Writes `train_folded_oof_supp.csv`.

# %% tags=["parameters"]
run: str = "demo"  # the run's folder: datamount/<run>, on Kaggle /kaggle/working/<run>
worst: int = 10  # number of lowest-scoring sequences to show

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
from aslutils import plots
from aslutils.data.store import Store
from aslutils.run import scoring, stages
from aslutils.run.corpus import open_run
from aslutils.run.sessions import end_session
from aslutils.task.metric import score
from aslutils.training import rounds

(config,) = stages.settings("02_build_oof", globals())
folder = open_run(config.run)

# %%
table = rounds.build_table(folder)
table.groupby("is_sup")["score"].describe()

# %% [markdown]
# ## How well round 1 reads participants it has not seen

# %%
read = table[~table["is_sup"] & ~table["holdout"]]
print(f"Out-of-fold score of {len(read):,} sequences: {score(read['phrase'], read['prediction']):.4f}")
plots.score_distribution(table)

# %% [markdown]
# These scores are the targets of round 2's confidence. In the demo's data some sequences are corrupted, and in some nobody
# spells: round 1 cannot read them, so their targets are low by themselves.

# %%
read.groupby(scoring.kinds(folder, read))["score"].describe().round(3)

# %% [markdown]
# Scores by group, with 95 % intervals:

# %%
store = Store(folder / "store")
read = store.described(read)
plots.scores_by(read)

# %%
plots.confusions(read)

# %% [markdown]
# ## The sequences with the lowest score
#
# Some cannot be read by anyone: the hand is out of sight, or the sequence is cut short. The confidence head should detect these.

# %%
end_session(run, "02_build_oof", finished=True)
plots.worst(read, store, count=config.worst)
