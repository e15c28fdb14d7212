"""From the words of a command line or a study file to a plan; every word is checked before anything runs."""

from __future__ import annotations

import difflib
import functools
import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorabert import config, mistaken
from lorabert.config import DEFAULT_LEARNING_RATE, METHODS, RunConfig, options_parser
from lorabert.data.assets import ASSETS
from lorabert.data.tables import SUFFIXES, suffix_of
from lorabert.errors import InputError
from lorabert.evidence.metrics import METRICS
from lorabert.studies.comparison.plan import TUNING_SEED_OFFSET, Overrides, Plan, System, Task

# Every method gets the same number of rates, its default times these, and may try as many more beyond an end of them.
RATE_FACTORS = (0.4, 1.0, 2.0, 4.0)
MORE_RATES = 2
_MOST_SYSTEMS, _MOST_MORE = 1_000, 20
_LEAST_SIZE = 10
_TARGETS = ("data.name", "data.train")


def plan(
    settings: RunConfig,
    *,
    rate: float | None = None,
    methods: Any = METHODS,
    seeds: int = 5,
    tasks: Any = None,
    sizes: Any = None,
    vary: Sequence[str] = (),
    tune_rates: Any = None,
    more_rates: int | None = None,
    against: str | None = None,
    margin: float = 0.005,
    metric: str = "accuracy",
) -> Plan:
    """A plan from what was asked; words separated by commas or, from YAML, lists and mappings of names to options.

    Args:
        settings: what all runs share, resolved. Its seed is the first one; its split seed is that of all runs.
        rate: the learning rate that was asked for, None for each method's default.
        methods: names of methods, or a mapping of systems' names to their options.
        seeds: how many.
        tasks: assets, files or hub ids (`owner/name` or `owner/name:subset`), or a mapping of them to their options; the
            data of `settings` when None.
        sizes: numbers of labelled texts, each of which makes a task of every task; None for all texts there are.
        vary: `section.key=value,value`, any number of them.
        tune_rates: None not to tune; True for the default grid; rates for all methods, or a mapping of methods to rates.
        more_rates: how many may be tried beyond an end of the grid that is best so far; by default two beyond the default grid,
            and none beyond rates that were named.
        against: the system that the others are compared with; by default full, otherwise the first.
        margin: of equivalence, as a share: 0.005 is half a point.
        metric: accuracy, f1_macro or mcc, where a task does not name its own.

    Raises:
        InputError: a word that is not known, or words that do not go together.
    """
    _check_numbers(settings, seeds, margin)
    _one_of("metric", metric, METRICS)
    systems = _systems(methods, _variations(vary))
    rates = _rates(tune_rates, systems, rate)
    asked = Plan(
        settings=settings,
        rate=rate,
        systems=systems,
        tasks=_sized(_tasks(tasks, settings, metric), sizes, settings),
        seeds=tuple(range(settings.train.seed, settings.train.seed + seeds)),
        rates=rates,
        more_rates=_more(more_rates, tune_rates),
        against=_reference(against, systems),
        margin=margin,
    )
    for task, system in itertools.product(asked.tasks, asked.systems):
        if rates and "train.learning_rate" in task.overrides:
            raise InputError(f"The task '{task.name}' has a learning rate of its own", fix="Leave out --tune, or that rate")
        asked.run_config(task, system, asked.seeds[0])
    return asked


def _check_numbers(settings: RunConfig, seeds: int, margin: float) -> None:
    if not 1 <= seeds < TUNING_SEED_OFFSET:
        raise InputError("--seeds cannot be used", got=str(seeds), expected=f"from 1 to {TUNING_SEED_OFFSET - 1}; 5 is a start")
    if not settings.train.seed + seeds + TUNING_SEED_OFFSET < 2**32:
        raise InputError("--train.seed is too large to count on from", got=str(settings.train.seed))
    if not 0 < margin < 1:
        raise InputError("--margin is a share", got=f"{margin:g}", expected="such as 0.005 for half a point")
    if settings.train.method != METHODS[0]:
        raise InputError("--train.method has no say in a comparison", got=settings.train.method, fix="Use --methods")


def _one_of(what: str, name: str, known: Iterable[str]) -> None:
    known = list(known)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        raise InputError(f"There is no {what} '{name}'", expected=f"one of {', '.join(known)}",
                         fix=f"The nearest is '{near[0]}'" if near else "")  # fmt: skip


