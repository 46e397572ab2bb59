"""How well does the exported demo model read real hands that it never saw?

    python tests/benchmarks/real_hands.py [EXPORT] [--hands FOLDER] [--each N]

Real hand landmarks (../shared/realdata/hands) are placed before a demo participant's body and held still with MediaPipe's jitter,
the moving clips as they are; the model in EXPORT (default datamount/demo/export) reads each sequence.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from aslutils.demo.body import PALM_POINTS  # noqa: E402
from aslutils.demo.signer import PART_SLICES, Participant, Recording, record  # noqa: E402
from aslutils.demo.writer import participant  # noqa: E402
from aslutils.task.landmarks import LANDMARKS  # noqa: E402

PALM = 0.165                              # a palm in the picture's widths, the median of real sequences
KEPT = np.array([PART_SLICES[part].start + index for part, index in LANDMARKS])
SEED = 4711                               # people whom no demo with another seed has


def bodies(left_handed: bool) -> list[Participant]:
    """Ten people of that handedness, before whom the hands are placed."""
    people = (participant(SEED, number) for number in range(1000))
    return [person for person, _ in zip((p for p in people if p.left_handed == left_handed), range(10))]


def placed(hands: np.ndarray, person: Participant, rng: np.random.Generator) -> np.ndarray:
    """Real hands (T, 21, 3) with square x and y, as columns (T, 390) of `person` showing them; NaN for what is not seen."""
    frames, slot = len(hands), PART_SLICES["left_hand" if person.left_handed else "right_hand"]
    body = record(person, "5", Recording(shortest=frames, missing=0.0), rng)
    body = np.resize(body, (frames, *body.shape[1:]))
    wrist = np.clip(np.median(body[:, PART_SLICES["pose"].start + (15 if person.left_handed else 16), :2], 0), 0.15, 0.85)
    size = np.median(np.linalg.norm(hands[:, 9, :2] - hands[:, 0, :2], axis=-1))
    size = max(size, 0.5 * np.median(np.linalg.norm(np.ptp(hands[..., :2], axis=1), axis=-1)))      # a palm seen edge-on
    scale = PALM * rng.uniform(0.8, 1.3) / size
    middle = (hands[:, :1] * (1, 1, 0)).mean(0, keepdims=True)
    hand = (hands - middle) * scale * (1, person.camera.aspect, 1) + (*wrist, 0)
    arm = PART_SLICES["pose"].start + np.arange(15 if person.left_handed else 16, 23, 2)   # wrist, little, index, thumb
    body[:, arm, :2] = hand[:, PALM_POINTS, :2] + rng.normal(0, 0.02, 2)                    # pose is coarse
    body[:, slot] = hand + rng.normal(0, 0.015 * PALM, hand.shape) * (1, person.camera.aspect, 1)
    return body[:, KEPT].transpose(0, 2, 1).reshape(frames, -1)


def held(images: np.ndarray, labels: np.ndarray, left_handed: bool, each: int) -> list[tuple[str, np.ndarray]]:
    """`each` hands of every label, spread over the file, each held for 15 to 30 frames: (label, sequence) pairs."""
    rng, people, sequences = np.random.default_rng(SEED), bodies(left_handed), []
    for label in np.unique(labels):
        which = np.flatnonzero(labels == label)
        for index in which[np.linspace(0, len(which) - 1, each).astype(int)]:
            still = np.repeat(images[index:index + 1].astype(float), rng.integers(15, 31), axis=0)
            sequences.append((str(label), placed(still, people[rng.integers(len(people))], rng)))
    return sequences


def moving(clips, each: int) -> list[tuple[str, np.ndarray]]:
    """Every clip before `each` bodies: (label, sequence) pairs."""
    rng, people = np.random.default_rng(SEED), bodies(left_handed=False)
    return [(letter, placed((clips[letter] - (0, 0, 250.5)) * (1, 1, 500), people[rng.integers(len(people))], rng))
            for letter in clips for _ in range(each)]


def collect(hands: Path, each: int) -> dict[str, list[tuple[str, np.ndarray]]]:
    """All sequences, by what they show."""
    letters, digits = np.load(hands / "letters_one_person.npz"), np.load(hands / "digits_many_people.npz")
    return {
        "letters": held(letters["image"] * (4, 3, 4), letters["label"], left_handed=True, each=each),   # a 4:3 picture
        "digits": held(digits["image"], digits["label"], left_handed=False, each=each),
        "clips": moving(np.load(hands / "letter_clips_one_person.npz"), each=max(1, each // 8)),
    }


def share_read(truth: list[str], read: list[str]) -> float:
    """The share read exactly right, averaged over the classes."""
    truth, right = np.array(truth), np.array(truth) == np.array(read)
    return float(np.mean([right[truth == label].mean() for label in np.unique(truth)]))


def confusions(truth: list[str], read: list[str]) -> str:
    """What each class was read as when that happened in a tenth of its sequences or more, and how often it was read right."""
    lines = []
    for label in sorted(set(truth)):
        answers = np.array([answer for true, answer in zip(truth, read) if true == label])
        values, counts = np.unique(answers, return_counts=True)
        wrong = [f"{str(value)!r} {count / len(answers):.2f}" for count, value in sorted(zip(counts, values), reverse=True)
                 if value != label and count >= 0.1 * len(answers)]
        lines.append(f"  {label}: {np.mean(answers == label):.2f}" + (f"   read as {', '.join(wrong)}" if wrong else ""))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", nargs="?", type=Path, default=ROOT / "datamount/demo/export",
                        help="folder of the exported model (default datamount/demo/export)")
    parser.add_argument("--hands", type=Path, default=ROOT.parent / "shared/realdata/hands", help="folder of the real hands")
    parser.add_argument("--each", type=int, default=24, help="sequences of each letter and digit (default %(default)s)")
    arguments = parser.parse_args()
    from aslutils.reading.recognizer import Recognizer

    recognizer, shares = Recognizer(arguments.export), {}
    for what, sequences in collect(arguments.hands, arguments.each).items():
        truth, read = [label for label, _ in sequences], [recognizer.read(columns).text or "" for _, columns in sequences]
        shares[what] = share_read(truth, read)
        print(f"{what}: {len(truth)} sequences\n{confusions(truth, read)}\n")
    print(f"clips read: {shares['clips']:.2f}\nletters read: {shares['letters']:.2f}\ndigits read: {shares['digits']:.2f}")


if __name__ == "__main__":
    main()
