"""The HTTP interface from its own OpenAPI document: whatever comes, a documented answer and never a 500."""

import asyncio
import threading

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings

from lorabert.shipping.serving.app import build
from lorabert.shipping.serving.settings import Settings
from lorabert.shipping.serving.starting import base_of, load_first, service_of, targets_of
from lorabert.shipping.store import Store

TOKEN = "a-token-of-tests"


@pytest.fixture(scope="module")
def address(kinds, tmp_path_factory):
    """A server on a loopback port, in a thread of this process."""
    store = Store(tmp_path_factory.mktemp("fuzzed") / "store")
    for name, folder in kinds.items():
        store.add(folder, name)
    targets = targets_of([str(store.root)])
    options = Settings(token=TOKEN, allow_folders=True, access_log=False, timeout_seconds=10).resolved()
    service = service_of(targets, base_of(targets, None), options)
    asyncio.run(load_first(service, targets))
    server = uvicorn.Server(uvicorn.Config(build(service), port=0, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(60)
    assert not thread.is_alive()


def fuzz(address, examples):
    """Every operation of the document, with requests that follow it and requests that do not."""
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    for operation in (each.ok() for each in schema.get_all_operations()):
        check(operation, examples)


def check(operation, examples):
    strategies = [operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode]

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
    @given(case=strategies[0] | strategies[1])
    def answered(case):
        if case.method == "DELETE" and case.path_parameters:  # what is served stays so
            case.path_parameters["name"] = f"absent-{case.path_parameters['name']}"[:100]
        if case.path == "/classify" and isinstance(case.body, dict) and case.body.get("model") is None:
            case.body["model"] = "absent"  # several are served: which of them is no matter of form
        case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)

    answered()


def test_whatever_comes_gets_a_documented_answer(address):
    fuzz(address, 25)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thousands_of_requests_get_a_documented_answer(address):
    fuzz(address, 1000)
