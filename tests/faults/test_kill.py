"""Commands that are killed at random moments and given again end as if nothing had happened.

The long version, marked slow, kills each at 40 or 100 moments and leaves the record that docs/reliability.md is made from.
"""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import reliability
import tiny
from loopback_index import MEMBERS, LoopbackIndex
from lorabert.errors import InputError
from lorabert.shipping import manifests
from lorabert.shipping.store import Store

WEIGHTS = "adapter_model.safetensors"
FETCHING = Path(__file__).with_name("fetching.py")
COMMAND = "pytest -n 0 -m slow tests/faults/test_kill.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and forks as Linux has them")


@dataclass
class Victim:
    """A command that is to be killed.

    Attributes:
        words: the command.
        again: what is added to it when it is given again.
        place: what it makes, cleared before each case.
        seconds: of the undisturbed command.
        made: what the undisturbed command makes, by path.
        env: further variables; with them it is a program of its own, and no `lorabert`.
    """

    words: list[str]
    place: str
    again: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    made: dict[str, bytes] = field(default_factory=dict)


@pytest.fixture(scope="module")
def index():
    with LoopbackIndex() as serving:
        yield serving


@pytest.fixture(scope="module")
def victims(shell, here, index):
    """Each command, and what it needs."""
    tiny.build_base(shell.folder / "base")
    texts, labels = tiny.reviews(90)
    tiny.write_csv(shell.folder / "d.csv", texts, labels)
    shared = ["--data.train", "d.csv", "--model.name", "base", "--model.max_length", "48", "--train.learning_rate", "5e-3",
              "--train.precision", "fp32", "--train.device", "cpu", "--train.baselines", "false"]  # fmt: skip
    assert here("train", *shared, "--out", "kept").code == 0
    return {
        "train": Victim(["train", *shared, "--train.num_train_epochs", "4", "--out", "run"], "run", ("--resume",)),
        "train, reference engine": Victim(
            ["train", *shared, "--train.engine", "reference", "--train.num_train_epochs", "2", "--out", "run"],
            "run",
            ("--resume",),
        ),
        "compare": Victim(["compare", *shared, "--methods", "lora,head", "--seeds", "1", "--out", "study"], "study"),
        "sweep": Victim(["sweep", *shared, "--grid", "lora.r=2,4", "--out", "sweep"], "sweep"),
        "store add": Victim(["store", "add", "kept", "--name", "kept", "--store", "store"], "store"),
        "export": Victim(["export", "kept", "--format", "merged", "--out", "plain"], "plain"),
        "data fetch": Victim([index.sha256], "cache", env=index.environment(shell.folder / "cache")),
    }


def start(shell, victim, *more):
    if victim.env:
        return subprocess.Popen([sys.executable, str(FETCHING), *victim.words], cwd=shell.folder, env=victim.env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    return shell.popen(*victim.words, *more)


def clear(shell, victim):
    shutil.rmtree(shell.folder / victim.place, ignore_errors=True)


def bytes_made(folder):
    """The bytes that must be the same however often a command was killed: weights, an export's model, an asset's files."""
    wanted = [*folder.rglob(WEIGHTS), *folder.rglob("model.safetensors"), *folder.rglob("tiny_asset/data/*")]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in wanted
        if path.is_file() and "checkpoints" not in path.parts
    }


def looks_complete_and_is_not(folder):
    """What claims to be whole and is not: adapters, exports, records, results, a store, an asset."""
    whole = [path for path in folder.rglob("*") if not any(part.endswith("partial") for part in path.relative_to(folder).parts)]
    wrong = [problem for path in whole if path.name == manifests.MANIFEST for problem in problems_of(path.parent)]
    for path in whole:
        if path.suffix == ".json" and not path.name.startswith("."):
            record = json.loads(path.read_bytes())
            done = path.name == "run.json" and record["status"] == "done"
            if done and not (path.parent / "adapter" / manifests.MANIFEST).exists():
                wrong.append(f"{path} says done, and there is no adapter")
    if (folder / "store.json").exists():
        wrong += Store(folder).verify().problems
    if folder.name == "plain" and folder.exists() and not (folder / manifests.MANIFEST).exists():
        wrong.append("an export without its manifest")
    if any(path.name == ".tiny-asset.complete" for path in whole):
        made = bytes_made(folder).values()
        wrong += [name for name, content in MEMBERS.items() if "/data/" in name and content not in made]
    return wrong


def problems_of(folder):
    """What is wrong with a folder that has a manifest."""
    try:
        found = manifests.manifest_of(folder, (manifests.ADAPTER, manifests.EXPORT))
        return manifests.differences(folder, found)
    except InputError as error:
        return [str(error)]


def left_over(shell, victim):
    place = shell.folder / victim.place
    kept = [*place.rglob(".lock*"), *place.rglob("*.partial"), *place.rglob("partial"), *shell.folder.glob(".*.partial")]
    return [path for path in kept if path != shell.folder / "store" / ".lock"]  # the store's own stays


def attack(shell, victim, rng, tally, case):
    """Kill a command at a random moment, look at what is left, and give it again."""
    clear(shell, victim)
    moment = rng.uniform(0, victim.seconds)
    process = start(shell, victim)
    time.sleep(moment)
    process.kill()
    process.communicate(timeout=120)
    killed = process.returncode == -signal.SIGKILL
    wrong = looks_complete_and_is_not(shell.folder / victim.place)
    again = start(shell, victim, *victim.again)
    _, errors = again.communicate(timeout=300)
    # An export that was whole before it was struck is there, and is not made again.
    if again.returncode and not (victim.place == "plain" and "already holds something" in errors):
        wrong.append(f"given again it ends with {again.returncode}: {errors[-300:]}")
    if bytes_made(shell.folder / victim.place) != victim.made:
        wrong.append(f"it made something else: {sorted(bytes_made(shell.folder / victim.place))}")
    wrong += looks_complete_and_is_not(shell.folder / victim.place)
    wrong += [f"{path} was left" for path in left_over(shell, victim)]
    if wrong:
        tally.failures.append(f"{case}, after {moment:.3f} s: {'; '.join(map(str, wrong))}")
    else:
        tally.outcomes["resumed" if killed else "completed before the kill"] += 1


def kill_at_moments(shell, victims, name, moments):
    victim = victims[name]
    if not victim.made:
        clear(shell, victim)
        for _ in range(2):  # the second one finds everything imported
            clear(shell, victim)
            started = time.monotonic()
            process = start(shell, victim)
            _, errors = process.communicate(timeout=300)
            victim.seconds = time.monotonic() - started
            assert process.returncode == 0, errors
        victim.made = bytes_made(shell.folder / victim.place)
        assert victim.made
    tally, rng = reliability.Tally("kill", name), random.Random(f"{name} {moments}")
    for case in range(moments):
        attack(shell, victim, rng, tally, f"{name}, case {case}")
    return tally


# Those that take ten times as long as the others are struck less often.
FEWER = {"train, reference engine": 40, "compare": 40, "sweep": 40}
NAMES = ["train", "train, reference engine", "compare", "sweep", "store add", "export", "data fetch"]


@pytest.mark.parametrize("name", NAMES)
def test_a_kill_costs_nothing_that_was_saved(shell, victims, name):
    tally = kill_at_moments(shell, victims, name, 2)
    assert tally.failures == []


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", NAMES)
def test_many_kills_cost_nothing_that_was_saved(shell, victims, name):
    tally = kill_at_moments(shell, victims, name, FEWER.get(name, 100))
    tally.save(COMMAND, {f"{name}, seconds undisturbed": f"{victims[name].seconds:.1f}"})
    assert tally.failures == []
