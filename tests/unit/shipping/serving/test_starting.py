import shutil
import threading
from pathlib import Path

import pytest

import serving
from lorabert.errors import InputError
from lorabert.shipping.serving import starting
from lorabert.shipping.serving.settings import Settings


def test_the_base_is_made_ready_in_a_thread_that_ends(kinds, monkeypatch):
    made, engine_of = [], starting.engine_of

    def watched(*words):
        made.append(threading.current_thread())
        return engine_of(*words)

    monkeypatch.setattr(starting, "engine_of", watched)
    service, _ = starting.started([str(kinds["mood"])], None, Settings().resolved())
    service.close()
    assert made[0] is not threading.current_thread()
    assert not made[0].is_alive()


@pytest.mark.parametrize(("family", "method"), [("bert", "full"), ("mpnet", "lora")])
def test_what_cannot_share_a_base_is_refused_with_the_way_that_is_left(family, method, base_folder, tmp_path):
    adapter = serving.save_adapter(tmp_path / "adapter", base_folder(family), ["no", "yes"], method=method)
    with pytest.raises(InputError, match="cannot be served") as refused:
        starting.started([str(adapter)], None, Settings().resolved())
    assert "lorabert export" in str(refused.value)
    assert "--train" not in str(refused.value)


def test_a_base_that_was_a_relative_path_is_found_from_another_folder(base_folder, tmp_path, monkeypatch):
    shutil.copytree(base_folder("bert"), tmp_path / "work" / "base")
    monkeypatch.chdir(tmp_path / "work")
    adapter = serving.save_adapter(tmp_path / "work" / "adapter", Path("base"), ["no", "yes"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    service, _ = starting.started([str(adapter)], None, Settings().resolved())
    service.close()
