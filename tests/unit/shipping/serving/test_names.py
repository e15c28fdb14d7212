"""What adapters may be called: every name that is taken can be asked for, in the body and in the path, and others are refused."""

import unicodedata
from urllib.parse import quote

import pytest

from lorabert.errors import InputError
from lorabert.shipping.serving.starting import targets_of
from lorabert.shipping.store import Store
from serving import save_adapter, serve

pytestmark = pytest.mark.anyio
COMPOSED, APART = "caf\u00e9", "cafe\u0301"
TAKEN = ["a/b", "acme/mood/v2", "two words", "100%", "50%25", "a%2Fb", "what?", "#1", "a+b", "a&b", "a\\b", "'\"<b>",
         COMPOSED, "映画", "Mood", "mood", ".hidden", "a..b", "...", "x" * 200, "😀" * 200]  # fmt: skip
REFUSED = [
           "", ".", "..", "../mood", "a/../b", "a/./b", "/a", "a/", "a//b", "/", " a", "a ", " ", "a\nb", "a\tb", "a\x00b",
           "\x7f", "a\u202eb", "a\u200bb", "a\u00a0b", "\ufeffa", "\ud800", "emotion@1", "@", "x" * 201, "é" * 201]  # fmt: skip


async def test_every_name_that_is_taken_can_be_asked_for(kinds):
    async with serve(*(f"{name}={kinds['mood']}" for name in TAKEN)) as client:
        assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == TAKEN
        for name in TAKEN:
            answer = await client.classify(name, "a film")
            assert (answer.status_code, answer.json()["model"]) == (200, name)
            for path in (quote(name, safe=""), quote(name)):
                if name != "...":
                    described = await client.get(f"/v1/models/{path}")
                    assert (described.status_code, described.json()["id"]) == (200, name)
            assert (await client.head(f"/v1/models/{quote(name, safe='')}")).status_code == 200
        for name in TAKEN:
            assert (await client.delete(f"/v1/models/{quote(name, safe='')}")).status_code == 204
        assert (await client.get("/v1/models")).json()["data"] == []


async def test_an_accent_composed_or_apart_is_one_name(kinds):
    assert unicodedata.normalize("NFD", COMPOSED) == APART
    async with serve(f"{APART}={kinds['mood']}") as client:
        for name in (COMPOSED, APART):
            assert (await client.classify(name, "a")).json()["model"] == COMPOSED
            assert (await client.get(f"/v1/models/{quote(name)}")).json()["id"] == COMPOSED
    with pytest.raises(InputError, match="Two adapters"):
        targets_of([f"{COMPOSED}={kinds['mood']}", f"{APART}={kinds['topic']}"])


@pytest.mark.parametrize("name", REFUSED)
async def test_other_names_are_refused_at_the_start_with_the_rule(kinds, name):
    with pytest.raises(InputError, match=r"printable.*'@'.*'\.\.'.*NAME=FOLDER"):
        targets_of([f"{name}={kinds['mood']}"])


async def test_other_names_are_refused_by_request_too(kinds):
    async with serve(kinds["mood"], allow_folders=True) as client:
        for name in REFUSED:
            if name != "\ud800":  # which no JSON library of Python sends
                answer = await client.post("/v1/models", json={"model": name, "folder": str(kinds["topic"])})
                assert answer.status_code == 422, (name, answer.text)
        assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["mood"]


@pytest.mark.parametrize("name", ["a folder's name", "a%20b?#"])
async def test_a_folder_s_own_name_is_held_to_the_same_rule(tiny_base, tmp_path, name):
    folder = save_adapter(tmp_path / name, tiny_base, ["no", "yes"])
    async with serve(folder) as client:
        assert (await client.classify(name, "a")).status_code == 200
    versioned = folder.rename(tmp_path / "emotion@1")
    with pytest.raises(InputError, match="NAME=FOLDER"):
        targets_of([str(versioned)])


@pytest.mark.parametrize("word", ["x" * 5000, "a\x00b", "name=" + "x" * 5000, "=", "name=", "name=a\x00b"])
async def test_what_no_path_can_be_is_refused(word):
    with pytest.raises(InputError, match="cannot be served"):
        targets_of([word])


async def test_a_name_belongs_to_one_store_or_folder(kinds, tmp_path):
    first, second = Store(tmp_path / "first"), Store(tmp_path / "second")
    first.add(kinds["mood"], "mood")
    second.add(kinds["topic"], "topic")
    assert len(targets_of([str(first.root), str(second.root), str(first.root)]).stores) == 2
    second.add(kinds["tone"], "mood")
    for words in ([first.root, second.root], [first.root, f"mood={kinds['tone']}"], [f"mood={kinds['tone']}", second.root]):
        with pytest.raises(InputError, match="Two adapters are called 'mood'"):
            targets_of(list(map(str, words)))


async def test_a_name_that_two_stores_come_to_hold_is_listed_once(kinds, tmp_path):
    first, second = Store(tmp_path / "first"), Store(tmp_path / "second")
    first.add(kinds["mood"], "mood")
    second.add(kinds["topic"], "topic")
    async with serve(first.root, second.root) as client:
        second.add(kinds["tone"], "mood")
        assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["mood@1", "topic@1"]
        assert (await client.classify("mood@1", "a")).json()["labels"] == ["sad", "glad"]


async def test_where_one_name_is_served_it_need_not_be_given(kinds, tiny_base, tmp_path):
    store = Store(tmp_path / "store")
    store.add(kinds["mood"], "mood")
    async with serve(store.root) as client:
        for body in ({"input": "a film"}, {"model": None, "input": "a film"}):
            answer = await client.post("/classify", json=body)
            assert (answer.status_code, answer.json()["model"]) == (200, "mood@1")
        store.add(save_adapter(tmp_path / "newer", tiny_base, ["blue", "green"], seed=9), "mood")
        client.service.registry._newest.clear()
        assert (await client.post("/classify", json={"input": "a film"})).json()["model"] == "mood@2"
        await client.delete("/v1/models/mood@2")
        await client.delete("/v1/models/mood@1")
        gone = await client.post("/classify", json={"input": "a film"})
        assert (gone.status_code, gone.headers["content-type"]) == (404, "application/problem+json")


async def test_where_several_names_are_served_the_refusal_lists_them(kinds):
    async with serve(*kinds.values()) as client:
        refused = await client.post("/classify", json={"input": "a film"})
        assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
        assert all(name in refused.json()["detail"] for name in kinds)
        await client.delete("/v1/models/tone")
        await client.delete("/v1/models/topic")
        assert (await client.post("/classify", json={"input": "a film"})).json()["model"] == "mood"
