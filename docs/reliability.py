"""Make docs/reliability.md from the records in docs/records/reliability/: python docs/reliability.py. A test keeps them together.

A record is what a long suite left (tests/reliability.py writes it); what it attacks, and which promise, stands here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "docs" / "records" / "reliability"
PAGE = ROOT / "docs" / "reliability.md"
Document = dict[str, Any]


class Suite(NamedTuple):
    """What a suite is about.

    Attributes:
        title: of its section.
        promise: what is promised, as a sentence.
        attack: what is done to it.
        held: what must be true of every case.
        untried: what it leaves out.
    """

    title: str
    promise: str
    attack: str
    held: str
    untried: str = ""


SUITES = {
    "kill": Suite(
        "Killed at any moment",
        "What was said to be saved is not lost: the same command, with `--resume` for `train`, goes on and ends as if nothing "
        "had happened.",
        "`train`, `compare`, `sweep`, `store add`, `export` and `data fetch`, each a process of its own, are ended by SIGKILL at "
        "a random moment of their undisturbed time, and then given again as the docs say.",
        "The adapter's weights are bit-identical to the undisturbed run's (CPU, fp32), an export's files and an asset's too; "
        "nothing that looks complete is not; no lock and no partial file keeps the next start from its work, and none is left.",
        "`compare`, `sweep` and the reference engine beyond 40 moments. A power cut, which loses what the system had not yet "
        "written: files are flushed before they are moved to their places, but only a kill of the process is simulated.",
    ),
    "interrupts": Suite(
        "Interrupted at any moment",
        "Ctrl-C and SIGTERM end a command in order: one line, exit 130, what was begun undone, what was finished kept.",
        "Each command gets Ctrl-C, two of them some milliseconds apart, or SIGTERM at a random moment of its undisturbed time. "
        "`evaluate` and `predict` are whole processes, struck from the interpreter's start to its end, their imports included; "
        "the others have everything imported and are struck from their first line on.",
        "Exit 130 and one line, or exit 0 where the work was done; no traceback, no abort; with `--json` one document; no lock, "
        "no partial file and no manifest that promises more than there is; the same command, with `--resume` for `train`, then "
        "ends as usual.",
        "The milliseconds in which Python itself begins, before a line of ours: its own traceback or the signal's death is left "
        "as it is, and counted as `met while Python began`. `serve`, whose signals have tests of their own; Ray; a second Ctrl-C "
        "a second later, which ends the process at once and has a test alone.",
    ),
    "process": Suite(
        "A process in odd surroundings",
        "A command gives its answer, or says in one paragraph why it cannot, whatever surrounds its process.",
        "Every command, for people and with `--json`, with stdin, stdout or stderr closed, full or left by their reader; without "
        "HOME, with homes, caches and temporary folders that are missing, files, or cannot be written; in a folder that was "
        "removed or cannot be written; with 64 open files, with files of 2 KiB at most; with screens of one column, ten, or an "
        "absurd number; without TERM, PATH and the locale.",
        "Exit 0 with the answer, or exit 2 and one paragraph; no traceback; no exit 0 where the answer was lost; with `--json` "
        "one document.",
        "Other encodings than those that tests/e2e/test_any_character.py has; limits on memory and processor time; `serve`.",
    ),
    "disk": Suite(
        "A disk that fails",
        "A full, read-only or vanishing disk costs the work since the last checkpoint at most, and is said in one paragraph.",
        "Every file that Python opens for writing, every rename, removal and folder of `train` and `store add` below the "
        "user's folder is counted by an audit hook, and refused from a random one on with ENOSPC, EDQUOT, EROFS or EIO.",
        "Exit 2 and one paragraph, no traceback; nothing that was complete before is touched; the same command ends with the "
        "undisturbed run's weights once the disk is well again.",
        "What safetensors, PyTorch and SQLite write by code of their own, and a refused flush; slow disks; `export`, which has "
        "had three cases; disks that lie, saying that a write was done: hashes find those when a folder is loaded.",
    ),
    "network": Suite(
        "A network that fails",
        "A hub or a package index that fails costs a clear error or a completed retry, and never a spoilt cache.",
        "A hub and a package index on loopback answer slowly, cut an answer in the middle, answer 401, 403, 404, 429 with "
        "Retry-After, 500, redirect, or send other bytes of the right length, for one request or for all.",
        "Exit 0 with the right bytes, or exit 2 and one paragraph; when the network is well again the same command works, with "
        "the cache that the fault left.",
        "A first download that broke off and is then used offline; proxies, TLS that fails, and the hub's Xet storage.",
    ),
    "hostile": Suite(
        "Artefacts that someone made to harm",
        "An adapter, an export or a base is numbers and text, never code: what is wrong with it is refused in words.",
        "Adapters, exports and bases are mutated at random (fields, types, numbers, bytes, files that are links or pipes), their "
        "hashes are made anew to match, and they are loaded; so are the records of runs, comparisons and sweeps, and stores, and "
        "the verbs that read them are called.",
        "Refused with a reason, or answering as recorded; no traceback, no hang, no code run, no connection, no process started, "
        "no memory beyond a bound.",
        "Data files and requests to the server, which have tests of their own and are not drawn by this suite; the operations "
        "inside an ONNX graph; the checkpoints of the reference engine.",
    ),
    "arguments": Suite(
        "Anything where something else belongs",
        "Whatever a command is given instead of what it takes, it does what was meant, or says what it got and how to go on.",
        "Every option and argument of every verb, as the parsers list them, gets files, folders, runs, adapters, exports, "
        "stores, studies and bases where others belong, empty, binary, misnamed and twice packed files, links to nothing, pipes, "
        "devices, near names, URLs, numbers out of range or in other spellings, lists, empty words; options stand twice, have no "
        "value, are misspelt or another verb's. Cases are drawn from all of these, in a process whose connections are refused.",
        "Exit 0, or exit 2 and one paragraph that names the option or what it was given and says what to do; no traceback, no "
        "connection, nothing made or changed by a command that was refused, an end within a minute, and nothing said that is not "
        "so, such as that a path is not there that is.",
        "Most of the cases: as many are drawn as there is time for. Two wrong arguments at once; whether a command that ended "
        "with exit 0 did what was meant; the server's life after its start; the shared options anywhere but with `train`; "
        "Windows' own names.",
    ),
    "long": Suite(
        "A long time",
        "A process that goes on for long takes no more memory and opens no more files than one that has begun.",
        "`train` again and again in one process; a server that is asked for twice what it can answer by a client that does not "
        "wait.",
        "The 95% interval of the growth of the resident size and of open descriptors, after the first quarter, does not lie "
        "above 64 KiB a run, 256 KiB a minute of serving, and a descriptor in a hundred runs or in ten minutes; whatever "
        "was asked got an answer.",
        "Days; a GPU's memory; clients that are slow for an hour.",
    ),
}


def page(records: dict[str, Document]) -> str:
    """The whole page, from records by their names."""
    strange = sorted(set(records) - set(SUITES))
    if strange:
        raise KeyError(f"docs/reliability.py does not say what {', '.join(strange)} is about")
    shown = [(SUITES[name], records[name]) for name in SUITES if name in records]
    head = (
        "# Reliability\n\nWhat is promised, what was attacked, how often, and what held. Made by `python docs/reliability.py` "
        "from the records in `docs/records/reliability/`, which the long suites of `tests/` leave; every command below makes its "
        "numbers anew with `LORABERT_RELIABILITY=docs/records/reliability` set, and a short version of each is in every "
        "`pytest`. A command that an attack names and its table lacks has only had the short version so far.\n"
    )
    parts = [head, _table(shown), *(_section(suite, record) for suite, record in shown), _limits(shown)]
    return "\n".join(part for part in parts if part)


def read(folder: Path = RECORDS) -> dict[str, Document]:
    """The records in a folder, by their names."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}


