"""`lorabert store` as a user meets it: from a run to a name, from the name to answers, in another place too."""

import shutil
import sys
from pathlib import Path

import pytest

import handmade


@pytest.fixture(scope="module")
def run(here, workplace):
    done = here("train", *workplace, "--out", "run", "--train.num_train_epochs", "1", "--train.baselines", "false", "--json")
    assert done.code == 0, done.err
    return done.json


@pytest.fixture
def kept(here, shell, run):
    """A store in its default place that holds review@1 (the run) and odd@1, odd@2 (made by hand)."""
    shutil.rmtree(shell.folder / "store", ignore_errors=True)
    assert here("store", "add", "run", "--name", "review").code == 0
    for seed in (1, 2):
        handmade.adapter(shell.folder / f"made-{seed}", seed)
        assert here("store", "add", f"made-{seed}", "--name", "odd").code == 0
    return shell.folder / "store"


def test_a_name_gives_the_answers_of_the_run(here, kept, run):
    texts = ["awful boring waste", "brilliant charming fun", "a day at home"]
    wanted = here("predict", "run", *texts, "--json")
    for reference in ("review", "review@1"):
        assert here("predict", reference, *texts, "--json").json == wanted.json
    measured = here("evaluate", "review", "--json")
    assert measured.code == 0, measured.err
    assert measured.json["metrics"] == run["metrics"]


def test_a_moved_store_without_its_run_gives_the_same_answers_in_lorabert_and_in_plain_peft(here, shell, kept, run, monkeypatch):
    wanted = here("predict", "run", "brilliant fun", "--json").json
    moved = shell.folder / "moved"
    shutil.rmtree(moved, ignore_errors=True)
    shutil.move(kept, moved)
    monkeypatch.setenv("LORABERT_STORE", str(moved))
    assert here("store", "verify").code == 0
    assert here("predict", "review", "brilliant fun", "--json").json == wanted
    folder = here("store", "resolve", "review").out.strip()
    import peft
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    base = AutoModelForSequenceClassification.from_pretrained(shell.folder / "base", num_labels=3)
    inputs = AutoTokenizer.from_pretrained(folder)("brilliant fun", return_tensors="pt")
    with torch.no_grad():
        answers = peft.PeftModel.from_pretrained(base, folder).eval()(**inputs).logits.softmax(1)[0]
    assert answers.tolist() == pytest.approx(list(wanted["scores"].values()), abs=1e-5)


def test_list_and_show_tell_what_is_known(here, kept, run):
    listed = here("store", "list", "--json").json
    assert [document["reference"] for document in listed] == ["odd@1", "odd@2", "review@1"]
    shown = here("store", "show", "review", "--json").json
    assert shown == listed[2]
    assert shown["labels"] == ["bad", "fair", "good"]
    assert shown["metrics"] == run["metrics"]
    assert shown["base"]["sha256"] == run["base"]["sha256"]
    folder = kept / "objects" / shown["sha256"]
    assert shown["bytes"] == sum(path.stat().st_size for path in folder.iterdir() if path.name != "lorabert.json")
    assert (shown["name"], shown["version"], shown["problem"]) == ("review", 1, None)
    assert [document["reference"] for document in here("store", "list", "odd", "--json").json] == ["odd@1", "odd@2"]
    table = here("store", "list").out
    assert all(word in table for word in ("odd@1", "odd@2", "review@1", shown["added"][:10]))
    assert shown["sha256"] in here("store", "show", "review").out


def test_a_flipped_bit_ends_verify_with_2_and_names_it_in_json_too(here, kept):
    weights = next(path for path in kept.glob("objects/*/README.md") if path.read_text() == "# Card 2\n")
    weights.write_text("# Card 3\n")
    done = here("store", "verify", "--json")
    assert done.code == 2
    assert done.json["problems"] == ["odd@2: README.md was changed: its sha256 differs"]
    assert "odd@2: README.md was changed" in done.err
    assert here("store", "verify", "review", "odd@1", "--json").json["verified"] == ["review@1", "odd@1"]


