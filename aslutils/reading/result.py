"""What reading a sequence gives, a text or the reason why there is none: of a model's output rows, or of parts' readings."""

from dataclasses import dataclass, replace

import numpy as np

from aslutils.task.preprocess import MAX_FRAMES
from aslutils.task.rejection import UNKNOWN, Verdict
from aslutils.task.text import CHARACTERS


@dataclass(frozen=True)
class Reading:
    """The result of reading one sequence."""

    verdict: Verdict                 # READ, or why it was rejected
    spelled: str                     # the predicted text; "" if rejected
    confidence: float                # 0..1, how sure the model is of the sequence; NaN if it has no such output or was not asked
    certainty: float                 # 0..1, how sure of the text: confidence times the characters' mean probability; NaN likewise
    probabilities: np.ndarray        # float32, one per character of the text: its probability at its step
    length: int                      # of the sequence, in frames; with a fixed shape, without rows at its end that show nothing
    cut: tuple[int, int]             # hand-less frames at its beginning and end that the model was not given
    milliseconds: float              # time that reading took
    complete: bool = True            # False: of a stream whose phrase goes on
    parts: int = 1                   # in how many it was read, whose confidence and certainty are averaged over the frames

    @property
    def text(self) -> str | None:
        """The predicted text, None if the sequence was rejected."""
        return self.spelled if self.verdict is Verdict.READ else None

    @property
    def reason(self) -> str | None:
        """Why the sequence was rejected, None if it was read."""
        if self.verdict is Verdict.READ:
            return None
        known = {"confidence": self.confidence, "certainty": self.certainty or UNKNOWN}             # 0: no text was searched
        sure = ", ".join(f"{name} {value:.2f}" for name, value in known.items() if not np.isnan(value))
        given = self.length - sum(self.cut)
        thinned = f"; {given} frames were thinned to {MAX_FRAMES}" if given > 2 * MAX_FRAMES else ""
        detail = {Verdict.TOO_SHORT: f", there are {self.length}", Verdict.UNSURE: f" ({sure}){thinned}"}
        return self.verdict.value + detail.get(self.verdict, "")

    def __str__(self) -> str:
        """The text, or the reason in brackets."""
        return f"({self.reason})" if self.text is None else self.text


def join(whole: Reading, parts: list[Reading]) -> Reading:
    """The readings of a sequence's parts as one: their texts in a row, as sure as they are on average over the frames."""
    known = np.nan_to_num([(part.confidence, part.certainty) for part in parts])                 # NaN: the part shows no hand
    confidence, certainty = np.average(known, axis=0, weights=[part.length for part in parts]).tolist()
    return replace(whole, spelled="".join(part.spelled for part in parts), certainty=certainty,
                   confidence=UNKNOWN if np.isnan(whole.confidence) else confidence,
                   probabilities=np.concatenate([part.probabilities for part in parts]), parts=len(parts),
                   milliseconds=sum(part.milliseconds for part in parts))


def spelled(outputs: np.ndarray, probabilities: np.ndarray | None = None) -> tuple[str, np.ndarray]:
    """The text of a model's output rows (n, 63), and each character's probability at its step, float32.

    probabilities: of the rows' tokens, (n,), if the model outputs them; otherwise the rows are logits, decoded greedily.
    """
    tokens = outputs.argmax(axis=1)
    if probabilities is None:
        exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        probabilities = exponentials.max(axis=1) / exponentials.sum(axis=1)
    characters = tokens < len(CHARACTERS)
    return "".join(CHARACTERS[token] for token in tokens[characters]), probabilities[characters].astype(np.float32)
