"""Progress on stderr: one bar over all steps, with losses and speed."""

from __future__ import annotations

import time
from types import TracebackType

from tqdm import tqdm


class Display:
    """A bar over the steps of all runs that train, with a line for each report.

    Args:
        one: whether there is but one run, whose name need not be told.
    """

    def __init__(self, *, one: bool) -> None:
        self.one = one
        self.bar = tqdm(total=0, desc="Training", unit="step")
        self.last = time.perf_counter()
        self.facts: dict[str, str] = {}

    def __enter__(self) -> Display:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.close()

    def begin(self, steps_left: int, taken: int) -> None:
        """A run begins, or goes on after `taken` steps."""
        if not self.bar.disable:  # by TQDM_DISABLE, which leaves a bar without most of its attributes
            self.bar.total = (self.bar.total or 0) + steps_left + taken
            self.bar.initial += taken
            self.bar.update(taken)

    def computed(self, examples: int, runs: int) -> None:
        """A batch of so many examples, of so many runs, has been computed."""
        now = time.perf_counter()
        self.facts["examples/s"] = f"{examples / (now - self.last):.0f}"
        if not self.one:
            self.facts["at once"] = str(runs)
        self.last = now
        self.bar.set_postfix(self.facts, refresh=False)

    def step(self) -> None:
        """A run took a step."""
        self.bar.update()

    def loss(self, name: str, step: int, loss: float) -> None:
        """A run reports its training loss."""
        self.facts["loss"] = f"{loss:.4f}"
        self._write(name, f"step {step}: loss {loss:.4f}")

    def validation(self, name: str, epoch: int, loss: float) -> None:
        """A run reports its validation loss."""
        self._write(name, f"epoch {epoch}: validation loss {loss:.4f}")

    def _write(self, name: str, line: str) -> None:
        if not self.bar.disable:
            self.bar.write(line if self.one else f"{name}: {line}", file=self.bar.fp)
