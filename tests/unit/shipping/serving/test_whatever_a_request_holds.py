"""Whatever a request holds, and whatever its adapter has become: an answer or a refusal with its reason."""

import json
import shutil

import pytest

from lorabert.shipping.manifests import MANIFEST, sealed
from serving import serve, sign

pytestmark = pytest.mark.anyio
JSON = {"content-type": "application/json"}
DEEP = "[" * 100_000
HOLDS = {
    "a half of a surrogate pair": ('{"model":"mood","input":"\\ud800"}', {422}),
    "a half of one in a name": ('{"model":"\\ud800","input":"a"}', {404, 422}),
    "NUL": ('{"model":"mood","input":"a\\u0000b"}', {200}),
    "NUL in a name": ('{"model":"mo\\u0000od","input":"a"}', {404}),
    "nothing but spaces": ('{"model":"mood","input":"  "}', {200}),
    "no text at all": ('{"model":"mood","input":[]}', {422}),
    "numbers": ('{"model":"mood","input":[1,2.5]}', {422}),
    "a number": ('{"model":"mood","input":7}', {422}),
    "true": ('{"model":"mood","input":true}', {422}),
    "NaN": ('{"model":"mood","input":NaN}', {422}),
    "Infinity in a key nobody knows": ('{"model":"mood","input":"a","x":-Infinity}', {422}),
    "5,000 digits": ('{"model":"mood","input":' + "1" * 5000 + "}", {400, 422}),
    "a key twice": ('{"model":"mood","model":"topic","input":"a"}', {422}),
    "the text twice": ('{"model":"mood","input":"a","input":"b"}', {422}),
    "a list 100,000 deep": (DEEP + "]" * 100_000, {400, 422}),
    "an input 100,000 deep": ('{"model":"mood","input":' + DEEP + "]" * 100_000 + "}", {400, 422}),
    "objects 50,000 deep": ('{"a":' * 50_000 + "1" + "}" * 50_000, {400, 422}),
    "half a million numbers": ('{"model":"mood","input":[' + "1," * 500_000 + "1]}", {422}),
    "a million texts": ('{"model":"mood","input":[' + '"",' * 1_000_000 + '""]}', {413}),
    "100,000 pairs": ('{"model":"mood","input":[' + '["",""],' * 100_000 + '["",""]]}', {413, 422}),
    "a byte order mark": (b"\xef\xbb\xbf" + b'{"model":"mood","input":"a"}', {200, 400, 422}),
    "UTF-16": ('{"model":"mood","input":"a"}'.encode("utf-16"), {200, 400, 422}),
}


async def test_an_answer_or_a_refusal_with_its_reason(kinds):
    async with serve(kinds["mood"], max_body_bytes=20_000_000) as client:
        for what, (body, statuses) in HOLDS.items():
            answer = await client.post("/classify", content=body, headers=JSON)
            assert answer.status_code in statuses, (what, answer.text[:500])
            if answer.status_code != 200:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["detail"]
                assert len(answer.content) < 3000
        assert (await client.classify("mood", "a film")).status_code == 200


async def test_a_long_text_within_the_limits_is_answered_as_its_beginning_is(kinds):
    text = "a wonderful film " * 120_000
    async with serve(kinds["mood"], max_body_bytes=30_000_000, max_characters=30_000_000) as client:
        for given in (text, "x" * 2_000_000):
            long = await client.classify("mood", given)
            assert long.status_code == 200, long.text[:500]
            assert long.json()["usage"]["truncated_texts"] == (1 if " " in given else 0)
        begun = (await client.classify("mood", text[:1000])).json()["data"]
        assert (await client.classify("mood", text)).json()["data"] == begun


async def test_a_tokenizer_or_a_forward_that_fails_is_a_refusal(kinds):
    class Panic(BaseException):
        pass

    async with serve(kinds["mood"]) as client:
        served = await client.service.registry.get("mood")
        tokenizer, answer = served.tokenizer, client.service.scheduler._answer

        def fails(*_, **__):
            raise Panic

        object.__setattr__(served, "tokenizer", fails)
        refused = await client.classify("mood", "a film")
        assert (refused.status_code, "tokenizer" in refused.json()["detail"]) == (422, True)
        object.__setattr__(served, "tokenizer", tokenizer)

        def beyond(_):
            raise IndexError("index out of range in self")

        client.service.scheduler._answer = beyond
        refused = await client.classify("mood", "a film")
        assert (refused.status_code, "IndexError" in refused.json()["detail"]) == (409, True)
        client.service.scheduler._answer = answer
        assert (await client.classify("mood", "a film")).status_code == 200


async def test_ids_beyond_the_vocabulary_are_refused_when_the_adapter_is_read(kinds, tmp_path):
    folder = shutil.copytree(kinds["mood"], tmp_path / "beyond")
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    word = next(word for word in tokenizer["model"]["vocab"] if word.isalpha())
    tokenizer["model"]["vocab"][word] = 10**6
    file.write_text(json.dumps(tokenizer))
    assert sign(folder)
    async with serve(kinds["mood"], allow_folders=True) as client:
        refused = await client.post("/v1/models", json={"model": "beyond", "folder": str(folder)})
        assert refused.status_code in (409, 422)
        assert (await client.classify("mood", "a film")).status_code == 200


async def test_a_manifest_that_lacks_something_is_a_refusal_on_every_path(kinds, tmp_path):
    odd = shutil.copytree(kinds["topic"], tmp_path / "odd")
    manifest = json.loads((odd / MANIFEST).read_bytes())
    async with serve(kinds["mood"], allow_folders=True) as client:
        catalogue = client.service.registry.catalogue
        catalogue.admit(catalogue.candidate("odd", odd))
        for key in ("labels", "max_length", "fingerprint", "base", "files", "data"):
            for value in (None, [], "x", -5):
                (odd / MANIFEST).write_bytes(sealed(manifest | {key: value}))
                answers = [await client.get("/v1/models"), await client.get("/v1/models/odd"), await client.classify("odd", "a"),
                           await client.post("/v1/models", json={"model": "odd", "folder": str(odd)})]  # fmt: skip
                assert all(answer.status_code < 500 for answer in answers), (key, value, [answer.text for answer in answers])
        assert (await client.classify("mood", "a film")).status_code == 200


async def test_a_folder_that_cannot_be_read_is_a_refusal(kinds):
    async with serve(kinds["mood"], allow_folders=True) as client:
        for folder in ("/" + "x" * 4000, "a\x00b", "/proc/self/mem", "/dev/zero", "/root/none", "", "."):
            refused = await client.post("/v1/models", json={"model": "extra", "folder": folder})
            assert refused.status_code in (404, 409, 422, 503), folder
            assert refused.json()["detail"]


async def test_a_disk_that_fails_is_503_and_the_server_lives_on(kinds, monkeypatch):
    async with serve(kinds["mood"]) as client:

        def fails(*_):
            raise PermissionError(13, "Permission denied")

        with monkeypatch.context() as patch:
            patch.setattr(client.service.registry.catalogue, "_place", fails)
            for answer in (await client.classify("other", "a"), await client.get("/v1/models/other")):
                assert answer.status_code == 503
                assert "Permission denied" in answer.json()["detail"]
        assert (await client.classify("mood", "a film")).status_code == 200
