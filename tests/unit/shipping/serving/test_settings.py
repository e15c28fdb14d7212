"""Every number of the server has two ends."""

import dataclasses

import pytest

from lorabert.errors import InputError
from lorabert.shipping.serving.settings import Settings

NUMBERS = [field.name for field in dataclasses.fields(Settings) if type(field.default) in (int, float)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 10**18])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_beyond_its_ends_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=name):
        Settings(**{name: value}).resolved()
    assert Settings().resolved()
