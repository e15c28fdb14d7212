"""The model card says how its adapter is used."""

import records
from lorabert.studies.reporting.card import model_card


def test_the_command_of_the_card_fits_what_the_adapter_reads(tmp_path):
    record = records.finished_run(tmp_path / "run").record
    assert 'lorabert predict THIS_FOLDER "a text"\n' in model_card(record)
    record["data"]["columns"]["text_pair"] = "hypothesis"
    assert "lorabert predict THIS_FOLDER --file FILE\n" in model_card(record)
