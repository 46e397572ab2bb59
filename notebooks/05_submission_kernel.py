# %% [markdown]
# # The submission
#
# Packs the exported model as the competition took it, reads it with a copy of the competition's scorer, and publishes it as a
# Kaggle data set when asked to.
#
# Reads `export/`. Leaves `submission/submission.zip`, its report, and beside the model what Kaggle needs:
# `dataset-metadata.json` and a model card.

# %% tags=["parameters"]
run: str = "demo"  # the run's folder: datamount/<run>, on Kaggle /kaggle/working/<run>
data: str = ""  # folder of competition files to score on; "": those that the run was made from
scored: int = 2000  # recordings that the scorer reads, at most
push: bool = False  # publish export/ as a Kaggle data set
title: str = "ASL fingerspelling recogniser"  # of the data set, 6 to 50 characters
slug: str = "asl-fingerspelling-recogniser"  # its address
user: str = ""  # its owner's Kaggle name; "": the one that the credentials belong to
license: str = "apache-2.0"  # one of Kaggle's names
description: str = "Fingerspelling to text: MediaPipe landmarks in, characters out."  # of the data set
public: bool = False  # whether a new data set is public
message: str = "New version"  # what the notes of a new version say

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
from IPython.display import display

from aslutils import kaggle, plots
from aslutils.run import release
from aslutils.run.corpus import open_run, with_recordings
from aslutils.system.files import write_json
from aslutils.system.parameters import settings
from aslutils.reading.scorer import pack, score_submission, summary

(config,) = settings(globals(), release.SubmissionConfig)
folder = open_run(config.run)

# %% [markdown]
# ## Pack
#
# Two files: the model, and the columns that it wants.

# %%
submission = pack(release.find_export(folder), folder / "submission" / "submission.zip")
print(f"{submission}: {submission.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# ## Score
#
# As the competition did: only the selected columns, one recording at a time, on one CPU core.

# %%
competition = release.scoring_data(folder, config.data)
sequences, words = release.scored_sequences(folder, config.scored, config.data)
result = None
if competition is None:
    print("There are no competition files to score on (parameter data): the submission is packed, not scored.")
else:
    result = score_submission(submission, competition, sequences=sequences, limit=config.scored)
    print(summary(result), f"\nScored on {words}.", sep="")

# %%
if result:
    display(plots.latency(result["predictions"]))

# %% [markdown]
# Predictions beside the truth, characters that differ on a coloured ground:

# %%
if result and not config.data and release.has_store(folder):
    store = release.Store(folder / "store")
    predictions = with_recordings(result["predictions"], store)
    display(plots.predictions(predictions, store))

# %%
if result and not config.data and release.has_store(folder):
    display(plots.scores_by(predictions))

# %% [markdown]
# ## Report, model card, metadata

# %%
report = release.submission_report(folder, result, words)
write_json(folder / "submission" / "report.json", report)
kaggle.write_dataset_metadata(folder / "export", title=config.title, slug=config.slug, user=config.user, license=config.license,
                              description=config.description)
kaggle.write_model_card(folder / "export", {**report, "title": config.title, "license": config.license})
kaggle.end_session(run, "05_submission_kernel", finished=True)
report

# %% [markdown]
# ## Publish

# %%
if config.push:
    print("Published:", kaggle.publish(folder / "export", message=config.message, public=config.public))
else:
    print("Not published (push is false). These commands do it by hand:\n")
    print(kaggle.publish_commands(folder / "export", message=config.message))
