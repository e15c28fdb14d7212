"""`lorabert doctor`: this machine."""

from __future__ import annotations

import os
from pathlib import Path

from lorabert import config
from lorabert.cli.output import JSON, output
from lorabert.config import options_parser, parse
from lorabert.errors import Unsupported
from lorabert.files import cache_folder
from lorabert.hardware import Placement
from lorabert.models.families import FAMILIES


def main(argv: list[str]) -> None:
    """Show versions, device, precision and attention path with the reason, and whether hub and cache can be reached."""
    parser = options_parser(
        "lorabert doctor", "What this machine has, what a run would use on it and why, and what can be reached."
    )
    parser.add_argument("--json", action="store_true", help=JSON)
    arguments = parse(parser, argv)
    from lorabert import hardware
    from lorabert.data import hub

    placement = hardware.place(config.TrainConfig())
    reason = hub.why_unreachable("bert-base-uncased")
    document = {
        "versions": hardware.package_versions(),
        "hardware": hardware.describe(),
        "device": placement.device,
        "precision": placement.precision,
        "precision_reason": placement.reason,
        **_engine(placement),
        "hub": {"endpoint": hub.endpoint(), "reachable": reason is None, "reason": reason or "it answers"},
        "cache": {"folder": str(cache_folder()), "writable": _writable(cache_folder())},
    }
    with output(as_json=arguments.json) as out:
        for section in ("versions", "hardware", "hub", "cache"):
            out.table(section.capitalize(), ["", ""], [[key, str(value)] for key, value in document[section].items()])  # type: ignore[attr-defined]
        out.say(f"A run would use {placement.device} in {placement.precision}: {placement.reason}.")
        out.say(f"Engine: {document['engine']}, attention: {document['attention']} ({document['engine_reason']}).")
        out.say(f"Compiled steps: {document['kernels']} ({document['kernels_reason']}).")
        if reason:
            out.say(f"{hub.NO_HUB}.")
        out.result(document)


def _engine(placement: Placement) -> dict[str, str]:
    """The engine, the attention path and the steps that `auto` takes on this machine, and why."""
    from lorabert.engine import kernels, training

    try:
        training.refuse_unproven(placement)
    except Unsupported as unproven:
        none = {"kernels": "no", "kernels_reason": "they are for CPUs"}
        return {"engine": "reference", "attention": "sdpa", "engine_reason": unproven.why, **none}
    known = ", ".join(name for name, family in FAMILIES.items() if family.parts)
    steps, reason = kernels.state(), f"for {known}; other families take the reference engine"
    return {
        "engine": "fast",
        "attention": "packed",
        "engine_reason": reason,
        "kernels": "yes" if steps.library else "no",
        "kernels_reason": steps.reason,
    }


def _writable(folder: Path) -> bool:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return there.is_dir() and os.access(there, os.W_OK)
