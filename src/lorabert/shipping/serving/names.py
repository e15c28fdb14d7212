"""What an adapter that lies outside of a store may be called: what can be put into a URL, and be told apart on a screen.

Names in stores are of fewer letters (`shipping.store.names`); both kinds stand side by side in requests.
"""

from __future__ import annotations

import unicodedata

from lorabert.errors import InputError
from lorabert.shipping.store.names import shown

LONGEST = 200
_RULE = (
    f"1 to {LONGEST} printable characters, no space at either end, no '@' (it stands before a version), "
    "and between slashes neither nothing nor '.' nor '..' (HTTP clients resolve those)"
)


def normal(name: str) -> str:
    """The one spelling of a name: file systems and keyboards compose accents differently."""
    return unicodedata.normalize("NFC", name)


def check_name(name: str) -> str:
    """The name in its one spelling.

    Raises:
        InputError: no request could ask for an adapter of that name, or not for it alone.
    """
    name = normal(name)
    plain = len(name) <= LONGEST and name.isprintable() and name == name.strip() and "@" not in name
    if plain and not {"", ".", ".."} & {*name.split("/")}:
        return name
    raise InputError("An adapter cannot be served by this name", got=shown(name), expected=_RULE, fix="Name it: NAME=FOLDER")
