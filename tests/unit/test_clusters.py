import pytest

from lorabert import clusters
from lorabert.errors import InputError

pytest.importorskip("ray")


def test_an_address_that_is_none_is_an_input_error(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    with pytest.raises(InputError, match="RAY_ADDRESS"):
        clusters.join()
