"""What options of training bring at the demo's scale: random decoder inputs, CutMix that cuts at aligned borders, Muon.

    python tests/benchmarks/ablation.py datamount/demo OUT [--seeds 1 2 3] [--epochs 13] [--processes 2]

Trains round 2 of a run that has finished notebook 02 with each option and each seed, all for as many steps, into OUT (it goes on
where it was stopped), and prints the score of each on the run's held-out participants, and what an option gains with a 95 %
bootstrap interval over participants and seeds. All of them use CutMix, which the demo does not by itself.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from rapidfuzz.distance import Levenshtein

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aslutils.run.corpus import open_corpus
from aslutils.run.stages import SEEDS, configs, parameters
from aslutils.training import rounds
from aslutils.training.evaluate import postprocess
from aslutils.training.jobs import train_all

CUTMIX = {"name": "CutMix", "p": 0.5}
OPTIONS = {
    "CutMix at equal fractions, masked inputs": {},
    "CutMix at aligned borders (align_cuts)": {"align_cuts": True},
    "random decoder inputs besides (replace_probability 0.1)": {"replace_probability": 0.1},
    "AdamW at its best learning rate instead of Muon": {"optimiser": "adamw", "learning_rate": 1.2e-3},
}


def jobs_of(run: str, seeds: list[int], changes: dict, folder: Path) -> tuple[list, object]:
    """The trainings of an option, one a seed, and the run's data."""
    augmentations = parameters(SEEDS)["augmentations"]
    values = parameters(SEEDS, overrides={"run": run, "augmentations": [augmentations[0], CUTMIX, *augmentations[1:]], **changes})
    data, training, which, model, loss, train = configs(SEEDS, values)
    opened = open_corpus(data)
    jobs = rounds.seed_jobs(opened, rounds.training_table(opened), replace(which, seeds=seeds), model, loss, train,
                            training.augmentations)
    return [replace(job, folder=folder / f"seed{seed}") for job, seed in zip(jobs, seeds)], opened


def people_errors(predictions: pd.DataFrame) -> pd.DataFrame:
    """Of each participant: characters spelled, and the edit distance of what was read."""
    rated = postprocess(predictions)
    distances = [Levenshtein.distance(phrase, text) for phrase, text in zip(rated["phrase"], rated["prediction"])]
    table = pd.DataFrame({"person": rated["participant_id"], "characters": rated["phrase"].str.len(), "errors": distances})
    return table.groupby("person").sum()


def gain_interval(option: list[pd.DataFrame], base: list[pd.DataFrame], draws: int = 4000) -> np.ndarray:
    """The 95 % bootstrap interval, over participants and seeds, of what an option's networks score more than the base's.

    option, base: `people_errors` of each seed, the same participants in each.
    """
    rng, characters = np.random.default_rng(1), base[0]["characters"].to_numpy(float)
    saved = np.array([one["errors"].to_numpy(float) - other["errors"].to_numpy(float) for one, other in zip(base, option)])
    gains = []
    for _ in range(draws):
        people, seeds = rng.integers(0, saved.shape[1], saved.shape[1]), rng.integers(0, len(saved), len(saved))
        gains.append(saved[seeds][:, people].mean(0).sum() / characters[people].sum())
    return np.quantile(gains, [0.025, 0.975])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a run that has finished notebook 02")
    parser.add_argument("out", type=Path, help="folder for the trainings")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=parameters(SEEDS)["epochs"], help="passes over the data (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="trainings at once")
    options = parser.parse_args()

    print(f"{'':56} {'score of each seed':24} gain (95 % interval)")
    base = None
    for number, (name, changes) in enumerate(OPTIONS.items()):
        jobs, opened = jobs_of(Path(options.run).name, options.seeds, {"epochs": options.epochs, **changes},
                               options.out / str(number))
        train_all(jobs, processes=options.processes)
        errors = [people_errors(rounds.final_predictions(job, opened)) for job in jobs]
        scores = [1 - table["errors"].sum() / table["characters"].sum() for table in errors]
        base, row = base or (errors, scores), f"{name:56} {' '.join(f'{score:.4f}' for score in scores):24}"
        if base[0] is not errors:
            low, high = gain_interval(errors, base[0])
            row += f" {np.mean(scores) - np.mean(base[1]):+.4f} ({low:+.4f} to {high:+.4f})"
        print(row, flush=True)


if __name__ == "__main__":
    main()
