"""What a long training shows of itself: a bar or lines, a table of numbers, TensorBoard's files.

Book: start/how_to_use
"""

import contextlib
import csv
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

EVERY = 10.0  # seconds between two lines where there is no terminal
RECENT = 20  # episodes that a shown return is the mean of


class Progress:
    """Shows and logs how a training of ``total`` environment steps goes; does nothing unless asked to.

    Args:
        log_dir: a folder for ``metrics.csv`` (one row for each update) and, where the package ``tensorboard``
            is installed, an event file with the same numbers.
        shown: a bar on a terminal, elsewhere a line on stderr now and then.

    Book: start/how_to_use
    """

    def __init__(self, total: int, log_dir: str | Path | None = None, shown: bool = False):
        self.total, self.shown, self.log_dir = total, shown, None if log_dir is None else Path(log_dir)
        self.first, self.began, self.said = None, 0.0, 0.0
        self.bar = self.table = self.events = None

    def update(self, episodes: Any, numbers: dict[str, float]) -> None:
        """Take in the diagnostics of an update, and the ``Episodes`` so far."""
        if self.first is None:
            self.first, self.began = episodes.steps, time.monotonic()
        now, returns = time.monotonic(), episodes.returns[-RECENT:]
        recent = float(np.mean(returns)) if returns else float("nan")
        speed = (episodes.steps - self.first) / max(now - self.began, 1e-9)
        counts = {"episodes": len(episodes.returns), "return": recent}
        if self.log_dir:
            self._log(episodes.steps, {**counts, **numbers, "steps_per_second": speed})
        if self.shown and sys.stderr.isatty():
            self.bar = self.bar or tqdm(total=self.total, unit="step", unit_scale=True, initial=self.first)
            self.bar.set_postfix(counts, refresh=False)
            self.bar.update(episodes.steps - self.bar.n)
        elif self.shown and now > self.said + EVERY:
            self.said = now
            left = f"{(self.total - episodes.steps) / speed:.0f} s left" if speed else "time left not known"
            counts = f"step {episodes.steps:,} of {self.total:,}, {counts['episodes']} episodes"
            print(f"{counts}, return {recent:.1f}, {speed:.0f} steps/s, {left}", file=sys.stderr, flush=True)

    def _log(self, step: int, numbers: dict[str, float]) -> None:
        if self.table is None:
            self.log_dir.mkdir(parents=True, exist_ok=True)
            file = self.log_dir / "metrics.csv"
            before = []
            if file.exists():  # a resumed training tells again what came after its checkpoint
                with open(file, newline="", encoding="utf-8") as table:
                    before = [row for row in csv.DictReader(table) if int(row["step"]) < step]
            self.file = open(file, "w", newline="", encoding="utf-8")  # noqa: SIM115 (closed in ``close``)
            self.table = csv.DictWriter(self.file, ["step", *numbers], extrasaction="ignore")
            self.table.writeheader()
            self.table.writerows(before)
            with contextlib.suppress(ImportError):
                from torch.utils.tensorboard import SummaryWriter

                self.events = SummaryWriter(self.log_dir)
            if self.events is None:
                warnings.warn(f"{file} is written, but no event files: pip install tensorboard", stacklevel=7)
        self.table.writerow({"step": step, **numbers})
        self.file.flush()
        for name, value in numbers.items():
            if self.events:
                self.events.add_scalar(name, value, step)

    def close(self) -> None:
        """Close what was opened."""
        for opened in (self.bar, self.events, self.table and self.file):
            if opened:
                opened.close()
