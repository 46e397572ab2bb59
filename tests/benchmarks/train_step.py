"""CPU seconds a sample of a full training step of the winning round-2 network: forward, loss, backward, clipping, AdamW.

    python tests/benchmarks/train_step.py [--batches 16] [--repeats 3] [--padded]

Batch 16 with the competition's lengths. The optimiser steps once in 32 batches, as in training (512 samples a step at
batch 16); a 32nd of its time is counted for each batch. `--padded` pads every batch to 384 frames instead, as published.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import corpus

from aslutils.model.loss import compute_loss
from aslutils.model.network import Network

BATCH, SAMPLES_A_STEP = 16, 512


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=16, help="how many batches stand for the corpus")
    parser.add_argument("--repeats", type=int, default=3, help="measurements a batch, of which the median counts")
    parser.add_argument("--padded", action="store_true", help="pad every batch to 384 frames, as the published solution does")
    options = parser.parse_args()

    device = corpus.device()
    torch.manual_seed(1)
    network = Network(corpus.MODEL).to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=0.08, fused=True)

    def accumulate(batch):
        with torch.autocast(device, torch.float16, enabled=device != "cpu"):
            loss = compute_loss(network, batch, corpus.LOSS)["loss"]
        loss.backward()

    def update():
        torch.nn.utils.clip_grad_norm_(network.parameters(), 4.0)
        optimiser.step()
        optimiser.zero_grad()
        for parameter in network.parameters():      # so that the next measurement has gradients to clip and apply
            parameter.grad = torch.zeros_like(parameter)

    made = corpus.batches(options.batches, BATCH, padded_to=384 if options.padded else None, device=device)
    total = sum(corpus.seconds(partial(accumulate, batch), options.repeats, device) for batch in made)
    sample = total / (len(made) * BATCH) + corpus.seconds(update, 5, device) / SAMPLES_A_STEP
    unit = "CPU seconds" if device == "cpu" else "seconds"
    print(f"{unit} per sample: {sample:.4f} (round-2 training step, batch {BATCH}, {len(made)} batches, "
          f"{corpus.place(device)}, median of {options.repeats})")


if __name__ == "__main__":
    main()
