"""How well does an exported model read hands that it never saw, and does it know when nobody spells?

    python tests/benchmarks/real_hands.py [EXPORT] [--real FOLDER] [--each N] [--details]

Real hand landmarks (../shared/realdata) are placed before a demo participant's body: held letters and digits with MediaPipe's
jitter, moving letters as they are, words chained from a rendered hand's transitions. The recordings of other signs must not be
read. Demo participants whom no training saw spell with hand-less ends and at several paces. The model in EXPORT (default
datamount/demo/export) reads each sequence; the table has a figure a line. Letters and digits have a second one: with 0 and o, 2
and v, 6 and w, 9 and f taken for one another, which only the context tells apart. --details adds every word, and what letters
were read as.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from aslutils.demo.body import PALM_POINTS  # noqa: E402
from aslutils.demo.phrases import random_phrase  # noqa: E402
from aslutils.demo.signer import PART_SLICES, Participant, Recording, record  # noqa: E402
from aslutils.demo.writer import participant  # noqa: E402
from aslutils.reading.landmark_files import sequences_in  # noqa: E402
from aslutils.reading.recognizer import Recognizer  # noqa: E402
from aslutils.reading.result import Reading  # noqa: E402
from aslutils.run.scoring import auc  # noqa: E402
from aslutils.task.landmarks import COLUMNS, HANDS, LANDMARKS  # noqa: E402
from aslutils.task.metric import score  # noqa: E402

PALM = 0.165                              # a palm in the picture's widths, the median of real sequences
KEPT = np.array([PART_SLICES[part].start + index for part, index in LANDMARKS])
SEED = 4711                               # people whom no demo with another seed has
# Most of them are not among the words that the demo's people spell.
WORDS = """
asl world jackson quick fox lazy maple oak house river zebra vincent wharf boxing depth gym hiking quilt jax market bridge
north pine kim ortiz becker wolf adams spring court plaza union yes no thanks mexico taylor morgan henry anchor dragon jungle
lantern magnet napkin quartz velvet yogurt blanket dolphin elbow falcon hornet insect lizard monkey nickel octopus pirate
quiver rocket turtle urban violin zigzag bronze desert eclipse glacier icicle jigsaw kayak marble nectar onion quest sponge
throne unicorn vapor wizard pixel cobalt emerald fluxion gravity hexagon ivory jumbo mixture nutmeg orchid python radish
sphinx trumpet upward voyage waltz exotic zenith blame dwarf equal fjord ghost donkey falafel galaxy helmet iguana koala
lobster mango ninja ostrich parsley vulture whisker chalk feather
""".split()
CORPUS_PACE = 8.9                         # frames a letter
ALIKE = str.maketrans("0269", "ovwf")     # signed alike

Sequences = list[tuple[str, np.ndarray]]  # what is spelled ("" for nothing), and columns (T, 390)


def bodies(left_handed: bool) -> list[Participant]:
    """Ten people of that handedness, before whom the hands are placed."""
    people = (participant(SEED, number) for number in range(1000))
    return [person for person, _ in zip((p for p in people if p.left_handed == left_handed), range(10))]


def columns_of(frames: np.ndarray) -> np.ndarray:
    """Landmarks (T, 543, 3) as columns (T, 390)."""
    return frames[:, KEPT].transpose(0, 2, 1).reshape(len(frames), -1)


def placed(hands: np.ndarray, person: Participant, rng: np.random.Generator) -> np.ndarray:
    """Real hands (T, 21, 3) with square x and y, as columns (T, 390) of `person` showing them; NaN for what is not seen."""
    frames, slot = len(hands), PART_SLICES["left_hand" if person.left_handed else "right_hand"]
    body = record(person, "5", Recording(shortest=frames, missing=0.0), rng)
    body = np.resize(body, (frames, *body.shape[1:]))
    wrist = np.clip(np.median(body[:, PART_SLICES["pose"].start + (15 if person.left_handed else 16), :2], 0), 0.15, 0.85)
    size = np.nanmedian(np.linalg.norm(hands[:, 9, :2] - hands[:, 0, :2], axis=-1))
    size = max(size, 0.5 * np.nanmedian(np.linalg.norm(np.ptp(hands[..., :2], axis=1), axis=-1)))   # a palm seen edge-on
    scale = PALM * rng.uniform(0.8, 1.3) / size
    middle = np.nanmean(hands[:, :1] * (1, 1, 0), 0, keepdims=True)
    hand = (hands - middle - hands[:, :1] * (0, 0, 1)) * scale * (1, person.camera.aspect, 1) + (*wrist, 0)
    arm = PART_SLICES["pose"].start + np.arange(15 if person.left_handed else 16, 23, 2)   # wrist, little, index, thumb
    seen = ~np.isnan(hand).any((1, 2))
    body[np.ix_(seen, arm, [0, 1])] = hand[seen][:, PALM_POINTS, :2] + rng.normal(0, 0.02, 2)       # pose is coarse
    body[:, slot] = hand + rng.normal(0, 0.015 * PALM, hand.shape) * (1, person.camera.aspect, 1)
    return columns_of(body)


def before_bodies(hands: list[tuple[str, np.ndarray]], left_handed: bool = False) -> Sequences:
    """Each of the hands, (T, 21, 3), before one of ten people."""
    rng, people = np.random.default_rng(SEED), bodies(left_handed)
    return [(label, placed(frames, people[rng.integers(len(people))], rng)) for label, frames in hands]


def held(images: np.ndarray, labels: np.ndarray, each: int, left_handed: bool = False) -> Sequences:
    """`each` hands of every label, spread over the file, each held for 15 to 30 frames."""
    rng, still = np.random.default_rng(SEED), []
    for label in np.unique(labels):
        which = np.flatnonzero(labels == label)
        for index in which[np.linspace(0, len(which) - 1, each).astype(int)]:
            still.append((str(label), np.repeat(images[index:index + 1].astype(float), rng.integers(15, 31), axis=0)))
    return before_bodies(still, left_handed)


def words(transitions, pace: float | None, rest: int = 0) -> Sequences:
    """WORDS chained from transitions at 60 frames a second: at 30, at their own pace, or thinned to `pace` frames a letter.

    rest: frames for which the hand then stays as it is.
    """
    chained = []
    for word in WORDS:
        steps = ["rest", *word, "rest"]
        frames = np.concatenate([transitions[f"{a}_{b}"][::2] for a, b in zip(steps, steps[1:])]).astype(float)
        if pace:
            frames = frames[np.linspace(0, len(frames) - 1, round(pace * len(word))).astype(int)]
        chained.append((word, np.concatenate([frames, np.repeat(frames[-1:], rest, axis=0)])))
    return before_bodies(chained)


def people(count: int, how: Recording, characters: tuple[int, int] = (2, 8)) -> Sequences:
    """Sequences of as many demo participants whom no training saw."""
    sequences = []
    for number in range(count):
        rng = np.random.default_rng([SEED, number])
        phrase = random_phrase(rng, characters)
        sequences.append((phrase, columns_of(record(participant(SEED, number), phrase, how, rng))))
    return sequences


def with_ends(sequences: Sequences, frames: int) -> Sequences:
    """The sequences with hand-less frames before and after, in which nothing else moves."""
    longer = []
    for label, columns in sequences:
        first, last = (np.repeat(edge, frames, 0) for edge in (columns[:1], columns[-1:]))
        for end in (first, last):
            end.reshape(-1, 3, len(LANDMARKS))[:, :, HANDS] = np.nan
        longer.append((label, np.concatenate([first, columns, last])))
    return longer


def other_signs(folder: Path) -> Sequences:
    """The recordings of other signs, in which nobody spells."""
    files = sorted(folder.glob("*_landmarks/*.parquet"))
    return [("", columns) for path in files for columns in sequences_in(path, COLUMNS).values()]


def collect(real: Path, each: int) -> Iterator[tuple[str, str, Callable[[], Sequences]]]:
    """All groups of sequences: what they show, how they are rated (exact, characters or rejected), and what makes them."""
    hands = real / "hands"
    one, digits, third = (np.load(hands / f"{name}.npz")
                          for name in ("letters_one_person", "digits_many_people", "letters_a_to_f_third_person"))
    first, second = (np.load(hands / f"letter_clips_{name}_person.npz") for name in ("one", "second"))
    transitions = np.load(hands / "letter_transitions_rendered.npz")
    yield "letters held, one person", "exact", lambda: held(one["image"] * (4, 3, 4), one["label"], each, left_handed=True)
    yield "letters a to f held, third person", "exact", lambda: held(third["image"], third["label"], each)
    yield "digits held, 218 people", "exact", lambda: held(digits["image"], digits["label"], each)
    yield "moving letters, first person", "exact", lambda: before_bodies(
        [(letter, (first[letter] - (0, 0, 250.5)) * (1, 1, 500)) for letter in first for _ in range(max(1, each // 8))])
    yield "moving letters, second person", "exact", lambda: before_bodies(
        [(letter, second[letter].astype(float)) for letter in second for _ in range(max(1, each // 8))])
    yield "words of transitions, own pace", "characters", lambda: words(transitions, None)
    yield f"words of transitions, {CORPUS_PACE} frames a letter", "characters", lambda: words(transitions, CORPUS_PACE)
    yield "other signs, texts invented", "invented", lambda: other_signs(real / "competition")
    plain = Recording(missing=0.05)
    for frames in (0, 5, 15, 40):
        yield (f"new demo participants, {frames} hand-less frames at each end", "characters",
               lambda frames=frames: with_ends(people(12 * each, plain), frames))
    for pace in (4.0, 9.0, 15.0):
        how = Recording(frames_per_character=pace, missing=0.05)
        yield f"the same, {pace:.0f} frames a character", "characters", lambda how=how: people(12 * each, how)
    corpus = Recording(CORPUS_PACE, missing=0.44)
    yield "the same, the corpus' pace and share of missing hands", "characters", lambda: people(12 * each, corpus)


MOVING, HELD = ("words", "moving"), ("letters", "digits")          # how their groups' names begin


def rate(how: str, truth: list[str], readings: list[Reading], alike: dict | None = None) -> float:
    """A group's figure: the share read exactly right, of the characters read right, or of texts where nothing was spelled.

    alike: the characters that count as others, as `str.translate` takes them.
    """
    texts = [reading.text or "" for reading in readings]
    if how == "characters":
        return score(truth, texts)
    if how == "invented":
        return float(np.mean([text != "" for text in texts]))
    same = [text.translate(alike or {}) == label.translate(alike or {}) for label, text in zip(truth, texts)]
    labels, right = np.array(truth), np.array(same)
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def details(how: str, truth: list[str], readings: list[Reading]) -> str:
    """What was read: each word, or what each letter was read as in a tenth of its sequences or more."""
    if how != "exact":
        return "\n".join(f"  {label or '-':12} {reading}   (confidence {reading.confidence:.2f})"
                         for label, reading in list(zip(truth, readings))[:60])
    lines = []
    for label in sorted(set(truth)):
        answers = np.array([str(reading) for true, reading in zip(truth, readings) if true == label])
        values, counts = np.unique(answers, return_counts=True)
        wrong = [f"{str(value)!r} {count / len(answers):.2f}" for count, value in sorted(zip(counts, values), reverse=True)
                 if value != label and count >= 0.1 * len(answers)]
        lines.append(f"  {label}: {np.mean(answers == label):.2f}" + (f"   read as {', '.join(wrong)}" if wrong else ""))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", nargs="?", type=Path, default=ROOT / "datamount/demo/export",
                        help="folder of the exported model (default datamount/demo/export)")
    parser.add_argument("--real", type=Path, default=ROOT.parent / "shared/realdata", help="folder of the real recordings")
    parser.add_argument("--each", type=int, default=24, help="sequences of each letter and digit (default %(default)s)")
    parser.add_argument("--details", action="store_true", help="also print what was read")
    arguments = parser.parse_args()
    if not (arguments.real / "hands").is_dir():
        parser.error(f"--real: there is no folder {arguments.real / 'hands'}; the recordings are no part of the kit (see NOTICE)")
    recognizer, confidences = Recognizer(arguments.export), {}
    for what, how, make in collect(arguments.real, arguments.each):
        truth, sequences = zip(*make())
        readings = [recognizer.read(columns) for columns in sequences]
        confidences[what] = [reading.confidence for reading in readings]
        alike = f"  {rate(how, truth, readings, ALIKE):.3f} with look-alikes" if how == "exact" else ""
        print(f"{what:60} {len(truth):5} sequences  {rate(how, truth, readings):.3f}{alike}", flush=True)
        if arguments.details:
            print(details(how, truth, readings))
    others = np.nan_to_num(confidences["other signs, texts invented"])                                 # NaN: rejected
    for name, groups in (("words, moving letters", MOVING), ("held letters and digits", HELD)):
        spelled = [value for what, values in confidences.items() if what.startswith(groups) for value in values]
        print(f"{f'confidence: AUC, {name} vs. other signs':60} {'':15}  {auc(np.nan_to_num(spelled), others):.3f}")


if __name__ == "__main__":
    main()
