"""Under traffic: queues, time-outs, clients that leave, adapters that come and go, and the end."""

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lorabert.shipping.serving.app import build
from lorabert.shipping.store import Store
from serving import later, save_adapter, serve, sign, until

pytestmark = pytest.mark.anyio


async def test_a_full_queue_is_429_and_one_client_cannot_fill_it(kinds):
    async with serve(kinds["mood"], max_texts=4, max_queue=8) as client:
        with client.hold():
            first = later(client.classify("mood", ["a"] * 4))
            await until(lambda: client.service.traffic.texts.total() == 4)
            refused = await client.classify("mood", "a")
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            second = later(client.of("10.0.0.2").classify("mood", ["a"] * 4))
            await until(lambda: client.service.traffic.texts.total() == 8)
            assert (await client.of("10.0.0.3").classify("mood", "a")).status_code == 429
        assert [(await each).status_code for each in (first, second)] == [200, 200]
        assert (await client.classify("mood", "a")).status_code == 200
        assert not client.service.traffic.texts


async def test_too_many_requests_at_once_are_503(kinds):
    async with serve(kinds["mood"], max_requests=1) as client:
        with client.hold():
            first = later(client.classify("mood", "a"))
            await until(lambda: client.service.traffic.requests == 1)
            refused = await client.get("/v1/models")
            assert refused.status_code == 503
            assert "retry-after" in refused.headers
            assert (await client.get("/health")).status_code == 200
        assert (await first).status_code == 200


async def test_a_request_whose_time_is_up_is_503_and_is_not_computed(kinds):
    async with serve(kinds["mood"], timeout_seconds=1) as client:
        dropped = client.service.metrics.dropped
        with client.hold() as held:
            first = later(client.classify("mood", "first"))
            await held.until_busy()
            late = await asyncio.gather(first, client.classify("mood", "second"))
            assert [each.status_code for each in late] == [503, 503]
            assert "retry-after" in late[0].headers
            held.go.set()
            await until(lambda: dropped._value.get() == 1)
        assert (await client.classify("mood", "a")).status_code == 200
        assert not client.service.traffic.texts


class Visitor:
    """An ASGI client by hand: it can be slow, and it can leave."""

    def __init__(self, service, *chunks: bytes) -> None:
        self.app, self.chunks, self.sent, self.leave = build(service), list(chunks), [], asyncio.Event()

    async def receive(self):
        if self.chunks:
            return {"type": "http.request", "body": self.chunks.pop(0), "more_body": True}
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def whole(self):
        if self.chunks:
            return {"type": "http.request", "body": self.chunks.pop(0), "more_body": bool(self.chunks)}
        return await self.receive()

    async def send(self, message):
        self.sent.append(message)

    async def visit(self, receive):
        headers = [(b"content-type", b"application/json"), (b"host", b"localhost")]
        scope = {"type": "http", "method": "POST", "path": "/classify", "raw_path": b"/classify", "query_string": b"",
                 "headers": headers, "client": ("10.0.0.9", 9), "server": ("localhost", 80), "scheme": "http",
                 "http_version": "1.1", "root_path": ""}  # fmt: skip
        await self.app(scope, receive, self.send)

    @property
    def status(self):
        return self.sent[0]["status"] if self.sent else None


BODY = json.dumps({"model": "mood", "input": ["a", "b"]}).encode()


async def test_a_client_that_leaves_is_not_computed_for(kinds, capsys):
    async with serve(kinds["mood"], access_log=True) as client:
        with client.hold() as held:
            first = later(client.classify("mood", "a"))
            await held.until_busy()
            visitor = Visitor(client.service, BODY)
            visiting = later(visitor.visit(visitor.whole))
            await until(lambda: client.service.traffic.texts["10.0.0.9"] == 2)
            await until(lambda: client.service.scheduler._waiting)
            visitor.leave.set()
            await asyncio.wait_for(visiting, 20)
            assert visitor.status is None
            assert "10.0.0.9" not in client.service.traffic.texts
        assert (await first).status_code == 200
        await until(lambda: client.service.metrics.dropped._value.get() == 1)
    statuses = sorted(json.loads(line)["status"] for line in capsys.readouterr().err.splitlines())
    assert statuses == [200, 499]


async def test_a_client_that_leaves_before_its_request_is_whole_is_no_error(kinds):
    async with serve(kinds["mood"]) as client:
        visitor = Visitor(client.service, BODY[:10])
        visitor.leave.set()
        await asyncio.wait_for(visitor.visit(visitor.receive), 20)
        assert visitor.status is None
        assert client.service.traffic.requests == 0


