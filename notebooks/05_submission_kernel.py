# %% [markdown]
# # The submission
#
# Packs the exported model as the competition required, scores it with a copy of the competition's scorer, and publishes it as a
# Kaggle data set if requested.
#
# Reads `export/`. Writes `submission/submission.zip`, its report, and, beside the model, the files that Kaggle needs:
# `dataset-metadata.json` and a model card.

# %% tags=["parameters"]
run: str = "demo"  # the run's folder: datamount/<run>, on Kaggle /kaggle/working/<run>
data: str = ""  # folder of competition files to score on; "": the run's own
scored: int = 2000  # maximum number of sequences to score
push: bool = False  # publish export/ as a Kaggle data set
title: str = "ASL fingerspelling recogniser"  # title of the data set, 6 to 50 characters
slug: str = "asl-fingerspelling-recogniser"  # its address on Kaggle
user: str = ""  # its owner's Kaggle name; "": the owner of the credentials
license: str = "apache-2.0"  # one of Kaggle's licence names
description: str = "Fingerspelling to text: MediaPipe landmarks in, characters out."  # description of the data set
public: bool = False  # whether a new data set is public
message: str = "New version"  # notes of a new version

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
from aslutils.data.store import Store
from aslutils.kaggle.card import write_model_card
from aslutils.kaggle.publish import publish, publish_commands, write_dataset_metadata
from aslutils.reading.scorer import pack, score_submission, summary
from aslutils.run import export, scoring, stages
from aslutils.run.corpus import open_run
from aslutils.run.sessions import end_session
from aslutils.system.files import write_json

(config,) = stages.settings("05_submission_kernel", globals())
folder = open_run(config.run)

# %% [markdown]
# ## Pack
#
# Two files: the model, and the columns that it selects.

# %%
submission = pack(export.find_export(folder), folder / "submission" / "submission.zip")
print(f"{submission}: {submission.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# ## Score
#
# As in the competition: only the selected columns, one sequence at a time, on one CPU core.

# %%
competition = scoring.scoring_data(folder, config.data)
sequences, kind = scoring.scored_sequences(folder, config.scored, config.data)
result = None
if competition is None:
    print("There are no competition files to score on (parameter data): the submission is packed, not scored.")
else:
    result = score_submission(submission, competition, sequences=sequences, limit=config.scored)
    print(summary(result), f"\nScored on {kind.value}.", sep="")

# %%
if result:
    display(plots.latency(result["predictions"]))

# %% [markdown]
# Predictions beside the phrases, with differing characters highlighted:

# %%
if result and not config.data and scoring.has_store(folder):
    store = Store(folder / "store")
    predictions = store.described(result["predictions"])
    display(plots.predictions(predictions, store))

# %%
if result and not config.data and scoring.has_store(folder):
    display(plots.scores_by(predictions))

# %% [markdown]
# ## Report, model card, metadata

# %%
report = scoring.submission_report(folder, result, kind)
write_json(folder / "submission" / "report.json", report)
write_dataset_metadata(folder / "export", title=config.title, slug=config.slug, user=config.user, license=config.license,
                       description=config.description)
write_model_card(folder / "export", {**report, "scored_on": scoring.ScoredOn[report["scored_on"]].value,
                                     "title": config.title, "license": config.license})
end_session(run, "05_submission_kernel", finished=True)
report

# %% [markdown]
# ## Publish

# %%
if config.push:
    print("Published:", publish(folder / "export", message=config.message, public=config.public))
else:
    print("Not published (push is false). To publish by hand:\n")
    print(publish_commands(folder / "export", message=config.message))
