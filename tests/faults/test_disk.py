"""A disk that refuses from some moment on: exit 2 in words, what was whole stays whole, and the same command ends it afterwards.

Every step of Python's that touches a disk is counted by an audit hook, and refused from a random one on. What the libraries write
by code of their own (safetensors, PyTorch) is not among them; the tests with a limit on a file's size are in tests/e2e.
"""

import errno
import random
import shutil
import sys

import pytest

import reliability
import tiny
from lorabert.shipping import manifests
from lorabert.shipping.store import Store

COMMAND = "pytest -n 0 -m slow tests/faults/test_disk.py"
TOUCHING = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.copyfile", "os.truncate"}
REFUSALS = {errno.ENOSPC: "No space left on device", errno.EDQUOT: "Disk quota exceeded", errno.EROFS: "Read-only file system",
            errno.EIO: "Input/output error"}  # fmt: skip
WEIGHTS = "adapter/adapter_model.safetensors"


class Disk:
    """Counts what touches a folder, and refuses it where it is told to; one for the process, as audit hooks stay for good."""

    def __init__(self):
        self.folder, self.count, self.first, self.number = None, 0, None, 0
        sys.addaudithook(self._audit)

    def _audit(self, event, arguments):
        if self.folder is None or event not in TOUCHING or not self._writes(event, arguments):
            return
        self.count += 1
        if self.first is not None and self.count > self.first:
            raise OSError(self.number, REFUSALS[self.number], arguments[0])

    def _writes(self, event, arguments):
        path = arguments[0]
        inside = isinstance(path, str) and (str(self.folder) in path or not path.startswith("/"))
        return inside and (event != "open" or any(letter in str(arguments[1]) for letter in "wax+"))

    def during(self, folder, action, first=None, number=0):
        """Do something while the disk is watched, or refuses after `first` touches; what came of it, and the touches."""
        self.folder, self.count, self.first, self.number = folder, 0, first, number
        try:
            return action(), self.count
        finally:
            self.folder = None


@pytest.fixture(scope="module")
def disk():
    return Disk()


@pytest.fixture(scope="module")
def commands(shell, here):
    """Each command, its place, and what is added when it is given again."""
    tiny.build_base(shell.folder / "base")
    texts, labels = tiny.reviews(60)
    tiny.write_csv(shell.folder / "d.csv", texts, labels)
    shared = ["--data.train", "d.csv", "--model.name", "base", "--model.max_length", "48", "--train.precision", "fp32",
              "--train.baselines", "false", "--train.num_train_epochs", "2"]  # fmt: skip
    assert here("train", *shared, "--out", "kept").code == 0
    return {
        "train": (["train", *shared, "--out", "run"], "run", ["--resume"]),
        "store add": (["store", "add", "kept", "--name", "kept", "--store", "store"], "store", []),
        "export": (["export", "kept", "--format", "merged", "--out", "plain"], "plain", []),
    }


def refuse_at_moments(shell, here, disk, commands, name, moments):
    words, place, again = commands[name]
    out = shell.folder / place
    shutil.rmtree(out, ignore_errors=True)
    done, touches = disk.during(shell.folder, lambda: here(*words))
    assert done.code == 0, done.err
    assert touches > 5, "the control: the disk is touched"
    whole, kept = made(out), made(shell.folder / "kept")
    tally, rng = reliability.Tally("disk", name), random.Random(f"{name} {moments}")
    for case in range(moments):
        shutil.rmtree(out, ignore_errors=True)
        first, number = rng.randrange(touches), rng.choice(sorted(REFUSALS))
        done, _ = disk.during(shell.folder, lambda f=first, n=number: here(*words), first, number)
        wrong = []
        if done.code not in (0, 2) or "Traceback" in done.err:
            wrong.append(f"exit {done.code}: {done.err[-300:]}")
        wrong += [] if made(shell.folder / "kept") == kept else ["what was whole was touched"]
        wrong += damaged(out)
        afterwards = here(*words, *again)
        if afterwards.code and not (name == "export" and "already holds something" in afterwards.err):
            wrong.append(f"afterwards exit {afterwards.code}: {afterwards.err[-300:]}")
        if made(out) != whole:
            wrong.append("afterwards it made something else")
        if wrong:
            tally.failures.append(f"{name}, case {case}, {REFUSALS[number]} after {first} touches: {'; '.join(wrong)}")
        else:
            tally.outcomes["refused, then completed" if done.code else "completed all the same"] += 1
    return tally


def made(folder):
    """The weights in a folder, by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*model.safetensors")
            if "checkpoints" not in path.parts}  # fmt: skip


def damaged(folder):
    """What claims to be whole and is not."""
    found = [
        manifest.parent for manifest in folder.rglob(manifests.MANIFEST) if "partial" not in str(manifest.relative_to(folder))
    ]
    kinds = (manifests.ADAPTER, manifests.EXPORT)
    wrong = [problem for place in found for problem in manifests.differences(place, manifests.manifest_of(place, kinds))]
    return wrong + (Store(folder).verify().problems if (folder / "store.json").exists() else [])


@pytest.mark.parametrize("name", ["train", "store add", "export"])
def test_a_disk_that_refuses_costs_nothing_that_was_whole(shell, here, disk, commands, name):
    tally = refuse_at_moments(shell, here, disk, commands, name, 3)
    assert tally.failures == []


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", ["train", "store add", "export"])
def test_a_disk_that_refuses_at_any_touch_costs_nothing_that_was_whole(shell, here, disk, commands, name):
    tally = refuse_at_moments(shell, here, disk, commands, name, 50)
    tally.save(COMMAND)
    assert tally.failures == []
