"""How fast a landmark file becomes part of a store: `python tests/benchmarks/prepare.py` (two minutes, 700 MB of disk).

One file of the corpus' size (1,000 sequences, about 160,000 frames, one row group, values all different) is prepared a few
times in this process, under each compression that it may have come in, as the corpus' own is not known here; CPU seconds of
one thread, the median, and which part of them pyarrow needs to open it and decode its columns, a few at a time as the kit asks
for them. For comparison, what pyarrow needs for the same columns all at once.
"""

import argparse
import os
import statistics as figures
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pyarrow.parquet as parquet
import stand_in

from aslutils.data import readers
from aslutils.data.prepare import Task, convert
from aslutils.data.sources import Source, read_corpus
from aslutils.task.landmarks import COLUMNS


class Clock:
    """CPU seconds spent in functions that it stands in for."""

    def __init__(self):
        self.seconds = 0.0

    def around(self, owner, name):
        function = getattr(owner, name)

        def timed(*arguments, **options):
            begin = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.process_time() - begin

        setattr(owner, name, timed)


def seconds_of_reading(source: Source) -> float:
    """What pyarrow alone needs to decode the columns all at once: the CPU seconds of one thread, read twice to warm up."""
    for _ in range(2):
        begin = time.process_time()
        parquet.read_table(source.path, columns=COLUMNS, use_threads=False)
    return time.process_time() - begin


def measure(sources: list[Source], title: str, dtype: str, repeats: int, clock: Clock):
    """Prepare these sources again and again, and print what it takes."""
    whole, decoding = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats + 1):
            clock.seconds, begin = 0.0, time.process_time()
            for number, source in enumerate(sources):
                convert(Task(source, Path(folder) / f"part{number}", dtype))
            whole.append(time.process_time() - begin)
            for part in Path(folder).glob("part*"):
                part.unlink()
            decoding.append(clock.seconds)
    shares = [part / total for part, total in zip(decoding[1:], whole[1:])]              # the first one warms up
    seconds, ours = figures.median(whole[1:]), figures.median(whole[1:]) - figures.median(decoding[1:])
    sequences, size = sum(len(source.rows) for source in sources), sum(source.size for source in sources)
    print(f"{title}, {dtype}, 1 thread\n"
          f"  share of pyarrow's decoding: {100 * figures.median(shares):.0f} %\n"
          f"  sequences per CPU second: {sequences / seconds:.0f}  ({seconds:.2f} s, {ours:.2f} s of them ours; "
          f"{len(sources)} files, {size / 1e6:.0f} MB)\n"
          f"  pyarrow's read_table of the same columns, nothing else: {sum(map(seconds_of_reading, sources)):.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--data", help="measure the files of this folder instead, as one")
    parser.add_argument("--dtype", default="float16", choices=("float16", "float32"))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    clock = Clock()
    for owner, name in ((readers, "read_columns"), (parquet.ParquetFile, "read"), (parquet, "ParquetFile")):
        clock.around(owner, name)
    if options.data:
        measure(read_corpus(options.data)[1], options.data, options.dtype, options.repeats, clock)
        return
    for compression in stand_in.COMPRESSIONS:
        with tempfile.TemporaryDirectory() as folder:
            stand_in.write_corpus(Path(folder) / "data", options.sequences, a_file=options.sequences, compression=compression)
            measure(read_corpus(Path(folder) / "data")[1], compression, options.dtype, options.repeats, clock)


if __name__ == "__main__":
    main()
