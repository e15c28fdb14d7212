"""The lines of a long training on the screen."""

import pytest

from lorabert.engine.telling import tells


@pytest.mark.parametrize(("epochs", "lines"), [(1, 1), (3, 3), (10, 10), (11, 6), (50, 10), (53, 9), (1000, 10)])
def test_ten_lines_at_most_and_the_last_epoch_has_one(epochs, lines):
    told = [epoch for epoch in range(1, epochs + 1) if tells(epoch, epochs)]
    assert len(told) == lines <= 10
    assert told[-1] == epochs
