"""A server's mixed batches against each adapter alone, loaded by PEFT."""

import asyncio

import numpy as np
import pytest

import serving
import tiny
from lorabert.shipping import adapters
from tolerances import FP32_LOGITS_OF_FRESH_BASES

pytestmark = pytest.mark.anyio
TEXTS = [*tiny.reviews(14, 3)[0], "", "word " * 60]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra"])
async def test_a_mixed_batch_gives_each_row_what_its_adapter_alone_gives(base_folder, tmp_path, family):
    targets = {"query": "q_lin", "dense": "out_lin"} if family == "distilbert" else {}
    kinds = {
        name: (labels, {key: [targets.get(each, each) for each in value] if isinstance(value, list) else value
                        for key, value in lora.items()})
        for name, (labels, lora) in serving.KINDS.items()
    }  # fmt: skip
    folders = {
        name: serving.save_adapter(tmp_path / name, base_folder(family), labels, seed=seed, **lora)
        for seed, (name, (labels, lora)) in enumerate(kinds.items())
    }
    alone = {name: adapters.load(folder)[0].logits(TEXTS) for name, folder in folders.items()}
    mixed, batches = await _through_the_server(folders)
    assert max(batches) > 1, "different adapters never met in one forward"
    for name, wanted in alone.items():
        np.testing.assert_allclose(mixed[name], wanted, atol=FP32_LOGITS_OF_FRESH_BASES * max(1, np.abs(wanted).max()), rtol=0)
    # The control: adapters differ by far more than that, and one text from another.
    mood, topic = alone["mood"], alone["topic"][:, :2]
    assert np.abs(mood - topic).max() > 1e-2
    assert np.abs(mood[0] - mood[1]).max() > 1e-3


async def _through_the_server(folders):
    """Logits of every text by adapter when all ask at once, and how many adapters met in each forward."""
    async with serving.serve(*folders.values()) as client:
        seen, batches = {name: [None] * len(TEXTS) for name in folders}, []
        scheduler = client.service.scheduler
        answer = scheduler._answer

        def watched(requests):
            batches.append(len({id(adapter) for adapter, _ in requests}))
            return answer(requests)

        scheduler._answer = watched

        async def ask(name, row):
            served = await client.service.registry.get(name)
            logits, _ = await client.service._logits(f"client {row % 3}", served, [TEXTS[row]], None)
            seen[name][row] = logits[0]

        with client.hold():
            asked = [asyncio.ensure_future(ask(name, row)) for row in range(len(TEXTS)) for name in folders]
            await asyncio.sleep(0.5)
        await asyncio.gather(*asked)
    return {name: np.stack(rows) for name, rows in seen.items()}, batches
