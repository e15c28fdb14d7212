"""Published figures to stand beside ours, with what differs named."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("published.yaml")


def beside(data_set: str, metric: str, n_test: int, base: str) -> list[dict[str, Any]]:
    """The figures published for a data set, where metric and number of test examples are ours.

    Args:
        data_set: an asset's name or a hub id, with `:subset` where it has one.
        metric: the metric of our figures.
        n_test: our number of test examples; another number is another split.
        base: our base, to say whether theirs is another one.

    Returns:
        One row a figure: value and spread as shares, source, base, method, selection, and `differs`, in words.
    """
    rows = []
    for row in _rows():
        n, value, *spread = row["figures"].get(data_set, [None, None])
        if row["metric"] != metric or n != n_test:
            continue
        told = {key: row[key] for key in ("source", "read", "selection", "metric", "base", "method")}
        differs = [f"selection: {row['selection']}"]
        if row["base"].lower() != base.rpartition("/")[2].lower():
            differs.insert(0, f"base {row['base']}, ours {base}")
        rows.append({**told, "value": value / 100, "spread": spread[0] / 100 if spread else None, "n": n, "differs": differs})
    return rows


@functools.cache
def _rows() -> list[dict[str, Any]]:
    import yaml

    return list(yaml.safe_load(_FILE.read_text(encoding="utf-8")).values())
