"""How much of a phrase can be read when hands are missing as often as in the corpus?

    python tests/benchmarks/unseen.py [EXPORT] [--sequences 600]

The sequences are those of `real_hands.py`'s last line: demo participants whom no training saw, at the corpus' pace and share of
missing hands. Here it is known when the hand holds which character. For three windows around a hold (the hold alone, half of the
way from and to its neighbours, the whole way) the table says of how many characters the hand is seen in no frame of it, and
what share of these and of the others the model in EXPORT (default: the one that comes with the kit) reads. The last column
is what a reader would score that reads every character seen in the window, and guesses the others as often as this model.
"""

import argparse
from pathlib import Path
from unittest.mock import patch

import numpy as np
from rapidfuzz.distance import Levenshtein
from real_hands import CORPUS_PACE, SEED, columns_of

from aslutils.demo import signer, spelling
from aslutils.demo.phrases import random_phrase
from aslutils.demo.signer import PART_SLICES, Recording, record
from aslutils.demo.writer import participant
from aslutils.reading.recognizer import Recognizer
from aslutils.system.progress import progress

WINDOWS = {"its hold": 0.0, "half way to its neighbours": 0.5, "all the way": 1.0}
FIRST_FRAMES = 4                          # before the first hold and after the last one, which have no neighbour


class Watch:
    """Stands before a function of the signer and remembers what it returned."""

    def __init__(self, function):
        self.function, self.result, self.arguments = function, None, None

    def __call__(self, *arguments):
        self.arguments, self.result = arguments, self.function(*arguments)
        return self.result


def windows(characters: np.ndarray, times: np.ndarray, numbers: np.ndarray, count: int) -> list[tuple]:
    """Of each of `count` characters, in frames: the end of the hold before, begin and end of its own, begin of the next one."""
    position = characters[numbers.astype(int)]
    found = []
    for own in range(count):
        first, last = times[position == own].min(), times[position == own].max()
        before, after = times[position < own], times[position > own]
        found.append((before.max() if len(before) else first - FIRST_FRAMES, first, last,
                      after.min() if len(after) else last + FIRST_FRAMES))
    return found


def read(recognizer: Recognizer, number: int) -> list[tuple]:
    """A row for each character of a participant's phrase: whether the hand is seen in each window, and whether it is read."""
    rng, person = np.random.default_rng([SEED, number]), participant(SEED, number)
    phrase = random_phrase(rng, (2, 8))
    timing, ends = Watch(spelling._timing), Watch(signer._ends)
    with patch.object(spelling, "_timing", timing), patch.object(signer, "_ends", ends):
        frames = record(person, phrase, Recording(CORPUS_PACE, missing=0.44), rng)
    seen = ~np.isnan(frames[:, PART_SLICES["left_hand" if person.left_handed else "right_hand"], 0]).all(1)
    moments = np.flatnonzero(seen) - ends.result[0]
    text = recognizer.read(columns_of(frames)).text or ""
    matched = {at for block in Levenshtein.opcodes(phrase, text) if block.tag == "equal"
               for at in range(block.src_start, block.src_end)}
    rows = []
    for own, (before, first, last, after) in enumerate(windows(timing.arguments[1], *timing.result, len(phrase))):
        inside = [((first - share * (first - before) - 0.5 <= moments) & (moments <= last + share * (after - last) + 0.5)).any()
                  for share in WINDOWS.values()]
        rows.append((*inside, own in matched))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", nargs="?", type=Path, help="folder of the exported model (default: the kit's own)")
    parser.add_argument("--sequences", type=int, default=600, help="how many (default %(default)s)")
    options = parser.parse_args()
    recognizer = Recognizer(options.export) if options.export else Recognizer()
    with progress(range(options.sequences), what="reading", unit="sequences") as numbers:
        rows = np.array([row for number in numbers for row in read(recognizer, number)])
    right = rows[:, -1]
    print(f"{len(rows):,} characters, of which {right.mean():.3f} are read")
    print(f"{'seen in no frame of':28}{'share':>8}{'read':>8}{'others':>8}{'perfect':>9}")
    for seen, window in zip(rows.T, WINDOWS):
        guessed = right[~seen].mean()
        print(f"{window:28}{1 - seen.mean():8.3f}{guessed:8.3f}{right[seen].mean():8.3f}"
              f"{seen.mean() + (1 - seen.mean()) * guessed:9.3f}")


if __name__ == "__main__":
    main()