def test_a_damaged_version_does_not_hide_the_others_from_list(here, kept):
    (kept / "names/odd/2/entry.json").write_bytes(b"")
    shutil.rmtree(kept / "objects" / here("store", "show", "odd@1", "--json").json["sha256"])
    done = here("store", "list", "--json")
    assert done.code == 0
    assert [bool(document["problem"]) for document in done.json] == [True, True, False]
    assert here("store", "list").out.count("damaged") == 3  # two rows and a line


def test_removing_a_whole_name_asks_for_yes(here, kept):
    refused = here("store", "remove", "odd")
    assert refused.code == 2
    assert "odd@1, odd@2" in refused.err
    assert "--yes" in refused.err
    done = here("store", "remove", "odd", "--yes", "--json")
    assert done.json["removed"] == ["odd@1", "odd@2"]
    assert done.json["freed_bytes"] > 0
    assert here("store", "add", "made-1", "--name", "odd", "--json").json["reference"] == "odd@3"


def test_a_folder_wins_over_a_name(here, shell, kept):
    (shell.folder / "review").mkdir(exist_ok=True)
    done = here("predict", "review", "x")
    (shell.folder / "review").rmdir()
    assert done.code == 2
    assert "Got an empty folder" in done.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["predict", "reviews", "x"], "Did you mean 'review'"),
        (["predict", "review@7", "x"], "review@1"),
        (["evaluate", "reviews"], "no folder 'reviews'"),
        (["predict", "runs/nope", "x"], "no such folder"),
        (["store"], "action"),
        (["store", "burn"], "burn"),
        (["store", "add"], "a run or adapter folder"),
        (["store", "add", "run"], "--name"),
        (["store", "add", "run", "run", "--name", "x"], "Got 'run', 'run'."),
        (["store", "add", "run", "--name", "../x"], "'x' would do"),
        (["store", "add", "nowhere", "--name", "x"], "no folder 'nowhere'"),
        (["store", "add", "base", "--name", "x"], "is not an adapter"),
        (["store", "list", "a", "b"], "one name or none"),
        (["store", "list", "reviews"], "Did you mean 'review'"),
        (["store", "list", "review@1"], "takes a name, not a version"),
        (["store", "show"], "nothing"),
        (["store", "show", "nothing"], "has no 'nothing'"),
        (["store", "resolve", "review@0"], "no version of 'review'"),
        (["store", "remove", "review@2"], "review@1"),
        (["store", "verify", "nothing"], "has no 'nothing'"),
        (["store", "list", "--store", "nowhere"], "no store at 'nowhere'"),
        (["store", "list", "--store", "reviews.csv"], "a file"),
        (["store", "add", "run", "--name", "x", "--store", "base"], "is not a store"),
        (["store", "add", "run", "--name", "x", "--store", "reviews.csv"], "a file"),
    ],
    ids=" ".join,
)
def test_wrong_input_is_one_paragraph(here, kept, argv, said):
    done = here(*argv)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert done.err.count("\n") == 1
    assert "error" in here(*argv, "--json").json


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE")
def test_a_full_disk_is_one_paragraph_and_leaves_the_store_whole(shell, here, kept):
    def small_files():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    handmade.adapter(shell.folder / "made-3", 3)
    done = shell("store", "add", "made-3", "--name", "odd", preexec_fn=small_files)
    assert done.code == 2
    assert "grew beyond" in done.err
    assert "untouched" in done.err
    assert done.err.count("\n") == 1
    verified = here("store", "verify", "--json")
    assert (verified.code, verified.json["notes"]) == (0, [])
    assert here("store", "add", "made-3", "--name", "odd", "--json").json["version"] == 3


def test_a_run_that_is_not_finished_is_not_taken(here, shell, kept):
    folder = Path(shutil.copytree(shell.folder / "run", shell.folder / "unfinished", dirs_exist_ok=True))
    record = folder / "run.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"status": "done"', '"status": "running"'), encoding="utf-8")
    done = here("store", "add", "unfinished", "--name", "x")
    assert done.code == 2
    assert "not finished" in done.err
