"""What must be said of a whole comparison, on the screen and on the page of results."""

from __future__ import annotations

from typing import Any

from lorabert.studies.reporting import findings


def remarks(document: dict[str, Any]) -> list[str]:
    """What a reader must know before believing the tables: how rates were found, failures, seeds, memory."""
    plan, lines = document["plan"], findings.cautions(document)
    if plan["tuning"]:
        grids = [f"{method} {', '.join(f'{rate:g}' for rate in rates)}" for method, rates in plan["tuning"]["rates"].items()]
        budget = f"Learning rates were chosen on validation, one run a rate, with seed {plan['tuning']['seed']}"
        more = plan["tuning"].get("more_rates", 0)
        grown = f" Where the best was an end of these, up to {more} beyond it were tried." if more else ""
        lines.insert(0, f"{budget}: {'; '.join(grids)}.{grown}")
    if len(plan["seeds"]) == 1:
        lines.append("One seed: this is about single classifiers, and nothing can be said about seeds. Add --seeds 5.")
    if document["environment"]["device"] == ["cpu"]:
        lines.append("Peak memory is the most that the process held up to the end of a run, earlier runs in it included; full "
                     "fine-tuning holds a second copy of the base, which PEFT keeps.")  # fmt: skip
    return lines
