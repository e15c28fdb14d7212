"""The HTTP interface: the promised shapes, and a problem document for whatever is refused."""

import json

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lorabert.shipping import adapters
from lorabert.shipping.store import Store
from serving import KINDS, save_adapter, serve

pytestmark = pytest.mark.anyio
TEXTS = ["a wonderful film", "", "awful and boring , the worst", "映画 <script>", "word " * 60]


def refused(response: httpx.Response, status: int, *words: str) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    for word in words:
        assert word in problem["detail"], problem
    return problem


async def test_a_request_is_answered_in_the_shape_that_vllm_users_know(kinds):
    labels = KINDS["tone"][0]
    async with serve(*kinds.values()) as client:
        answer = (await client.classify("tone", TEXTS)).json()
    wanted = adapters.load(kinds["tone"])[0].predict(TEXTS)
    assert answer["object"] == "list"
    assert answer["id"].startswith("classify-")
    assert (answer["model"], answer["labels"]) == ("tone", labels)
    assert [row["index"] for row in answer["data"]] == list(range(len(TEXTS)))
    for row, expected in zip(answer["data"], wanted, strict=True):
        assert row["num_classes"] == len(labels)
        assert row["label"] == expected.label
        np.testing.assert_allclose(row["probs"], list(expected.scores.values()), atol=1e-5)
    usage = answer["usage"]
    assert usage["prompt_tokens"] == usage["total_tokens"] > 0
    assert (usage["completion_tokens"], usage["truncated_texts"]) == (0, 1)


async def test_one_text_needs_no_list(kinds):
    async with serve(kinds["mood"]) as client:
        one, listed = await client.classify("mood", "a film"), await client.classify("mood", ["a film"])
    assert one.json()["data"] == listed.json()["data"]


async def test_unsure_texts_get_no_label_where_the_server_abstains(kinds):
    async with serve(kinds["tone"]) as client:
        everything = (await client.classify("tone", TEXTS)).json()["data"]
    assert not any(row["abstained"] for row in everything)
    least = sorted(max(row["probs"]) for row in everything)[2]
    async with serve(kinds["tone"], abstain_below=least - 1e-6) as client:
        some = (await client.classify("tone", TEXTS)).json()["data"]
    assert sum(row["abstained"] for row in some) == 2
    for before, after in zip(everything, some, strict=True):
        np.testing.assert_allclose(after["probs"], before["probs"], atol=1e-6)
        assert after["label"] == (None if after["abstained"] else before["label"])


async def test_an_unknown_adapter_is_404_and_never_the_base(kinds):
    async with serve(kinds["mood"]) as client:
        for name in (
            "base",
            "mood@1",
            "MOOD",
            "../mood",
            "..\\mood",
            "/etc/passwd",
            "mood/../mood",
            ".",
            "",
            "%2e%2e",
            "\u202e",
            "\ud800",
        ):
            body = json.dumps({"model": name, "input": "a film"})
            response = await client.post("/classify", content=body, headers={"content-type": "application/json"})
            refused(response, 422 if name in ("", "\ud800") else 404)
            if name.isalnum():  # an HTTP client resolves dots by itself
                refused(await client.get(f"/v1/models/{name}"), 404)


async def test_pairs_are_for_adapters_of_pairs(tiny_base, kinds, tmp_path):
    pair = save_adapter(tmp_path / "pair", tiny_base, ["no", "yes"], pairs=True)
    pairs = [["a good film", "it was good"], ["a bad film", ""]]
    async with serve(kinds["mood"], pair) as client:
        answer = (await client.classify("pair", pairs)).json()
        refused(await client.classify("pair", ["a text"]), 422, "pairs")
        refused(await client.classify("mood", pairs), 422, "texts")
        refused(await client.classify("pair", [["one"]]), 422)
        refused(await client.classify("pair", ["a text", ["a", "b"]]), 422)
        details = (await client.get("/v1/models/pair")).json()
    wanted = adapters.load(pair)[0].predict(*map(list, zip(*pairs, strict=True)))
    swapped = adapters.load(pair)[0].predict(*map(list, zip(*(each[::-1] for each in pairs), strict=True)))
    found = [row["probs"] for row in answer["data"]]
    np.testing.assert_allclose(found, [list(each.scores.values()) for each in wanted], atol=1e-5)
    assert not np.allclose(found, [list(each.scores.values()) for each in swapped], atol=1e-4)
    assert details["pairs"] is True


