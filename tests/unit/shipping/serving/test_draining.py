"""The end of a server: new requests are refused at once, accepted ones finished, within a bound."""

import asyncio
import time

import pytest

from lorabert.errors import InputError
from lorabert.shipping.serving.settings import Settings
from serving import later, serve, until

pytestmark = pytest.mark.anyio


async def test_draining_answers_what_was_accepted_and_refuses_the_rest(kinds):
    async with serve(kinds["mood"]) as client:
        with client.hold():
            accepted = later(client.classify("mood", "a"))
            await until(lambda: client.service.traffic.texts)
            client.service.traffic.drain(60)
            refused = await client.classify("mood", "a")
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            assert refused.headers["connection"] == "close"
            assert refused.headers["content-type"] == "application/problem+json"
            assert (await client.get("/ready")).status_code == 503
            assert (await client.get("/health")).status_code == 200
        assert (await accepted).status_code == 200


async def test_what_was_accepted_is_finished_though_its_own_time_is_up(kinds):
    async with serve(kinds["mood"], timeout_seconds=0.5) as client:
        with client.hold() as held:
            first = later(client.classify("mood", "first"))
            await held.until_busy()
            queued = later(client.classify("mood", ["second", "third"]))
            await until(lambda: client.service.traffic.waiting == 3)
            client.service.traffic.drain(60)
            await asyncio.sleep(1.2)
            assert not first.done()
            assert not queued.done()
        assert [(await each).status_code for each in (first, queued)] == [200, 200]


async def test_what_is_not_finished_within_drain_seconds_is_told_so(kinds):
    async with serve(kinds["mood"], timeout_seconds=60) as client:
        with client.hold() as held:
            accepted = later(client.classify("mood", "a"))
            await held.until_busy()
            began = time.monotonic()
            client.service.traffic.drain(0.3)
            answer = await accepted
            assert time.monotonic() - began < 5
            assert answer.status_code == 503
            assert "stopped" in answer.json()["detail"]
            assert int(answer.headers["retry-after"]) > 0
        assert not client.service.traffic.texts


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_seconds_to_drain_that_are_none_are_refused(seconds):
    with pytest.raises(InputError, match="drain_seconds"):
        Settings(drain_seconds=seconds).resolved()
