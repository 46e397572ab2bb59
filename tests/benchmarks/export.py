"""The export at full size: megabytes, CPU time and agreement of every precision with 1, 2 and 4 networks.

    python tests/benchmarks/export.py [--networks 1 2 4] [--calls 9] [--beams 8 [--ctc] [--rerank 0]] [--half-rate]
        [--precisions mixed int8]

Winning round-2 networks with random weights, made to end each phrase after 18 characters, the corpus' median. One thread of
ai-edge-litert, a new length in every call, medians. Agreement is with PyTorch on sequences at the competition's lengths;
random weights decide by narrower margins than trained ones, so it is a floor. The last row of each is the export of a fixed
shape, 384 frames. With --ctc the CTC head votes too, at its full cost but with a share so small that phrases stay as long.
"""

import argparse
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import corpus

from aslutils.model.beam import BeamSearch
from aslutils.model.network import Network
from aslutils.port.compare import compare, read_pytorch
from aslutils.port.export import DEFAULT, PRECISIONS, convert, with_precision
from aslutils.reading.tflite import Model
from aslutils.task.landmarks import COLUMNS
from aslutils.task.preprocess import MAX_FRAMES
from aslutils.task.text import EOS, PAD

FRAMES = (50, 150, 384)
CHARACTERS = 18


def network(seed: int, ctc: bool = False) -> Network:
    """A full-size network that spells 18 characters: from then on its positions point where EOS looks."""
    torch.manual_seed(seed)
    made = Network(replace(corpus.MODEL, ctc=ctc)).eval()
    towards_end = torch.randn(made.config.dim, generator=torch.Generator().manual_seed(0))
    towards_end /= towards_end.norm()
    with torch.no_grad():
        made.decoder.head.weight[PAD:] = 0                # a PAD in the phrase would not count
        made.decoder.head.weight[EOS] = towards_end
        made.decoder.positions[PAD + 1:] -= 8 * towards_end
        made.decoder.positions[PAD + 1 + CHARACTERS:] += 16 * towards_end
        made.confidence.bias.fill_(3.0)
    return made


def made_columns(length: int, seed: int) -> np.ndarray:
    """A made-up sequence (length, 390) with a hand missing half of the time."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.2, 0.8, len(COLUMNS)) + 0.02 * rng.standard_normal((length, len(COLUMNS))).cumsum(axis=0)
    values[::2, ["left_hand" in column for column in COLUMNS]] = np.nan
    return values.astype(np.float32)


def milliseconds(model: Model, frames: int, calls: int) -> float:
    """The median CPU time of sequences of about so many frames, each of another length than the one before."""
    times = []
    for call in range(calls + 1):
        inputs = made_columns(frames - call % 3, seed=call)
        began = time.thread_time()
        outputs = model(inputs)["outputs"]
        times.append(1000 * (time.thread_time() - began))
        if len(outputs) != CHARACTERS:
            raise SystemExit(f"{len(outputs)} characters instead of {CHARACTERS}: the networks do not end where they should")
    return float(np.median(times[1:]))                    # the first call prepares the weights


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, nargs="+", default=[1, 2, 4], help="how many networks are averaged")
    parser.add_argument("--calls", type=int, default=9, help="timed calls a length, of which the median counts")
    parser.add_argument("--beams", type=int, default=0, help="search with so many hypotheses and the backward decoder; 0: greedy")
    parser.add_argument("--rerank", type=float, default=0.4, help="weight of the backward decoder in the search; 0: left out")
    parser.add_argument("--ctc", action="store_true", help="score the hypotheses with the CTC head too")
    parser.add_argument("--half-rate", action="store_true", help="read every second frame too")
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=PRECISIONS, help="which to measure")
    options = parser.parse_args()
    if (options.ctc or options.rerank != parser.get_default("rerank")) and not options.beams:
        parser.error("--ctc and --rerank score the hypotheses of a search: give --beams too (1: greedy)")

    beam = BeamSearch(options.beams, 0.5, options.rerank, 1e-6 if options.ctc else 0.0) if options.beams else None
    torch.set_num_threads(1)
    sequences = [made_columns(int(frames), seed) for seed, frames in enumerate(corpus.draws(corpus.FRAMES, 16).clip(15, 384))]
    headline = None
    times = "".join(f"{f'ms at {frames}':>11}" for frames in FRAMES)
    print(f"variant   networks     MB {times}   texts as PyTorch's")
    for count in sorted(options.networks):
        networks = [network(seed, options.ctc) for seed in range(1, count + 1)]
        began = time.process_time()
        content = convert(networks, beam, half_rate=options.half_rate)
        spent, peak = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        reference = [read_pytorch(networks, inputs, beam, half_rate=options.half_rate) for inputs in sequences]
        variants = {precision: with_precision(content, precision) for precision in options.precisions}
        variants["fixed"] = with_precision(convert(networks, beam, frames=MAX_FRAMES, half_rate=options.half_rate), DEFAULT)
        for precision, variant in variants.items():
            model = Model(variant)
            times = [milliseconds(model, frames, options.calls) for frames in FRAMES]
            agreement = compare(model, sequences, reference)["agrees"].mean()
            print(f"{precision:<9} {count:>8} {len(variant) / 1e6:>6.1f} " + "".join(f"{value:>11.1f}" for value in times)
                  + f"{agreement:>29.1%}", flush=True)
            if (precision, count) == (DEFAULT, 2):
                headline = times
            if (precision, count) == ("fixed", 2) and headline:
                ratio = times[FRAMES.index(MAX_FRAMES)] / headline[FRAMES.index(MAX_FRAMES)]
        print(f"# converting {count}: {spent:.0f} CPU s, process at most {peak:.1f} GB so far", flush=True)
    if headline is not None:
        print(f"a fixed shape takes {ratio:.2f} times as long at {MAX_FRAMES} frames ({DEFAULT}, 2 seeds)")
        print(f"CPU ms at 150 frames, 2 seeds: {headline[FRAMES.index(150)]:.1f}")


if __name__ == "__main__":
    main()
