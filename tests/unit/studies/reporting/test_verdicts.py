"""What is said of a run claims no more than its numbers show."""

import pytest

from lorabert.studies.reporting.verdicts import learning, more_epochs


def losses(*values, steps=7):
    return [{"event": "validation", "step": steps * n, "epoch": float(n), "loss": value} for n, value in enumerate(values, 1)]


@pytest.mark.parametrize("values", [(), (0.5,), (0.5, 0.5), (0.4, 0.3, 0.31), (0.4, 0.3, 0.3)])
def test_no_more_epochs_where_the_loss_stopped_falling(values):
    assert more_epochs(losses(*values)) == ""


def test_more_epochs_of_a_few_steps_until_there_are_two_hundred():
    said = more_epochs(losses(0.678, 0.668, 0.665))
    assert "still falling when training ended, after 21 steps" in said
    assert "--train.num_train_epochs 29 " in said  # 29 epochs of 7 steps
    assert said in learning(losses(0.678, 0.668, 0.665), 10)


def test_twice_the_epochs_of_many_steps():
    said = more_epochs(losses(0.57, 0.37, 0.33, steps=368))
    assert "steps" not in said
    assert "--train.num_train_epochs 6 " in said
