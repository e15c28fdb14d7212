import pytest

from lorabert import clusters
from lorabert.errors import InputError

pytest.importorskip("ray")


@pytest.mark.slow  # Ray tries for half a minute
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_a_cluster_that_cannot_be_reached_is_an_input_error(monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InputError, match="RAY_ADDRESS"):
        clusters.join()
