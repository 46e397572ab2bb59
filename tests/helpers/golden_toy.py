"""Golden numbers of our own, for where the published solution's are not at hand: ours, when they matched those.

    PYTHONPATH=. python tests/helpers/golden_toy.py     # writes golden_toy.npz; only when every golden test passes with ../shared

Weights and sequences are drawn from numpy's frozen RandomState, so that the file holds outputs alone.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from configs import loss_config, model_config

from aslutils.data.augment import CutMix
from aslutils.data.transforms import (
    DynamicResample,
    FingersDrop,
    Mirror,
    PartDrop,
    Resample,
    SpatialAffine,
    SpatialMask,
    TemporalMask,
    TimeShift,
)
from aslutils.model.config import ModelConfig
from aslutils.model.loss import compute_loss, decoder_inputs, reverse
from aslutils.model.network import Network
from aslutils.model.published import from_published, to_published
from aslutils.task import text
from aslutils.task.landmarks import LEFT_HAND, POSE
from aslutils.task.preprocess import as_landmarks, fit_length, standardise

FILE = Path(__file__).with_suffix(".npz")
PHRASES = ("a 1", "www.asl/kit")
LENGTHS = (3, 24)
TOY = dict(dim=16, blocks=2, heads=2, kernel=7, decoder_layers=2, decoder_ffn=24, stem_channels=4)
CONFIG = {1: model_config(**TOY, attention="relative", part_stems=False, backward_decoder=False, confidence=False),
          2: model_config(**TOY)}


def weights(config: ModelConfig, seed: int) -> dict[str, torch.Tensor]:
    """Made-up weights under their published names, every one and every statistic far from where training starts."""
    random = np.random.RandomState(seed)
    made = to_published(Network(config))
    for name in sorted(made):
        if name in ("cos", "sin") or name.endswith("embed_positions.weights"):
            continue
        noise = torch.from_numpy(random.standard_normal(made[name].shape).astype(np.float32))
        if name.endswith("running_var"):
            made[name] = 0.5 + noise.abs()
        elif noise.squeeze().ndim <= 1:
            made[name] = (1 if "scale_" in name or "norm.weight" in name or "ln_" in name else 0) + 0.3 * noise
        else:
            made[name] = noise / noise[0].numel() ** 0.5
        if name.endswith("embed_tokens.weight"):
            made[name][text.PAD] = 0
    return made


def network(round: int, seed: int = 1, **fields) -> Network:
    """A toy network of a round with such weights, in evaluation mode; `fields` replace those of its configuration."""
    made = Network(replace(CONFIG[round], **fields))
    made.load_state_dict(from_published(weights(made.config, seed)).state_dict())
    return made.eval()


def raw(length: int, seed: int) -> np.ndarray:
    """A made-up sequence's columns, float32 (length, 390): a left hand that comes and goes, a pose that is never seen."""
    random = np.random.RandomState(seed)
    landmarks = random.standard_normal((length, 130, 3)).astype(np.float32) + (0.5, 0.5, -0.1)
    landmarks[::3, LEFT_HAND] = np.nan
    landmarks[:, POSE] = np.nan
    return landmarks.transpose(0, 2, 1).reshape(length, -1).astype(np.float32)


def sequences() -> list[dict]:
    """Made-up sequences: their columns, their frames and their tokens."""
    made = [raw(length, seed) for seed, length in enumerate(LENGTHS)]
    return [{"raw": columns, "frames": standardise(as_landmarks(columns)), "tokens": text.encode(phrase)}
            for columns, phrase in zip(made, PHRASES)]


def counted(length: int) -> np.ndarray:
    """Frames (length, 130, 3) in which every value is its own place, so that it shows where each one went."""
    return 1 + np.arange(length * 390, dtype=np.float32).reshape(length, 130, 3)


def transformed() -> dict[str, np.ndarray]:
    """What preprocessing and each augmentation make of such frames, with what they draw given."""
    short, other, long = counted(9), -counted(7), counted(24)
    cutmix = CutMix()
    return {
        "standardised": standardise(as_landmarks(raw(12, 5))), "fitted": fit_length(long, 10), "mirror": Mirror().apply(short),
        "resample": Resample(0.3, 2).apply(short, 1.7), "resample shorter": Resample(0.3, 2).apply(long, 0.31),
        "dynamic": DynamicResample(0.9, 1.1).apply(long, np.linspace(0.9, 1.1, 24)),
        "shift": TimeShift(-10, 10).apply(short, 4), "shift back": TimeShift(-10, 10).apply(short, -4),
        "affine": SpatialAffine(keep_missing=False).apply(
            np.where(short % 7 == 0, 0, short / 1000), scale=1.1, shear=(0.0, 0.12), shift=0.05, degree=17.0),
        "fingers": FingersDrop().apply(short, [(0.4, 0.3, [0, 4, 9]), (0.5, 0.8, [2, 2])]),
        "pose": PartDrop().apply(short, "pose", 1), "face": PartDrop().apply(short, "face"),
        "hands": PartDrop().apply(short, "hands"), "time mask": TemporalMask().apply(long, [0.2, 0.3], [0.1, 0.9]),
        "rectangle": SpatialMask().apply(short / 1000, 0.2, 0.3, 0.4),
        "cutmix": cutmix.apply(short, other, 0.4, 0.2), "cutmix other way": cutmix.apply(short, other, 0.4, 0.7),
    }


@torch.no_grad()
def answers(network, frames, tokens, score=0.4) -> dict[str, np.ndarray]:
    """Everything that the golden files hold of one sequence, as the network computes it: frames (T, 130, 3), tokens (33,)."""
    frames, tokens = torch.as_tensor(frames)[None], torch.as_tensor(tokens)[None]
    lengths, mask = torch.tensor([frames.shape[1]]), torch.ones(frames.shape[:2], dtype=torch.bool)
    found = {"stem": network.stem.all(frames, mask)}
    found |= {f"stem_{name}": network.stem.part(name, frames, mask) for name in network.stem.parts}
    found["block0"] = network.encoder.blocks[0](network.stem(frames, mask), mask)
    found["encoder"], _ = network.encode(frames, lengths)
    outputs = network(frames, lengths, decoder_inputs(tokens, 0), decoder_inputs(reverse(tokens), 0))
    found["logits"] = outputs["forward"]
    batch = {"frames": frames, "lengths": lengths, "tokens": tokens, "score": torch.tensor([score])}
    losses = compute_loss(network, batch, loss_config(mask_probability=0))
    found |= {"loss": losses["loss"][None], "loss_cross_entropy": losses["forward"][None]}
    if "backward" in outputs:
        characters = int((tokens == text.EOS).int().argmax()) + 1
        found["logits_backward"] = outputs["backward"][:, :characters]
        found |= {"confidence_logit": outputs["confidence"][None], "loss_confidence": losses["confidence"][None],
                  "loss_cross_entropy_backward": losses["backward"][None]}
    greedy, _ = network.greedy(frames, lengths)
    found["greedy"] = torch.cat([torch.full((1, 1), text.SOS), greedy], dim=1)
    return {name: value[0].numpy() for name, value in found.items()}


def main():
    arrays = {f"transformed/{name}": values for name, values in transformed().items()}
    for round in CONFIG:
        for index, sequence in enumerate(sequences()):
            found = answers(network(round), sequence["frames"], sequence["tokens"])
            arrays |= {f"{round}/{index}/{name}": value for name, value in found.items()}
    np.savez_compressed(FILE, **arrays)
    print(f"wrote {FILE} ({FILE.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
