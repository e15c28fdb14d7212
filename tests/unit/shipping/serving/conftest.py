"""Adapters to serve, made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import serving


@pytest.fixture(scope="session")
def kinds(base_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters of different ranks, targets and labels; read, never change."""
    return serving.save_kinds(tmp_path_factory.mktemp("kinds"), base_folder("bert"))


@pytest.fixture
def anyio_backend() -> str:
    """The server runs on asyncio."""
    return "asyncio"
