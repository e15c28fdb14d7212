"""The model card says how its adapter is used."""

import re

import records
from lorabert.studies.reporting.card import model_card


def test_the_command_of_the_card_fits_what_the_adapter_reads(tmp_path):
    record = records.finished_run(tmp_path / "run").record
    assert 'lorabert predict THIS_FOLDER "a text"\n' in model_card(record)
    record["data"]["columns"]["text_pair"] = "hypothesis"
    assert "lorabert predict THIS_FOLDER --file FILE\n" in model_card(record)


def test_names_that_are_not_ours_are_escaped_in_the_card(tmp_path):
    labels = ["a`b", "``", "c\n# d", "plain"]
    record = records.finished_run(tmp_path / "run", labels).record
    record["data"]["origin"] = "my_*files*_<b>\n---"
    card = model_card(record)
    listed = ["0. ``` `` ```", "1. ``a`b``", "2. `c\\n# d`", "3. `plain`"]
    assert [line for line in card.splitlines() if re.match(r"\d\. ", line)] == listed
    assert "# my\\_\\*files\\*\\_\\<b\\>\\\\n---: a text classifier on tiny\n" in card
