"""The competition's limits and metric: (N - D) / N, N the characters of all true phrases, D the total Levenshtein distance."""

import numpy as np
from rapidfuzz.distance import Levenshtein

from aslutils.system.errors import UserError

HIDDEN_SEQUENCES = 68_000          # sequences of the hidden test set, about
MAX_MEGABYTES = 40                 # of the model file
MAX_HOURS = 5                      # for all of the hidden test set
MAX_MILLISECONDS = 1000 * 3600 * MAX_HOURS / HIDDEN_SEQUENCES      # per sequence: 265


def score(phrases, predictions) -> float:
    """The metric over all phrases together. Raises ValueError when there is nothing to score."""
    characters = sum(map(len, phrases))
    if not characters:
        raise UserError("there is no phrase to score")
    return (characters - int(_distances(phrases, predictions).sum())) / characters


def sequence_scores(phrases, predictions) -> np.ndarray:
    """The metric of each phrase alone, clipped to 0..1: float (N,)."""
    return np.maximum(0.0, 1 - _distances(phrases, predictions) / np.maximum(_lengths(phrases), 1))


def score_interval(phrases, predictions, draws: int = 1000, seed: int = 1) -> tuple[float, float]:
    """The 95 % bootstrap interval of `score`: sequences drawn with replacement."""
    lengths, distances = _lengths(phrases), _distances(phrases, predictions)
    rng, scores = np.random.default_rng(seed), []
    for _ in range(draws):                                        # one after the other: all at once would take draws x N memory
        rows = rng.integers(0, len(lengths), len(lengths))
        scores.append(1 - distances[rows].sum() / lengths[rows].sum())
    low, high = np.quantile(scores, [0.025, 0.975])
    return float(low), float(high)


def _lengths(phrases) -> np.ndarray:
    return np.array([len(phrase) for phrase in phrases], dtype=float)


def _distances(phrases, predictions) -> np.ndarray:
    return np.array([Levenshtein.distance(phrase, prediction) for phrase, prediction in zip(phrases, predictions, strict=True)],
                    dtype=float)
