"""The queue: clients in turn, cut by tokens, the cancelled dropped, one adapter's failure its own."""

import threading

import numpy as np
import pytest

from lorabert.data.encoding import EncodedSplit
from lorabert.shipping.serving import scheduler as scheduling
from lorabert.shipping.serving.metrics import Metrics
from lorabert.shipping.serving.scheduler import Scheduler, cut


def texts(*lengths: int, first: int = 0) -> EncodedSplit:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.concatenate([np.full(length, first + index) for index, length in enumerate(lengths)]).astype(np.int32)
    return EncodedSplit(ids, offsets, None, np.zeros(len(lengths), np.int64), 0)


class Model:
    """Answers with the first token of each text; holds its first forward until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[str, list[int]]]] = []
        self.go, self.busy = threading.Event(), threading.Event()
        self.broken: set[str] = set()

    def __call__(self, requests):
        self.busy.set()
        assert self.go.wait(20)
        self.batches.append([(adapter, split.ids[split.offsets[:-1]].tolist()) for adapter, split in requests])
        if self.broken & {adapter for adapter, _ in requests}:
            raise ValueError("broken adapter")
        return [split.ids[split.offsets[:-1], None].astype(np.float32) for _, split in requests]


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def scheduler(model):
    scheduler = Scheduler(model, 80, Metrics())
    yield scheduler
    model.go.set()
    scheduler.close()


def hold(model, scheduler):
    """Keep the worker busy with a forward, so that what is submitted next meets in the queue."""
    held = scheduler.submit("holder", "held", texts(1))
    assert model.busy.wait(20)
    return held


def answers(futures):
    return np.concatenate([future.result(20) for future in futures])[:, 0].tolist()


def test_cut_keeps_order_and_stays_below_the_tokens_where_texts_do():
    split = texts(3, 4, 5, 20, 1, 1)
    parts = list(cut(split, 9))
    assert [part.lengths.tolist() for part in parts] == [[3, 4], [5], [20], [1, 1]]
    assert np.concatenate([part.ids for part in parts]).tolist() == split.ids.tolist()
    assert next(cut(texts(1, 2), 10)).lengths.tolist() == [1, 2]


def test_what_waits_together_is_computed_together_whatever_the_adapter(model, scheduler):
    hold(model, scheduler)
    futures = [scheduler.submit("a", "one", texts(3, first=1)), scheduler.submit("b", "two", texts(4, 5, first=7))]
    model.go.set()
    assert [answers(each) for each in futures] == [[1.0], [7.0, 8.0]]
    assert model.batches[1] == [("one", [1]), ("two", [7, 8])]


def test_no_forward_has_more_tokens_than_asked_for(model, scheduler):
    hold(model, scheduler)
    futures = scheduler.submit("a", "one", texts(*[10] * 30)) + scheduler.submit("a", "one", texts(500))
    model.go.set()
    assert answers(futures) == [*map(float, range(30)), 0.0]
    sizes = [sum(len(rows) for _, rows in batch) for batch in model.batches[1:]]
    assert sizes == [8, 8, 8, 6, 1]


def test_a_client_with_much_to_do_does_not_keep_others_waiting(model, scheduler):
    hold(model, scheduler)
    hog = scheduler.submit("hog", "one", texts(*[10] * 40))
    other = scheduler.submit("other", "two", texts(10, first=99))
    model.go.set()
    assert answers(hog + other) == [*map(float, range(40)), 99.0]
    assert ("two", [99]) in model.batches[1]


def test_the_cancelled_are_dropped_before_the_forward(model, scheduler):
    hold(model, scheduler)
    kept, dropped = scheduler.submit("a", "one", texts(1, first=5)), scheduler.submit("a", "one", texts(1, first=6))
    assert all(future.cancel() for future in dropped)
    model.go.set()
    assert answers(kept) == [5.0]
    assert model.batches[1] == [("one", [5])]
    assert scheduler._metrics.dropped._value.get() == 1


def test_a_failure_is_its_own(model, scheduler, caplog):
    hold(model, scheduler)
    model.broken = {"bad"}
    good, bad = scheduler.submit("a", "good", texts(1, first=5)), scheduler.submit("b", "bad", texts(1))
    model.go.set()
    assert answers(good) == [5.0]
    with pytest.raises(ValueError, match="broken adapter"):
        bad[0].result(20)
    assert scheduler.alive
    assert answers(scheduler.submit("a", "good", texts(1, first=6))) == [6.0]


def test_closing_computes_what_was_accepted_and_refuses_the_rest(model):
    scheduler = Scheduler(model, 80, Metrics())
    hold(model, scheduler)
    futures = scheduler.submit("a", "one", texts(*[10] * 20))
    closing = threading.Thread(target=scheduler.close)
    closing.start()
    model.go.set()
    closing.join(20)
    assert answers(futures) == [*map(float, range(20))]
    assert not scheduler.alive
    with pytest.raises(RuntimeError):
        scheduler.submit("a", "one", texts(1))


def test_memory_that_is_free_goes_back_to_the_system_now_and_then(monkeypatch):
    given = []
    monkeypatch.setattr(scheduling, "_GIVE_BACK_SECONDS", 0)
    monkeypatch.setattr(scheduling.hardware, "give_back", lambda: given.append(1))
    model = Model()
    model.go.set()
    scheduler = Scheduler(model, 80, Metrics())
    for _ in range(3):
        answers(scheduler.submit("a", "one", texts(1)))
    scheduler.close()
    assert len(given) == 3
