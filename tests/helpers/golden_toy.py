"""Golden numbers of our own, for where the published solution's are not at hand: our network's, when it matched those.

    PYTHONPATH=. python tests/golden_toy.py     # writes golden_toy.npz; only when model/test_golden.py passes with ../shared

Weights and recordings are drawn from numpy's frozen RandomState, so that the file holds outputs alone.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from aslutils.model.config import ModelConfig
from aslutils.model.loss import LossConfig, compute_loss, decoder_inputs, reverse
from aslutils.model.network import Network
from aslutils.model.published import from_published, to_published
from aslutils.task import text
from aslutils.task.landmarks import LEFT_HAND, POSE

FILE = Path(__file__).with_suffix(".npz")
PHRASES = ("a 1", "www.asl/kit")
LENGTHS = (3, 24)
TOY = dict(dim=16, blocks=2, heads=2, kernel=7, decoder_layers=2, decoder_ffn=24, stem_channels=4)
CONFIG = {1: ModelConfig(**TOY, attention="relative", part_stems=False, backward_decoder=False, confidence=False),
          2: ModelConfig(**TOY)}


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


def sequences() -> list[dict]:
    """Made-up standardised recordings with their tokens; a hand that comes and goes, a pose that is never seen."""
    random = np.random.RandomState(7)
    made = []
    for length, phrase in zip(LENGTHS, PHRASES):
        frames = random.standard_normal((length, 130, 3)).astype(np.float32)
        frames[::3, LEFT_HAND] = 0
        frames[:, POSE] = 0
        made.append({"frames": frames, "tokens": text.encode(phrase)})
    return made


@torch.no_grad()
def answers(network, frames, tokens, score=0.4) -> dict[str, np.ndarray]:
    """Everything that the golden files hold of one recording, as the network computes it: frames (T, 130, 3), tokens (33,)."""
    frames, tokens = torch.as_tensor(frames)[None], torch.as_tensor(tokens)[None]
    lengths, mask = torch.tensor([frames.shape[1]]), torch.ones(frames.shape[:2], dtype=torch.bool)
    found = {"stem": network.stem.all(frames, mask)}
    found |= {f"stem_{name}": network.stem.part(name, frames, mask) for name in network.stem.parts}
    found["block0"] = network.encoder.blocks[0](network.stem(frames, mask), mask)
    found["encoder"], _ = network.encode(frames, lengths)
    outputs = network(frames, lengths, decoder_inputs(tokens, 0), decoder_inputs(reverse(tokens), 0))
    found["logits"] = outputs["forward"]
    batch = {"frames": frames, "lengths": lengths, "tokens": tokens, "score": torch.tensor([score])}
    losses = compute_loss(network, batch, LossConfig(mask_probability=0))
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
    arrays = {}
    for round in CONFIG:
        for index, sequence in enumerate(sequences()):
            arrays |= {f"{round}/{index}/{name}": value for name, value in answers(network(round), **sequence).items()}
    np.savez_compressed(FILE, **arrays)
    print(f"wrote {FILE} ({FILE.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