async def test_a_request_that_dribbles_in_is_408(kinds):
    async with serve(kinds["mood"], timeout_seconds=0.2) as client:
        visitor = Visitor(client.service, BODY[:10])
        await asyncio.wait_for(visitor.visit(visitor.receive), 20)
        assert visitor.status == 408


async def test_health_tells_when_the_model_s_thread_has_died(kinds):
    async with serve(kinds["mood"]) as client:
        assert (await client.get("/ready")).status_code == 200
        client.service.scheduler.close()
        assert (await client.get("/health")).status_code == 503
        assert (await client.get("/ready")).status_code == 503


async def test_unloading_takes_nothing_from_requests_that_were_accepted(kinds):
    async with serve(kinds["mood"], kinds["topic"]) as client:
        wanted = (await client.classify("mood", "a")).json()["data"]
        with client.hold():
            accepted = later(client.classify("mood", "a"))
            await until(lambda: client.service.scheduler._waiting or client.service.traffic.texts)
            await until(lambda: client.service.traffic.texts)
            await asyncio.sleep(0.1)
            assert (await client.delete("/v1/models/mood")).status_code == 204
            assert (await client.classify("mood", "a")).status_code == 404
        answer = await accepted
        assert answer.status_code == 200
        assert answer.json()["data"] == wanted


async def test_loading_and_unloading_under_traffic_drops_no_request(kinds):
    async with serve(kinds["mood"], allow_folders=True) as client:
        wanted = {"mood": (await client.classify("mood", "a film")).json()["data"][0]["probs"]}
        stop = asyncio.Event()
        seen = {"mood": 0, "extra": 0, "missing": 0}

        async def traffic(name):
            while not stop.is_set():
                answer = await client.classify(name, "a film")
                assert answer.status_code in ((200,) if name == "mood" else (200, 404)), answer.text
                if answer.status_code == 200:
                    probs = answer.json()["data"][0]["probs"]
                    np.testing.assert_allclose(probs, wanted.setdefault(name, probs), atol=1e-5)
                    seen[name] += 1
                else:
                    seen["missing"] += 1

        workers = [later(traffic(name)) for name in ("mood", "mood", "extra", "extra")]
        for _ in range(6):
            body = {"model": "extra", "folder": str(kinds["topic"])}
            assert (await client.post("/v1/models", json=body)).status_code == 201
            before = dict(seen)
            await until(lambda before=before: all(seen[name] > before[name] for name in ("mood", "extra")))
            assert (await client.delete("/v1/models/extra")).status_code == 204
            await until(lambda before=before: seen["missing"] > before["missing"])
        stop.set()
        await asyncio.gather(*workers)


@pytest.fixture
def store(kinds, tmp_path):
    store = Store(tmp_path / "store")
    for name, folder in kinds.items():
        store.add(folder, name)
    return store


async def test_every_name_of_a_store_is_served_on_demand_and_evicted_least_recently_used(store):
    sizes = {entry.name: (store.folder(entry) / "adapter_model.safetensors").stat().st_size for entry in store.entries()}
    room = (sizes["topic"] + max(sizes["mood"], sizes["tone"]) + 100) / 2**20
    async with serve(store.root, adapter_mebibytes=room) as client:
        counted = client.service.metrics

        async def loaded():
            return {model["id"] for model in (await client.get("/v1/models")).json()["data"] if model["loaded"]}

        assert await loaded() == set()
        first = {}
        for name in ("mood", "topic"):
            first[name] = (await client.classify(name, ["a film", "the worst"])).json()
            assert first[name]["model"] == f"{name}@1"
        assert await loaded() == {"mood@1", "topic@1"}
        await client.classify("mood@1", "a")
        first["tone"] = (await client.classify("tone", ["a film", "the worst"])).json()
        assert "topic@1" not in await loaded()
        assert counted.evictions._value.get() >= 1
        for name, answer in first.items():
            assert (await client.classify(name, ["a film", "the worst"])).json()["data"] == answer["data"]
        assert counted.loads._value.get() >= 4
        assert counted.adapter_bytes._value.get() <= room * 2**20


async def test_a_version_added_while_serving_is_served_and_the_old_one_stays(store, tiny_base, tmp_path):
    newer = save_adapter(tmp_path / "newer", tiny_base, ["blue", "green"], seed=9)
    async with serve(store.root) as client:
        assert (await client.classify("mood", "a")).json()["model"] == "mood@1"
        store.add(newer, "mood")
        assert (await client.classify("mood@2", "a")).json()["labels"] == ["blue", "green"]
        for _ in range(300):
            if (await client.classify("mood", "a")).json()["model"] == "mood@2":
                break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError("the bare name does not follow")
        assert (await client.classify("mood@1", "a")).json()["labels"] == ["sad", "glad"]