def _words(given: Any) -> list[str]:
    """What stands between the commas, outside of brackets; a list as it is."""
    if isinstance(given, str):
        return [word.strip() for word in re.split(r",(?![^\[]*\])", given) if word.strip()]
    if isinstance(given, (list, tuple)):
        return [word for item in given for word in (_words(item) if isinstance(item, str) else [_text(item)])]
    return [_text(given)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _typed(key: str, value: Any) -> Any:
    """The value of a configuration key, of the key's type.

    Raises:
        InputError: an unknown key, with the nearest one, or a value that it cannot take.
    """
    if "." not in key:
        raise InputError("Not a configuration key", got=f"'{key}'", expected="section.key, such as lora.r or train.learning_rate")
    return config.parse(_parser(), [f"--{key}={_text(value)}"])[key]


@functools.cache
def _parser() -> Any:
    return options_parser("lorabert compare", "", with_config=True)


def _options(given: Any, of: str) -> Overrides:
    """The checked options of one system or task."""
    if not isinstance(given, Mapping | None):
        raise InputError(f"The options of '{of}' cannot be read", got=repr(given), expected="section.key: value")
    options = {key: _typed(key, value) for key, value in (given or {}).items()}
    for key in ("train.seed", "train.baselines"):
        if key in options:
            raise InputError(f"'{of}' cannot have a {key} of its own", fix="A comparison sets it for all runs alike")
    return options


def _variations(vary: Sequence[str]) -> dict[str, list[Any]]:
    """Keys and the values that they are to take."""
    variations = {}
    for words in vary:
        key, equals, values = words.partition("=")
        if not key or not equals or not _words(values):
            raise InputError("--vary cannot be read", got=f"'{words}'", expected="section.key=value,value, such as lora.r=1,8")
        if key in ("train.seed", "train.method", "train.baselines"):
            raise InputError(f"{key} cannot be varied", fix="Use --seeds and --methods")
        variations[key] = [_typed(key, word) for word in _words(values)]
    return variations


def _systems(methods: Any, variations: dict[str, list[Any]]) -> tuple[System, ...]:
    """Methods x variations; LoRA's own options vary nothing where there is no LoRA."""
    named = dict(methods) if isinstance(methods, Mapping) else dict.fromkeys(_words(methods))
    systems: dict[str, System] = {}
    for name, given in named.items():
        options = _options(given, name)
        method = options.get("train.method", str(name).split()[0] if str(name).split() else "")
        _one_of("method", method, METHODS)
        varied = {key: values for key, values in variations.items() if method == "lora" or not _of_lora_alone(key)}
        if math.prod(map(len, varied.values())) > _MOST_SYSTEMS:
            raise InputError("--vary makes too many systems", got=f"{math.prod(map(len, varied.values())):,} of {name}",
                             expected=f"at most {_MOST_SYSTEMS:,}", fix="Vary fewer options, or give fewer values")  # fmt: skip
        for values in itertools.product(*varied.values()):
            chosen = dict(zip(varied, values, strict=True))
            full_name = " ".join([str(name), *(f"{_short(key, variations)}={_shown(value)}" for key, value in chosen.items())])
            systems[full_name] = System(full_name, {**options, "train.method": method, **chosen})
    if not systems:
        raise InputError("Nothing to compare", expected="--methods with some of " + ", ".join(METHODS))
    return tuple(systems.values())


def _of_lora_alone(key: str) -> bool:
    return key.startswith("lora.") and key != "lora.modules_to_save"


def _short(key: str, variations: Iterable[str]) -> str:
    """The key without its section, where no other varied key has the same name."""
    name = key.rpartition(".")[2]
    return name if sum(other.rpartition(".")[2] == name for other in variations) == 1 else key


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _tasks(tasks: Any, settings: RunConfig, metric: str) -> tuple[Task, ...]:
    if tasks is None:
        if not (settings.data.name or settings.data.train):
            raise InputError(
                "There is no task to compare on", fix="Name some with --tasks r8,reviews.csv, or one with --data.train"
            )
        return (Task(settings.data.name or Path(str(settings.data.train)).stem, {}, metric),)
    named = dict(tasks) if isinstance(tasks, Mapping) else dict.fromkeys(_words(tasks))
    found = [_task(str(name), given, metric) for name, given in named.items()]
    if not found:
        raise InputError("--tasks names no task", expected="assets, files or hub ids, separated by commas")
    twice = [task.name for task in found if sum(task.name == other.name for other in found) > 1]
    if twice:
        raise InputError("Two tasks have one name", got=twice[0], fix="Rename a file, or name the tasks in a study file")
    return tuple(found)


def _sized(tasks: tuple[Task, ...], sizes: Any, settings: RunConfig) -> tuple[Task, ...]:
    """Each task once for every number of labelled texts, from few to many.

    Raises:
        InputError: what is no number of texts.
    """
    if sizes is None:
        return tasks
    numbers = sorted({int(word) for word in _words(sizes) if word.isdecimal() and int(word[:12]) >= _LEAST_SIZE})
    if not numbers or len(numbers) < len(set(_words(sizes))):
        raise InputError("--sizes cannot be read", got=_shown(_words(sizes)),
                         expected=f"numbers of labelled texts from {_LEAST_SIZE} on, such as 50,200,1000")  # fmt: skip
    own: Overrides = {"data.name": settings.data.name, "data.subset": settings.data.subset, "data.train": settings.data.train}
    return tuple(
        Task(f"{task.name} {size}", {**own, **task.overrides, "data.train_limit": size}, task.metric)
        for task in tasks
        for size in numbers
    )


def _task(spec: str, given: Any, metric: str) -> Task:
    given = dict(given or {}) if isinstance(given, Mapping | None) else given
    own_metric = given.pop("metric", metric) if isinstance(given, dict) else metric
    _one_of("metric", own_metric, METRICS)
    options = _options(given, spec)
    if any(key in options for key in _TARGETS):
        blank: Overrides = dict.fromkeys(("data.name", "data.subset", "data.train"))
        return Task(spec, {**blank, **options}, own_metric)
    name, place = _place(spec)
    return Task(name, {**place, **options}, own_metric)


def _place(spec: str) -> tuple[str, Overrides]:
    """A task's name and where its data lie: an asset, a file, or a hub id with its subset behind a colon.

    Raises:
        InputError: none of these.
    """
    if spec in ASSETS:
        return spec, {"data.name": spec, "data.subset": None, "data.train": None}
    if suffix_of(spec) in SUFFIXES:
        return Path(spec).stem, {"data.name": None, "data.subset": None, "data.train": spec}
    known = [name for name, asset in ASSETS.items() if asset.kind == "data"]
    if mistaken.is_local(spec):
        raise InputError(f"There is no task '{spec}'", got=mistaken.kind_of(Path(spec)),
                         expected=f"an asset ({', '.join(known)}) or a file ({', '.join(SUFFIXES)})",
                         fix=mistaken.instead(Path(spec)))  # fmt: skip
    repository, _, subset = spec.partition(":")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        return spec, {"data.name": repository, "data.subset": subset or None, "data.train": None}
    near = difflib.get_close_matches(spec, known, n=1, cutoff=0.4)
    raise InputError(
        f"There is no task '{spec}'",
        expected=f"an asset ({', '.join(known)}), a file ({', '.join(SUFFIXES)}) or a hub id (nyu-mll/glue:sst2)",
        fix=f"The nearest is '{near[0]}'" if near else "",
    )


def _rates(asked: Any, systems: tuple[System, ...], rate: float | None) -> dict[str, list[float]] | None:
    """The grid of each method, sorted; None when nothing is tuned."""
    if not asked:
        return None
    fixed = "--train.learning_rate" if rate else next((s.name for s in systems if "train.learning_rate" in s.overrides), None)
    if fixed:
        raise InputError("A learning rate cannot be both tuned and given", got=f"--tune and a rate in {fixed}",
                         fix="Leave one of them out")  # fmt: skip
    methods = list(dict.fromkeys(system.method for system in systems))
    if asked is True:
        defaults = {str(method): rate for method, rate in DEFAULT_LEARNING_RATE.items()}
        grids: dict[str, Any] = {method: [defaults[method] * factor for factor in RATE_FACTORS] for method in methods}
    elif isinstance(asked, Mapping):
        for method in asked:
            _one_of("method", method, METHODS)
        missing = [method for method in methods if method not in asked]
        if missing:
            raise InputError("--tune_rates leaves out a method", got=f"no rates for {', '.join(missing)}")
        grids = {method: asked[method] for method in methods}
    else:
        grids = dict.fromkeys(methods, asked)
    return {method: sorted({_rate(word) for word in _words(grid)}) for method, grid in grids.items()}


def _more(asked: int | None, tune_rates: Any) -> int:
    if asked is None:
        return MORE_RATES if tune_rates is True else 0
    if not 0 <= asked <= _MOST_MORE or (asked and not tune_rates):
        raise InputError("--more_rates cannot be used", got=str(asked),
                         expected=f"with --tune or --tune_rates, from 0 to {_MOST_MORE}")  # fmt: skip
    return asked


def _rate(word: Any) -> float:
    value = float(_typed("train.learning_rate", word))
    if not 0 < value < 1:
        raise InputError("--tune_rates has a rate that cannot be used", got=f"{value:g}", expected="above 0 and below 1")
    return float(f"{value:.6g}")


def _reference(against: str | None, systems: tuple[System, ...]) -> str:
    names = [system.name for system in systems]
    if against is None:
        return next((system.name for system in systems if system.method == "full"), names[0])
    _one_of("system", against, names)
    return against
