import threading

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