async def test_a_stored_adapter_that_was_unloaded_is_unknown_until_it_is_loaded_again(store):
    async with serve(store.root) as client:
        await client.classify("mood", "a")
        assert (await client.delete("/v1/models/mood@1")).status_code == 204
        for name in ("mood", "mood@1"):
            assert (await client.classify(name, "a")).status_code == 404
        assert "mood@1" not in {model["id"] for model in (await client.get("/v1/models")).json()["data"]}
        assert (await client.post("/v1/models", json={"model": "mood"})).status_code == 201
        assert (await client.classify("mood", "a")).status_code == 200


async def test_many_asking_for_an_adapter_that_is_not_loaded_read_it_once(store):
    async with serve(store.root) as client:
        answers = await asyncio.gather(*(client.classify("topic", f"text {number}") for number in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert client.service.metrics.loads._value.get() == 1


async def test_an_adapter_of_another_base_is_refused_at_load(kinds, base_folder, tmp_path):
    other = save_adapter(tmp_path / "other", base_folder("bert", seed=5), ["no", "yes"])
    Store(tmp_path / "mixed").add(kinds["mood"], "mood")
    Store(tmp_path / "mixed").add(other, "other")
    async with serve(tmp_path / "mixed", base=str(base_folder("bert")), allow_folders=True) as client:
        assert (await client.classify("mood", "a")).status_code == 200
        tries = [client.classify("other", "a"), client.post("/v1/models", json={"model": "other"}),
                 client.post("/v1/models", json={"model": "another", "folder": str(other)})]  # fmt: skip
        for answer in await asyncio.gather(*tries):
            assert answer.status_code == 409
            assert "belongs to the base" in answer.json()["detail"]


async def test_an_adapter_damaged_on_disk_is_409_and_the_others_go_on(store):
    (store.folder(store.resolve("topic")) / "adapter_model.safetensors").write_bytes(b"nothing")
    async with serve(store.root) as client:
        damaged = await client.classify("topic", "a")
        assert damaged.status_code == 409
        assert "adapter_model.safetensors" in damaged.json()["detail"]
        assert (await client.classify("mood", "a")).status_code == 200


async def test_bf16_serves_every_kind_and_rounds(kinds):
    scores = {}
    for precision in ("fp32", "bf16"):
        async with serve(*(f"{name}={folder}" for name, folder in kinds.items()), precision=precision) as client:
            answers = [await client.classify(name, "A small movie with a big impact.") for name in kinds]
            assert [answer.status_code for answer in answers] == [200] * len(kinds)
            scores[precision] = [number for answer in answers for number in answer.json()["data"][0]["probs"]]
    differences = np.abs(np.array(scores["bf16"]) - scores["fp32"])
    assert 0 < differences.max() < 0.05


async def test_an_adapter_that_gives_other_answers_than_recorded_is_not_put_into_service(kinds):
    async with serve(kinds["mood"], allow_folders=True) as client:
        answer = client.service.scheduler._answer
        client.service.scheduler._answer = lambda requests: [logits + 0.5 for logits in answer(requests)]
        refused = await client.post("/v1/models", json={"model": "extra", "folder": str(kinds["topic"])})
        assert refused.status_code == 409
        assert "differ from the recorded ones" in refused.json()["detail"]
        client.service.scheduler._answer = answer
        assert (await client.classify("extra", "a")).status_code == 404


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
async def test_a_stored_adapter_that_gives_other_answers_than_recorded_is_refused_when_first_asked(
    kinds, tiny_base, tmp_path, precision
):
    other = save_adapter(tmp_path / "other", tiny_base, ["sad", "glad"], seed=9, r=2)
    folder = Path(shutil.copytree(kinds["mood"], tmp_path / "mixed"))
    shutil.copyfile(other / "adapter_model.safetensors", folder / "adapter_model.safetensors")
    assert sign(folder)
    store = Store(tmp_path / "store")
    for name, place in (("good", kinds["mood"]), ("mixed", folder)):
        store.add(place, name)
    async with serve(store.root, precision=precision) as client:
        for _ in range(2):
            refused = await client.classify("mixed", "a")
            assert refused.status_code == 409
            assert "differ from the recorded ones" in refused.json()["detail"]
            assert (await client.classify("good", "a")).status_code == 200
