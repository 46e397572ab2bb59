"""What training the winning networks costs, counted: the ground of the estimates for a GPU in docs/training.md.

    python tests/benchmarks/training_cost.py [--teraflops 6.5 1.6]

For each round: FLOP a sample (torch's counter over the forward pass at the competition's lengths, three times that for a training
step), the samples of the whole training, what the largest batch keeps for its backward pass in float32; and, for a GPU that
does so many useful TFLOPS in round 2 (fp16) and round 1 (float32), the hours.
"""

import argparse
import copy
import sys
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import corpus

from aslutils.model.config import LossConfig
from aslutils.model.loss import compute_loss
from aslutils.model.network import Network
from aslutils.run.stages import profile
from aslutils.task.preprocess import MAX_FRAMES

TRAIN, SUPPLEMENTAL = 67_208, 52_958              # sequences; an epoch of round 2 takes each supplemental phrase once, so at most
ROUNDS = {"01_round1_folds": ("round 1, a fold", TRAIN * 3 // 4), "03_fullfit": ("round 2, a seed", TRAIN + SUPPLEMENTAL)}


def gigaflops(network: Network, loss: LossConfig, batches: int = 8, padded_to: int | None = None) -> float:
    """GFLOP that one sample of a training step takes, the mean over `batches` batches with the corpus' lengths."""
    batches = corpus.batches(batches, padded_to=padded_to, device="meta")        # shapes alone: nothing is computed
    network = copy.deepcopy(network).to("meta")
    # The counter knows attention only as products of matrices, and counts a grouped convolution's backward pass far too high.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        for batch in batches:
            compute_loss(network, batch, loss)
    return 3 * counter.get_total_flops() / sum(len(batch["lengths"]) for batch in batches) / 1e9


def kept_gigabytes(network: Network, loss: LossConfig, batch_size: int) -> float:
    """What the forward pass of a batch of the longest sequences keeps for the backward pass, in float32, without the weights."""
    (batch,) = corpus.batches(1, batch_size, padded_to=MAX_FRAMES)
    batch["lengths"].fill_(MAX_FRAMES)
    kept = {}                                     # the tensors stay alive here, so that no address is used twice

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        compute_loss(network, batch, loss)
    for parameter in network.parameters():
        kept.pop(parameter.untyped_storage().data_ptr(), None)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teraflops", type=float, nargs=2, default=[6.5, 1.6], metavar=("FP16", "FP32"),
                        help="useful TFLOPS of the GPU (default: 10 %% of a T4's 65 in fp16, 20 %% of its 8.1 in float32)")
    options = parser.parse_args()
    corpus.device()
    for notebook, (name, samples) in ROUNDS.items():
        *_, model, loss, train = profile("winning", notebook)
        network = Network(model).train()
        each, total = gigaflops(network, loss), samples * train.epochs
        useful = options.teraflops[train.precision == "no"]
        print(f"{name}: {each:.1f} GFLOP a sample x {total / 1e6:.1f} million samples = {each * total / 1e6:.0f} PFLOP, "
              f"{each * total / useful / 1e3 / 3600:.0f} h at {useful:g} TFLOPS; "
              f"{kept_gigabytes(network, loss, train.batch_size):.1f} GB kept by the largest batch, float32")


if __name__ == "__main__":
    main()
