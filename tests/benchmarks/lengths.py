"""How hand-less ends, long phrases and hands that rest in view are read.

    python tests/benchmarks/lengths.py [EXPORT] [--ends 4 12 26 36] [--real FOLDER] [--each 288]

Three tables of characters read right by the model in EXPORT (default: the one that comes with the kit). How many hand-less
frames are left at each end: of `real_hands.py`'s made-up participants, as in the corpus and with added ends. How long a phrase
is, and whether it is read whole, in equal parts whose texts are joined, or as `Recognizer.read` decides. How long a rendered
hand rests in view, still, after a word; this needs the recordings of `real_hands.py`.
"""

import argparse
from pathlib import Path

import numpy as np
from real_hands import CORPUS_PACE, ROOT, people, with_ends, words

from aslutils.demo.signer import Recording
from aslutils.reading.recognizer import Recognizer
from aslutils.task.metric import score

# Characters, and frames a character.
PHRASES = (8, 9.0), (8, 15.0), (12, 9.0), (16, 9.0), (20, 9.0), (30, 9.0), (20, 15.0), (31, 15.0)
RESTS = 0, 60, 200, 320                                                  # frames


def rate(recognizer: Recognizer, sequences, parts: int = 0) -> float:
    """The share of characters read right, each sequence in so many parts; 0: in those that the recogniser chooses."""
    texts = ["".join(recognizer.read(part, in_parts=parts == 0).text or "" for part in np.array_split(columns, max(parts, 1)))
             for _, columns in sequences]
    return score([phrase for phrase, _ in sequences], texts)


def row(name: str, values) -> None:
    shown = (f"{value:.3f}" if isinstance(value, float) else value for value in values)
    print(f"{name:>24}" + "".join(f"{value:>16}" for value in shown), flush=True)


def ends(recognizer: Recognizer, lefts: list[int], count: int) -> None:
    plain = people(count, Recording(missing=0.05))
    groups = {"as in the corpus": people(count, Recording(CORPUS_PACE, missing=0.44))}
    groups |= {f"{frames} at each end": with_ends(plain, frames) for frames in (0, 15, 40)}
    row("hand-less frames left", groups)
    for left in (*lefts, None):
        recognizer.usual_end = left
        row("all" if left is None else str(left), [rate(recognizer, sequences) for sequences in groups.values()])


def phrases(recognizer: Recognizer, count: int) -> None:
    row("characters, frames each", ["whole", *(f"in {parts} parts" for parts in (2, 3, 4)), "as read"])
    for characters, pace in PHRASES:
        sequences = people(count, Recording(pace, missing=0.05), (characters, characters))
        row(f"{characters}, {pace:.0f}", [rate(recognizer, sequences, parts) for parts in (1, 2, 3, 4, 0)])


def rests(recognizer: Recognizer, transitions, count: int) -> None:
    row("frames at rest", ["words"])
    for frames in RESTS:
        row(str(frames), [rate(recognizer, words(transitions, None, frames)[:count])])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", nargs="?", type=Path, help="folder of the exported model (default: the kit's own)")
    parser.add_argument("--ends", type=int, nargs="+", default=[4, 12, 26, 36], help="frames left (default %(default)s)")
    parser.add_argument("--real", type=Path, default=ROOT.parent / "shared/realdata", help="folder of the real recordings")
    parser.add_argument("--each", type=int, default=288, help="sequences of a group (default %(default)s)")
    options = parser.parse_args()
    recognizer = Recognizer(options.export)
    usual = recognizer.usual_end
    ends(recognizer, options.ends, options.each)
    recognizer.usual_end = usual
    phrases(recognizer, max(1, options.each // 12))
    file = options.real / "hands" / "letter_transitions_rendered.npz"
    if file.is_file():
        rests(recognizer, np.load(file), max(1, options.each // 4))
    else:
        print(f"there is no {file}, so hands at rest are not tried")


if __name__ == "__main__":
    main()
