"""The command as a user runs it: a process of its own, in a folder of its own."""

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import forked
import tiny
from lorabert.cli import main


@dataclass
class Done:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@dataclass
class Shell:
    """Runs `lorabert` in a folder; the hub is unreachable unless the environment says otherwise."""

    folder: Path
    env: dict

    def popen(self, *argv, program=None, preexec_fn=None, befall=None):
        """Start the command; another program starts with an interpreter of its own, and so does whatever reaches a hub."""
        words = [str(word) for word in argv]
        if program is preexec_fn is None and "HF_ENDPOINT" not in self.env and forked.possible():
            return forked.Forked(words, cwd=self.folder, env=self.env, befall=befall)
        command = [sys.executable, *map(str, program or ("-m", "lorabert")), *words]
        return subprocess.Popen(command, cwd=self.folder, env=self.env, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=preexec_fn)  # fmt: skip

    def __call__(self, *argv, **options):
        process = self.popen(*argv, **options)
        out, err = process.communicate(timeout=500)
        return Done(process.returncode, out, err)


@dataclass
class Here:
    """Runs `lorabert` in this process, in a shell's folder: the same command without five seconds of imports."""

    shell: Shell

    def __call__(self, *argv):
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.shell.folder)
            for name in ("HF_HUB_OFFLINE", "HF_HOME", "LORABERT_CACHE"):
                patch.setenv(name, self.shell.env[name])
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            code = main([str(word) for word in argv])
        return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def here(shell):
    return Here(shell)


@pytest.fixture(scope="module")
def shell(tmp_path_factory, assets_cache):
    folder = tmp_path_factory.mktemp("user")
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "LORABERT_"))}
    env = keep | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "hf"),
        "LORABERT_CACHE": str(assets_cache),
        "LORABERT_KERNELS": os.environ["LORABERT_KERNELS"],  # this process and those it starts are compared bit for bit
        "OMP_NUM_THREADS": "1",
    }
    return Shell(folder, env)


@pytest.fixture(scope="module")
def workplace(shell):
    """A folder with a tiny base and a generated CSV, and the options that train on them in seconds."""
    tiny.build_base(shell.folder / "base")
    texts, labels = tiny.reviews(240, classes=3)
    names = ["bad", "fair", "good"]
    tiny.write_csv(shell.folder / "reviews.csv", texts, [names[label] for label in labels])
    return [
        "--data.train", "reviews.csv", "--model.name", "base", "--model.max_length", "64", "--train.learning_rate", "5e-3",
        "--train.recipe", "course",
    ]  # fmt: skip
