"""The series' colours stay apart for people who see fewer of them, on paper and on the dark page."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from lorabert.studies.reporting import page

# Linear RGB as it is seen with a full colour vision deficiency (Machado, Oliveira and Fernandes 2009, table of severity 1.0).
SEEN = {
    "all colours": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])


def lab(colour, seen):
    """CIELAB of a hex colour as it is seen, D65."""
    shares = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    x, y, z = TO_XYZ @ np.clip(seen @ linear, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = [value ** (1 / 3) if value > (6 / 29) ** 3 else value / (3 * (6 / 29) ** 2) + 4 / 29 for value in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def palettes():
    style = (Path(page.__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")
    found = [re.findall(r"--series-\d: (#[0-9a-f]{6})", line) for line in style.splitlines()]
    return dict(zip(("light", "dark"), [colours for colours in found if colours], strict=True))


def closest(colours, seen):
    return min(float(np.linalg.norm(lab(one, seen) - lab(other, seen))) for one, other in itertools.combinations(colours, 2))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("vision", SEEN)
def test_series_stay_apart(scheme, vision):
    colours = palettes()[scheme]
    assert len(colours) == 6
    # 2.3 is just noticeable side by side. Six colours besides have six markers and six dashes.
    assert closest(colours, SEEN[vision]) > 20, [
        f"{closest(pair, SEEN[vision]):.0f} {pair}" for pair in itertools.combinations(colours, 2)
    ]


def test_red_and_green_of_one_lightness_do_not():
    assert closest(["#c8553d", "#5d8a2b"], SEEN["all colours"]) > 50
    assert closest(["#a0522d", "#6b6b20"], SEEN["deuteranopia"]) < 15
