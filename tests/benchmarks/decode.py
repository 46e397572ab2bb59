"""How much faster the decoder spells with its cache than by computing every step again, and what a batch costs.

    python tests/benchmarks/decode.py [--batches 8] [--repeats 3]

The winning round-2 network, batch 16 at the competition's lengths, all 33 steps, encoding not counted.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import corpus

from aslutils.model.decoding import greedy
from aslutils.model.network import Network
from aslutils.task.text import EOS, SOS, STEPS

BATCH = 16


@torch.inference_mode()
def recompute(network, encoded, mask):
    """Greedy decoding as published: every step runs the decoder over all tokens so far."""
    tokens = torch.full((len(encoded), 1), SOS, device=encoded.device)
    for _ in range(STEPS):
        logits = network.decoder(tokens, network.decoder.start(encoded, mask))
        tokens = torch.cat([tokens, logits[:, -1:].argmax(dim=-1)], dim=1)
    return tokens[:, 1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=8, help="how many batches stand for the corpus")
    parser.add_argument("--repeats", type=int, default=3, help="measurements a batch, of which the median counts")
    options = parser.parse_args()

    device = corpus.device()
    torch.manual_seed(1)
    network = Network(corpus.MODEL).to(device).eval()
    with torch.no_grad():
        network.decoder.head.weight[EOS] = 0                                    # nothing ends early
    cached = recomputed = 0.0
    for batch in corpus.batches(options.batches, BATCH, device=device):
        with torch.no_grad():
            encoded = network.encode(batch["frames"], batch["lengths"])
        spell = partial(greedy, [network.decoder], [encoded])
        if not torch.equal(spell()[0], recompute(network, *encoded)):
            raise SystemExit("decoding with the cache gave other tokens than recomputing")
        cached += corpus.seconds(spell, options.repeats, device)
        recomputed += corpus.seconds(partial(recompute, network, *encoded), options.repeats, device)
    unit = "CPU seconds" if device == "cpu" else "seconds"
    print(f"decoding with the cache is {recomputed / cached:.1f} times faster: {cached / options.batches:.3f} against "
          f"{recomputed / options.batches:.3f} {unit} a batch of {BATCH} ({options.batches} batches, {STEPS} steps, "
          f"{corpus.place(device)}, median of {options.repeats})")


if __name__ == "__main__":
    main()