@pytest.mark.parametrize(
    "body",
    ["", "{", "nonsense", "null", "[]", "5", '"text"', "{}", '{"model":"mood"}', '{"model":5,"input":"a"}',
     '{"model":"mood","input":5}', '{"model":"mood","input":null}', '{"model":"mood","input":[]}',
     '{"model":"mood","input":[5]}', '{"model":"mood","input":{"a":"b"}}', '{"model":"mood","input":[["a","b","c"]]}',
     '{"model":"mood","input":"a","inputs":"b"}', '{"model":"mood","input":"\\ud800"}',
     '{"model":"mood","input":["a","\\udfff"]}', '{"model":"mood","input":NaN}', "[" * 100_000,
     b"\xff\xfe", b'{"model":"mood","input":"\xff"}'],
)  # fmt: skip
async def test_a_malformed_request_is_refused_and_never_reaches_the_model(kinds, body):
    async with serve(kinds["mood"]) as client:
        forwards = client.service.metrics.batch_tokens._sum.get()
        response = await client.post("/classify", content=body, headers={"content-type": "application/json"})
        refused(response, response.status_code)
        assert response.status_code in (400, 422)
        assert client.service.metrics.batch_tokens._sum.get() == forwards


async def test_a_problem_repeats_no_text(kinds):
    async with serve(kinds["mood"]) as client:
        for body in ({"model": "mood", "input": ["fine", ["my secret"]]}, {"model": "mood", "input": {"my secret": 1}}):
            response = await client.post("/classify", json=body)
            refused(response, 422)
            assert "secret" not in response.text


async def test_what_is_not_json_is_told_so(kinds):
    async with serve(kinds["mood"]) as client:
        refused(await client.post("/classify", content='{"model":"mood","input":"a"}'), 422, "Content-Type: application/json")


async def test_other_paths_and_methods_are_problems_too(kinds):
    async with serve(kinds["mood"]) as client:
        for path in ("/nope", "/classify/", "/page/../app.py", "/page/app.py", "/page/%2e%2e%2fapp.py", "/docs"):
            refused(await client.get(path), 404)
        assert refused(await client.get("/classify"), 405)
        assert (await client.put("/classify")).headers["allow"] == "POST"


async def test_limits_on_texts_characters_and_bytes(kinds):
    async with serve(kinds["mood"], max_texts=3, max_characters=10, max_body_bytes=200, max_queue=6) as client:
        assert (await client.classify("mood", ["a" * 10] * 3)).status_code == 200
        refused(await client.classify("mood", ["a"] * 4), 413, "3 texts", "4")
        refused(await client.classify("mood", "a" * 11), 413, "10 characters", "11")
        refused(await client.classify("mood", ["a" * 300]), 413, "200 bytes")

        async def streamed():
            yield b'{"model":"mood",'
            for _ in range(100):
                yield b" " * 10

        refused(await client.post("/classify", content=streamed()), 413, "200 bytes")


async def test_models_are_listed_described_loaded_and_unloaded(kinds, tmp_path):
    async with serve(kinds["mood"], allow_folders=True) as client:
        listed = (await client.get("/v1/models")).json()
        assert [model["id"] for model in listed["data"]] == ["mood"]
        refused(await client.classify("extra", "a"), 404)
        body = {"model": "extra", "folder": str(kinds["topic"])}
        assert (await client.post("/v1/models", json=body)).status_code == 201
        assert (await client.post("/v1/models", json=body)).status_code == 200
        assert (await client.classify("extra", "a")).json()["labels"] == KINDS["topic"][0]
        details = (await client.get("/v1/models/extra")).json()
        assert (details["labels"], details["max_length"], details["pairs"]) == (KINDS["topic"][0], 32, False)
        refused(await client.post("/v1/models", json={"model": "mood", "folder": str(kinds["tone"])}), 409, "taken")
        assert (await client.delete("/v1/models/extra")).status_code == 204
        refused(await client.delete("/v1/models/extra"), 404)
        refused(await client.classify("extra", "a"), 404)
        refused(await client.get("/v1/models/extra"), 404)
        refused(await client.post("/v1/models", json={"model": "gone", "folder": str(tmp_path / "no")}), 404)
        refused(await client.classify("gone", "a"), 404)


@pytest.mark.parametrize("damaged", ["lorabert.json", "entry.json"])
async def test_a_damaged_adapter_in_a_store_is_refused_and_the_others_are_served(kinds, tmp_path, damaged, caplog):
    store = Store(tmp_path / "store")
    broken, _ = store.add(kinds["tone"], "broken"), store.add(kinds["mood"], "mood")
    folder = store.folder(broken) if damaged == "lorabert.json" else next(store.root.glob("**/broken/1"))
    (folder / damaged).write_text("{}")
    async with serve(store.root) as client:
        assert (await client.classify("mood", "a")).status_code == 200
        refused(await client.classify("broken", "a"), 409, "broken@1")
        assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["mood@1"]
    if damaged == "lorabert.json":
        assert "broken@1" in caplog.text


