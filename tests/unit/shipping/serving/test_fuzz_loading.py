"""Damaged and hostile adapter folders: refused or loaded, never a crash, a hang or a server that stops.

Half of them are signed anew, as somebody would who wants them in: hashes alone do not stop those.
"""

import asyncio
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lorabert.shipping.manifests import MANIFEST, sealed
from serving import serve, sign

pytestmark = pytest.mark.anyio
WEIGHTS = "adapter_model.safetensors"
STRANGE = [None, True, -1, 0, 1, 2**70, 1.5, "", "text", "\ud800", "../../etc/passwd", [], [1], ["a"] * 9, {}, {"a": {"b": []}}]


def flip_a_bit(rng, file):
    content = bytearray(file.read_bytes())
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(bytes(content))


def truncate(rng, file):
    file.write_bytes(file.read_bytes()[: rng.randrange(file.stat().st_size + 1)])


def append(rng, file):
    file.write_bytes(file.read_bytes() + rng.randbytes(rng.randrange(1, 64)))


def remove(rng, file):
    file.unlink()


def swap(rng, file):
    other = rng.choice([each for each in file.parent.iterdir() if each != file])
    content = file.read_bytes()
    file.write_bytes(other.read_bytes())
    other.write_bytes(content)


def nonsense(rng, file):
    file.write_bytes(
        rng.choice([b"", b"{}", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1e999}', rng.randbytes(99)])
    )


def change_json(rng, file):
    """One value, somewhere in a JSON file, becomes strange or goes away."""
    file = rng.choice([each for each in file.parent.iterdir() if each.suffix == ".json"])
    document = json.loads(file.read_text(encoding="utf-8"))
    place = document
    while isinstance(place, (dict, list)) and place:
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        if not isinstance(place[key], (dict, list)) or not place[key] or rng.random() < 0.4:
            if rng.random() < 0.3:
                del place[key]
            else:
                place[key] = rng.choice(STRANGE)
            break
        place = place[key]
    file.write_bytes(json.dumps(document).encode())


def change_tensors(rng, file):
    """One tensor is dropped, renamed, reshaped, cast or filled with what is no number."""
    file = file.parent / WEIGHTS
    tensors = load_file(file)
    name = rng.choice(list(tensors))
    tensor = tensors.pop(name)
    changed = rng.choice([None, tensor[:-1], tensor[..., :-1], tensor.T.copy(), tensor[None], tensor.reshape(-1), tensor[:0],
                          tensor.astype(np.int8), tensor.astype(np.float16), np.full_like(tensor, np.nan),
                          np.full_like(tensor, 1e38), np.zeros((), np.float32)])  # fmt: skip
    if changed is not None:
        tensors[rng.choice([name, name, name, f"{name}.more", "../x", name.replace("query", "nothing")])] = changed.copy()
    save_file(tensors, file)


DAMAGES = [flip_a_bit, truncate, append, remove, swap, nonsense, change_json, change_tensors]


def damage(rng: random.Random, folder: Path) -> str:
    kind = rng.choice(DAMAGES)
    file = rng.choice(sorted(each for each in folder.iterdir() if each.is_file()))
    kind(rng, file)
    signed = rng.random() < 0.5 and sign(folder)
    return f"{kind.__name__} {file.name}{' signed' if signed else ''}"


async def fuzz(kinds: dict[str, Path], cases: int, seed: int) -> dict[int, int]:
    """How often each status was the answer to loading, and then asking, a damaged adapter."""
    rng = random.Random(seed)
    counts: dict[int, int] = {}
    async with serve(kinds["mood"], allow_folders=True, timeout_seconds=60) as client:
        wanted = (await client.classify("mood", "a film")).json()["data"]
        for case in range(cases):
            folder = Path(f"case-{case}")
            shutil.copytree(kinds[rng.choice(list(kinds))], folder)
            what = damage(rng, folder)
            loaded = await client.post("/v1/models", json={"model": "damaged", "folder": str(folder)})
            assert loaded.status_code in (201, 404, 409, 422), (case, what, loaded.text)
            counts[loaded.status_code] = counts.get(loaded.status_code, 0) + 1
            if loaded.status_code == 201:
                answer = await client.classify("damaged", ["a film", "", "word " * 60])
                assert answer.status_code in (200, 409, 422), (case, what, answer.text)  # 422: it became one of pairs
                assert (await client.get("/v1/models/damaged")).status_code == 200, (case, what)
                assert (await client.delete("/v1/models/damaged")).status_code == 204
            shutil.rmtree(folder)
        assert (await client.classify("mood", "a film")).json()["data"] == wanted
        assert (await client.get("/health")).status_code == 200
    return counts


@pytest.mark.parametrize("length", [-1, 0, 2, 2**70])
async def test_a_length_that_holds_no_word_is_refused(kinds, length):
    folder = Path(shutil.copytree(kinds["mood"], "short"))
    manifest = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_bytes(sealed(manifest | {"max_length": length}))
    async with serve(kinds["mood"], allow_folders=True) as client:
        refused = await client.post("/v1/models", json={"model": "short", "folder": str(folder)})
        assert refused.status_code == 422, refused.text


def test_damaged_folders_are_refused_or_loaded(kinds):
    counts = asyncio.run(fuzz(kinds, 100, seed=1))
    assert counts[409] > 20  # hashes
    assert counts.get(422, 0) > 0  # signed anew, and still refused


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_thousands_of_damaged_folders_are_refused_or_loaded(kinds):
    counts = asyncio.run(fuzz(kinds, 4000, seed=2))
    assert min(counts[201], counts[409], counts[422]) > 50
