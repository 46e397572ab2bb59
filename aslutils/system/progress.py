"""Progress bars for all long tasks, shown here and reported to the process that started this one.

If ASLUTILS_PROGRESS names a file, each bar also writes its current line there, so that `run_all.sh` can show the progress of a
notebook while papermill runs it. ASLUTILS_QUIET hides the bars of a process whose parent shows
one for all.
"""

import contextlib
import os
import sys
import time
from pathlib import Path

from tqdm import tqdm


class ProgressBar(tqdm):
    """A tqdm bar that also writes its line to the file named by ASLUTILS_PROGRESS."""

    def __init__(self, *arguments, **options):
        self._file = os.environ.get("ASLUTILS_PROGRESS", "")
        self._told = 0.0
        super().__init__(*arguments, **options)

    def update(self, n=1):
        shown = super().update(n)
        if self._file and not self.disable and (time.monotonic() - self._told > 0.5 or self.n == self.total):
            self._told = time.monotonic()
            with contextlib.suppress(OSError):    # a full disk shall not end what is told about
                Path(self._file).write_text(self.line(), encoding="utf-8")
        return shown

    def line(self) -> str:
        """The bar as text: task, progress, rate, time left and postfix."""
        state = self.format_dict
        rate = state["rate"] or (state["n"] / state["elapsed"] if state["elapsed"] else 0)
        parts = [f"{self.desc.rstrip(': ')}: {state['n']:,}/{state['total'] or 0:,} {state['unit'].strip()}"]
        if rate:
            parts.append(f"{rate:,.1f}/s")
            parts.append(f"{self.format_interval(max(0, (state['total'] or 0) - state['n']) / rate)} left")
        if state["postfix"]:
            parts.append(str(state["postfix"]))
        return ", ".join(parts)


def progress(iterable=None, *, total=None, what: str, unit: str, quiet: bool = False, **options) -> ProgressBar:
    """A bar over `iterable`, or one advanced by `.update(n)`.

    what: the task; unit: what is counted; quiet: show nothing.
    """
    return ProgressBar(iterable, total=total, desc=what, unit=f" {unit}", dynamic_ncols=True,
                       mininterval=0.5 if sys.stderr and sys.stderr.isatty() else 5.0,     # saved notebooks keep every update
                       disable=quiet or sys.stderr is None or bool(os.environ.get("ASLUTILS_QUIET")), **options)


def aside():
    """A context in which other lines can be written to the terminal: bars are cleared before it and drawn again after it."""
    return ProgressBar.external_write_mode(sys.stdout)


def duration(seconds: float) -> str:
    """Seconds in words, such as "2 min 03 s"."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
