"""Settings of the engine's parity tests, and steps recorded as on a GPU."""

import pytest
import torch

from lorabert.data.packing import ALIKE
from lorabert.engine import kernels
from lorabert.engine.packed import forward
from lorabert.engine.training import fitting
from recording import Replays


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Matrices this small lose time to a second thread, and a busy machine makes them lose much more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def graphs(monkeypatch):
    """A CPU that records as a GPU does, with PyTorch's own steps and a GPU's layout; whatever has recorded, in order."""
    made = []

    def record(device):
        made.append(Replays(device))
        return made[-1]

    monkeypatch.setattr(kernels, "usable", lambda *tensors: False)
    monkeypatch.setattr(forward, "CLOSE", ALIKE)
    monkeypatch.setitem(fitting._GRAPHS, "cpu", record)
    return made