async def test_folders_are_not_loaded_by_request_unless_allowed(kinds):
    async with serve(kinds["mood"]) as client:
        body = {"model": "extra", "folder": str(kinds["topic"])}
        refused(await client.post("/v1/models", json=body), 403, "--allow_folders")


async def test_with_a_token_only_the_page_and_the_probes_are_open(kinds):
    async with serve(kinds["mood"], token="öpen-sesame".replace("ö", "o")) as client:
        for path in ("/", "/page/page.js", "/health", "/ready", "/openapi.json"):
            assert (await client.get(path)).status_code == 200
        asked = [("POST", "/classify"), ("GET", "/v1/models"), ("GET", "/v1/models/mood"), ("POST", "/v1/models"),
                 ("DELETE", "/v1/models/mood"), ("GET", "/metrics"), ("GET", "/nope")]  # fmt: skip
        wrong = [{}, {"authorization": "Bearer wrong-one"}, {"authorization": "Bearer"}, {"authorization": "Basic open-sesame"},
                 {"authorization": "open-sesame"}, {"authorization": "Bearer open-sesame2"},
                 {"authorization": b"Bearer \xf6pen-sesame"}]  # fmt: skip
        for method, path in asked:
            for headers in wrong:
                response = await client.request(method, path, headers=headers)
                refused(response, 401)
                assert response.headers["www-authenticate"] == "Bearer"
        right = {"authorization": "bearer open-sesame"}
        assert (await client.classify("mood", "a", headers=right)).status_code == 200
        assert (await client.delete("/v1/models/mood", headers=right)).status_code == 204


async def test_without_a_token_management_is_for_this_machine_alone(kinds):
    def attempts():
        yield {"x-forwarded-for": "203.0.113.9"}
        yield {"forwarded": "for=203.0.113.9"}
        yield {"via": "1.1 proxy"}

    async with serve(kinds["mood"]) as client:
        for headers in attempts():
            refused(await client.delete("/v1/models/mood", headers=headers), 403)
            assert (await client.classify("mood", "a", headers=headers)).status_code == 200
        assert (await client.delete("/v1/models/mood")).status_code == 204
    async with serve(kinds["mood"], host="0.0.0.0") as client:
        refused(await client.delete("/v1/models/mood"), 403, "LORABERT_TOKEN")


async def test_metrics_count_by_adapter_and_code_and_a_client_invents_no_series(kinds):
    async with serve(kinds["mood"], kinds["topic"]) as client:
        for number in range(20):
            await client.classify(f"invented-{number}", "a")
        await client.classify("mood", ["a", "b"])
        await client.classify("topic", 5)
        page = (await client.get("/metrics")).text
    samples = {(sample.name, *sorted(sample.labels.items())): sample.value
               for family in text_string_to_metric_families(page) for sample in family.samples}  # fmt: skip
    assert "invented" not in page
    assert samples["lorabert_requests_total", ("code", "404"), ("model", "unknown")] == 20
    assert samples["lorabert_requests_total", ("code", "200"), ("model", "mood")] == 1
    assert samples["lorabert_requests_total", ("code", "422"), ("model", "unknown")] == 1
    assert samples["lorabert_texts_total", ("model", "mood")] == 2
    assert samples["lorabert_request_seconds_count",] == 22
    assert samples["lorabert_adapters_loaded",] == 2
    assert samples["lorabert_queue_texts",] == 0


async def test_the_log_has_a_json_line_a_request_and_never_a_text(kinds, capsys):
    async with serve(kinds["mood"], access_log=True) as client:
        await client.classify("mood", ["my secret", "another"])
        await client.get("/v1/models?token=my-secret")
        await client.get("/%22%0A%7B%22status%22:%20200%7D")
        await client.get("/" + "long" * 500)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(lines) == 4
    assert all({"method", "path", "model", "n", "tokens", "ms", "status"} <= line.keys() for line in lines)
    assert [line["status"] for line in lines] == [200, 200, 404, 404]
    assert (lines[0]["model"], lines[0]["n"]) == ("mood", 2)
    assert lines[0]["tokens"] > 2
    assert "secret" not in json.dumps(lines)
    assert len(lines[3]["path"]) <= 200
