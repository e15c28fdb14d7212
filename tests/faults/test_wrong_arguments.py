"""Whatever is given where something else belongs: done rightly, or refused in a paragraph that names it and says how to go on.

Every option of every verb, as the parsers list them, with every kind of thing and of word (tests/wrong_arguments.py): some in
every run, drawn anew by their number when an option is added; all of them with -m slow, as many as there is time for.
"""

import json
import os
import random
import signal
import time

import pytest

import misplaced
import reliability
from command import Here
from lorabert.cli import VERBS
from misplaced import Walk
from wrong_arguments import cases, parser_of

COMMAND = "pytest -n 0 -m slow tests/faults/test_wrong_arguments.py"
QUICK = 60
SLOW_SECONDS = int(os.environ.get("LORABERT_SLOW_SECONDS", "3600"))

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGALRM") or not hasattr(os, "mkfifo"), reason="needs pipes and alarms")


@pytest.fixture(scope="module")
def walk(shell):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_HUB_OFFLINE", "HF_HOME", "LORABERT_CACHE"):
            patch.setenv(name, shell.env[name])
        patch.chdir(shell.folder)
        misplaced.build(shell.folder)
        misplaced.quick_server(patch)
        yield Walk(shell.folder, Here(shell))


def drawn(seed=0):
    """All cases in a random order."""
    found = cases()
    random.Random(seed).shuffle(found)
    return found


def told(case, problems, said):
    return f"{case}: {'; '.join(problems)}: {said.strip()[-400:]}"


def test_the_walk_reaches_every_option_of_every_verb():
    """Were a parser to hide its options, nothing would be tried, and nothing would fail."""
    found = cases()
    for verb in VERBS:
        options = {action.dest for action in parser_of(verb)._actions}
        reached = {case.option.lstrip("-").replace("-", "_") for case in found if case.verb == verb}
        assert {option for option in options if "." not in option} - {"help", "print_config", "config"} <= reached, verb
    assert len({(case.verb, case.words) for case in found}) > 15_000


def test_some_of_everything_that_can_be_given_wrongly_leaves_a_way_on(walk):
    judged = [(case, *walk.judged(case)) for case in drawn()[:QUICK]]
    assert [told(case, problems, said) for case, _, problems, said in judged if problems] == []
    assert {how for _, how, _, _ in judged} == {"completed", "refused"}


@pytest.mark.slow
@pytest.mark.timeout(2 * SLOW_SECONDS + 600)
def test_everything_that_can_be_given_wrongly_leaves_a_way_on(walk):
    found, tally = drawn(seed=1), reliability.Tally("arguments", "all verbs")
    ends = time.monotonic() + SLOW_SECONDS
    tried = 0
    for case in found:
        if time.monotonic() > ends:
            break
        how, problems, said = walk.judged(case)
        tried += 1
        if problems:
            tally.failures.append(told(case, problems, said))
        else:
            tally.outcomes[how] += 1
    tally.save(COMMAND, {"cases in the time there was": f"{tried:,} of {len(found):,}"})
    assert tally.failures == [], json.dumps(tally.failures, indent=1)