def _table(shown: list[tuple[Suite, Document]]) -> str:
    rows = [
        [suite.title, f"{record['cases']:,}", f"{sum(record['outcomes'].values()):,}", f"{len(record['failures']):,}"]
        for suite, record in shown
    ]
    return _markdown(["attack", "cases", "held", "failed"], rows) if rows else "No suite has left its record yet.\n"


def _section(suite: Suite, record: Document) -> str:
    rows = [_part(name, part) for name, part in record["parts"].items()]
    figures = [f"- {what}: {value}" for part in record["parts"].values() for what, value in part["figures"].items()]
    failures = [f"- failed: {line}" for line in record["failures"]]
    lists = "\n".join([*figures, *failures])
    commands = list(dict.fromkeys(part["command"] for part in record["parts"].values()))
    return "\n".join([
        f"## {suite.title}\n",
        f"**Promised.** {suite.promise}\n",
        f"**Attacked.** {suite.attack}\n",
        f"**Held means.** {suite.held}\n",
        _markdown(["", "cases", "how they ended", "failed", "seconds", "commit", "date"], rows),
        *([f"{lists}\n"] if lists else []),
        f"{'; '.join(dict.fromkeys(part['machine'] for part in record['parts'].values()))}.\n",
        "```\n" + "\n".join(commands) + "\n```\n",
    ])  # fmt: skip


def _part(name: str, part: Document) -> list[str]:
    ended = ", ".join(f"{count:,} {outcome}" for outcome, count in part["outcomes"].items()) or "-"
    commit = part["commit"] + (" and changes" if part["dirty"] else "")
    return [name, f"{part['cases']:,}", ended, f"{len(part['failures']):,}", f"{part['seconds']:,.0f}", commit, part["date"]]


def _limits(shown: list[tuple[Suite, Document]]) -> str:
    lines = [f"- {suite.title}: {suite.untried}" for suite, _ in shown if suite.untried]
    return "\n".join([
        "## What was not tried\n",
        "- Windows and macOS: every suite ran on Linux alone, although nothing in them is meant to be Linux's.",
        "- Network file systems: locks are the operating system's, and are as good as the file system's; where it has none, the "
        "store says so.",
        *lines,
        "",
    ])  # fmt: skip


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(read()), encoding="utf-8")
