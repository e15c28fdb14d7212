"""What a comparison says, in sentences: for the screen, and for pages made from its record."""

from __future__ import annotations

from typing import Any


def sentence(found: dict[str, Any]) -> str:
    """What a difference says, in words."""
    pair, margin = f"{found['system']} and {found['against']}", f"{100 * found['margin']:g} points"
    if found["verdict"] == "equivalent":
        said = f"{pair} are equivalent: the whole interval of their difference lies within {margin}"
    elif found["verdict"] == "different":
        better = "better" if found["value"] > 0 else "worse"
        said = f"{found['system']} is {better} than {found['against']}: the difference is {_span(found)} points"
    else:
        said = f"{pair} are not told apart by these runs: the difference may be anything from {_span(found)} points"
    if found["n_seeds"] == 1:
        return f"{said}. One seed: this is about two classifiers, and says nothing about other seeds."
    return f"{said} ({found['n_seeds']} seeds)."


def _span(found: dict[str, Any]) -> str:
    return f"{100 * found['low']:+.2f} to {100 * found['high']:+.2f}"


def remarks(document: dict[str, Any]) -> list[str]:
    """What holds for a whole comparison and must not be left unsaid."""
    plan = document["plan"]
    lines = [_tuning(plan)]
    for task in document["tasks"]:
        for name, found in (task["tuning"] or {}).items():
            if found["edge"]:
                best = f"the {found['edge']} rate of the grid, {found['chosen']:g}, was best"
                lines.append(f"{task['task']}, {name}: {best}; a better one may lie beyond it.")
    if len(plan["seeds"]) == 1:
        lines.append("One seed: nothing can be said about seeds. Another one may turn every difference round; add --seeds 5.")
    if document["environment"]["device"] == ["cpu"]:
        lines.append("Peak memory is the most that the process held up to the end of a run, earlier runs in it included; full "
                     "fine-tuning holds a second copy of the base, which PEFT keeps.")  # fmt: skip
    return lines


def _tuning(plan: dict[str, Any]) -> str:
    if plan["tuning"] is None:
        return "Learning rates were not tuned: a difference may be that of the rates and not of the methods. --tune chooses them."
    count = "; ".join(
        f"{method}: {', '.join(f'{rate:g}' for rate in rates)}" for method, rates in plan["tuning"]["rates"].items()
    )
    return f"Learning rates were chosen on validation with seed {plan['tuning']['seed']}, one run a rate. {count}."
