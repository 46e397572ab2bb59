# %% [markdown]
# # The out-of-fold table
#
# Joins the folds' predictions into one table: every training recording with the score that a network gave it which had not seen
# its signer, then the supplemental recordings with the score 0.5. Round 2 trains on this table.
#
# Reads `folds.csv` and `round1/fold*/`. Leaves `train_folded_oof_supp.csv`.

# %% tags=["parameters"]
run: str = "demo"  # the run's folder: datamount/<run>, on Kaggle /kaggle/working/<run>
worst: int = 10  # how many of the recordings with the lowest score are shown

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
from aslutils import kaggle, plots
from aslutils.training import rounds
from aslutils.run.corpus import open_run, with_recordings
from aslutils.task.metric import score
from aslutils.system.parameters import settings
from aslutils.data.store import Store

(config,) = settings(globals(), rounds.TableConfig)
folder = open_run(config.run)

# %%
table = rounds.build_table(folder)
table.groupby("is_sup")["score"].describe()

# %% [markdown]
# ## How well round 1 reads people it has not seen

# %%
read = table[~table["is_sup"] & ~table["holdout"]]
print(f"Out-of-fold score of {len(read):,} recordings: {score(read['phrase'], read['prediction']):.4f}")
plots.score_distribution(table)

# %% [markdown]
# Where it does well and where not, each bar with its 95 % interval:

# %%
store = Store(folder / "store")
read = with_recordings(read, store)
plots.scores_by(read)

# %%
plots.confusions(read)

# %% [markdown]
# ## The recordings with the lowest score
#
# Some cannot be read by anyone: the hand is out of sight, or the recording breaks off. These are what the confidence is to find.

# %%
kaggle.end_session(run, "02_build_oof", finished=True)
plots.worst(read, store, count=config.worst)
