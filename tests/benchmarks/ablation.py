"""What options of training bring at the demo's scale: random decoder inputs, CutMix that cuts at aligned borders, Muon.

    python tests/benchmarks/ablation.py demo OUT [--seeds 1 2 3] [--epochs 12] [--processes 2]

Trains round 2 of a run that has finished notebook 02 with each option and each seed, all for as many steps, into OUT (it goes on
where it was stopped), and prints the score of each on the run's held-out participants, and what an option gains with a 95 %
bootstrap interval over participants and seeds. All but one use CutMix, which the demo does not by itself.
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
    "CutMix at equal fractions, random decoder inputs (0.1)": {"replace_probability": 0.1},
    "no CutMix, masked inputs": {"augmentations": parameters(SEEDS)["augmentations"]},
    "CutMix at equal fractions, AdamW at 1.2e-3": {"optimiser": "adamw", "learning_rate": 1.2e-3},
}


def jobs_of(run: str, seeds: list[int], changes: dict, folder: Path) -> tuple[list, object]:
    """The trainings of an option, one a seed, and the run's data."""
    augmentations = parameters(SEEDS)["augmentations"]
    values = parameters(SEEDS, overrides={"run": run, "augmentations": [augmentations[0], CUTMIX, *augmentations[1:]], **changes})
    data, training, which, model, loss, train = configs(SEEDS, values)
    opened = open_corpus(data)
    if not (opened.folder / rounds.TABLE).is_file():
        raise SystemExit(f"{opened.folder} has no {rounds.TABLE}: run its notebooks 01 and 02 first")
    jobs = rounds.seed_jobs(opened, rounds.training_table(opened), replace(which, seeds=seeds), model, loss, train,
                            training.augmentations)
    return [replace(job, folder=folder / f"seed{seed}") for job, seed in zip(jobs, seeds)], opened


def participants_errors(participants, phrases, texts) -> pd.DataFrame:
    """Of each participant: characters spelled, and the edit distance of what was read."""
    distances = [Levenshtein.distance(phrase, text) for phrase, text in zip(phrases, texts)]
    table = pd.DataFrame({"participant": list(participants), "characters": list(map(len, phrases)), "errors": distances})
    return table.groupby("participant").sum()


def seed_errors(job, opened) -> pd.DataFrame:
    """The same of a finished training's predictions for the held-out participants."""
    rated = postprocess(rounds.final_predictions(job, opened))
    return participants_errors(rated["participant_id"], rated["phrase"], rated["prediction"])


def gain_interval(option: list[pd.DataFrame], base: list[pd.DataFrame], draws: int = 4000) -> np.ndarray:
    """The 95 % bootstrap interval, over participants and trainings, of what an option scores more than the base.

    option, base: `participants_errors` of each training, the same participants in each.
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
    parser.add_argument("run", help="name of a run of the demo's data that has finished notebook 02")
    parser.add_argument("out", type=Path, help="folder for the trainings")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=parameters(SEEDS)["epochs"], help="passes over the data (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="trainings at once")
    options = parser.parse_args()

    print(f"{'':56} {'score of each seed':24} gain (95 % interval)")
    base = None
    for number, (name, changes) in enumerate(OPTIONS.items()):
        jobs, opened = jobs_of(options.run, options.seeds, {"epochs": options.epochs, **changes},
                               options.out / str(number))
        train_all(jobs, processes=options.processes)
        errors = [seed_errors(job, opened) for job in jobs]
        scores = [1 - table["errors"].sum() / table["characters"].sum() for table in errors]
        row = f"{name:56} {' '.join(f'{score:.4f}' for score in scores):24}"
        if base is None:
            base = errors, scores
        else:
            low, high = gain_interval(errors, base[0])
            row += f" {np.mean(scores) - np.mean(base[1]):+.4f} ({low:+.4f} to {high:+.4f})"
        print(row, flush=True)


if __name__ == "__main__":
    main()
