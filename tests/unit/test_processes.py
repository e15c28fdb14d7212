import pytest
import torch

from lorabert import processes

LAUNCHED = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


def test_without_a_launcher_there_is_one_process_and_nothing_to_add(monkeypatch):
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    assert (processes.rank(), processes.count()) == (0, 1)
    tensor = torch.arange(3.0)
    with processes.joined("cpu"):
        assert processes.add_up(tensor).tolist() == [0, 1, 2]
        assert processes.collect(tensor).tolist() == [[0, 1, 2]]
    processes.tell("run", "nobody hears it")
    assert not processes.said_already()


def test_a_launcher_tells_rank_and_number(monkeypatch):
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)
    assert (processes.rank(), processes.count()) == (1, 4)


@pytest.mark.parametrize("missing", LAUNCHED)
def test_a_word_of_a_launcher_alone_is_no_launcher(monkeypatch, missing):
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(missing)
    assert (processes.rank(), processes.count()) == (0, 1)
