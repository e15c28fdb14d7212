"""What there is to train on, what is wrong with a file, and what this machine would use."""

import json
import subprocess
import sys

import tiny


def test_data_list_names_every_asset_with_its_licence_and_hash(shell):
    done = shell("data", "list", "--json")
    assert done.code == 0, done.err
    assert {asset["name"] for asset in done.json} == {"minilm-l6", "rotten-tomatoes", "r8", "r52", "20newsgroups", "bbc-news"}
    assert all(asset["licence"] and len(asset["wheel"]["sha256"]) == 64 for asset in done.json)


def test_data_check_finds_what_is_wrong(shell, here, workplace):
    texts, _ = tiny.reviews(20)
    rows = [f"{text},{'good' if number % 2 else 'bad'}" for number, text in enumerate(texts)]
    (shell.folder / "train.csv").write_text("\n".join(["text,label", *rows, rows[0], ",good", f"{texts[1]},bad"]) + "\n")
    (shell.folder / "test.csv").write_text(f"text,label\n{texts[0]},bad\nanother,superb\n")
    done = shell("data", "check", "train.csv", "test.csv", "--model", "base", "--json")
    assert done.code == 0, done.err
    part = done.json["parts"][0]
    assert (part["rows"], part["empty_texts"], part["duplicate_texts"]) == (23, 1, 2)
    assert part["classes"] == {"bad": 12, "good": 11}
    problems = " ".join(done.json["problems"])
    for words in ("no text in column 'text' in line 23", "different labels", "1 texts stand in both", "superb"):
        assert words in problems
    screen = here("data", "check", "train.csv", "test.csv", "--model", "base")
    assert "Problem: " in screen.out


def test_data_check_leaves_a_good_file_alone(here, workplace):
    done = here("data", "check", "reviews.csv", "--model", "base", "--json")
    assert done.code == 0, done.err
    assert done.json["problems"] == []


def test_doctor_says_what_a_run_would_use_and_why(shell):
    done = shell("doctor", "--json")
    assert done.code == 0, done.err
    found = done.json
    assert found["device"] in ("cpu", "cuda", "mps")
    assert found["precision_reason"]
    assert found["engine_reason"]
    assert found["hub"] == {"endpoint": "https://huggingface.co", "reachable": False, "reason": "HF_HUB_OFFLINE is set"}
    assert found["cache"]["folder"] == shell.env["LORABERT_CACHE"]
    assert found["versions"]["torch"]


def test_help_teaches_and_survives_a_reader_that_goes_away(shell):
    done = shell("train", "--help")
    assert done.code == 0
    assert "lorabert train --data.train reviews.csv" in done.out
    assert "default: minilm-l6" in done.out
    command = f"{sys.executable} -m lorabert --help | head -c 10"
    piped = subprocess.run(["sh", "-c", command], env=shell.env, capture_output=True, text=True)
    assert piped.stdout == "usage: lor"
    assert "Traceback" not in piped.stderr


def test_an_error_with_json_is_one_json_document_too(shell):
    done = shell("evaluate", "nowhere", "--json")
    assert done.code == 2
    assert json.loads(done.out)["exit"] == 2
    assert "no folder 'nowhere'" in json.loads(done.out)["error"]
