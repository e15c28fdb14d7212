"""`lorabert report` as a user runs it: on a run that was really trained, and on what is no run."""

import json

import pytest

import comparisons
from lorabert.evidence.baselines import titled


@pytest.fixture(scope="module")
def run(here, workplace):
    done = here("train", *workplace, "--out", "run", "--train.num_train_epochs", "2", "--train.logging_steps", "3", "--json")
    assert done.code == 0, done.err
    return done.json


def test_a_trained_run_becomes_one_page(here, shell, run):
    done = here("report", "run", "-o", "pages/run.html", "--json")
    assert done.code == 0, done.err
    page = shell.folder / "pages" / "run.html"
    assert done.json == {"report": str(page.relative_to(shell.folder)), "target": "run", "bytes": page.stat().st_size}
    html = page.read_text(encoding="utf-8")
    assert "texts are not shown" not in html
    assert f"{100 * run['metrics']['accuracy']['value']:.1f}" in html
    for name in titled(run["baselines"]):
        assert name in html


def test_no_model_is_read(here, shell, run):
    """The page comes from records: without the adapter it is the same."""
    assert here("report", "run", "-o", "with.html").code == 0
    (shell.folder / "run" / "adapter").rename(shell.folder / "elsewhere")
    try:
        assert here("report", "run", "-o", "without.html").code == 0
    finally:
        (shell.folder / "elsewhere").rename(shell.folder / "run" / "adapter")
    assert (shell.folder / "with.html").read_bytes() == (shell.folder / "without.html").read_bytes()


def test_its_command_makes_the_same_configuration(here, run, shell):
    from lorabert.config import options_parser, parse, run_config
    from lorabert.studies.reporting import of_run

    command = of_run._commands(json.loads((shell.folder / "run" / "run.json").read_text()))["plain"]
    import shlex

    words = shlex.split(command.replace("\\\n", " "))
    assert words[:2] == ["lorabert", "train"]
    again = run_config(parse(options_parser("lorabert train", "", with_config=True), words[2:]))
    assert again.sha256() == run["config_sha256"]


def test_a_comparison_becomes_one_page(here, shell):
    (shell.folder / "study").mkdir()
    (shell.folder / "study" / "comparison.json").write_text(json.dumps(comparisons.document()))
    done = here("report", "study", "-o", "study.html")
    assert done.code == 0, done.err
    assert here("report", "study/comparison.json", "-o", "again.html").code == 0
    assert (shell.folder / "study.html").read_bytes() == (shell.folder / "again.html").read_bytes()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("report", "nowhere", "-o", "page.html"), "no run and no comparison"),
        (("report", "base", "-o", "page.html"), "no run and no comparison"),
        (("report", "run", "-o", "base"), "folder"),
        (("report", "run", "-o", "reviews.csv/page.html"), "cannot be written"),
        (("report", "run", "-o", "page.pdf"), ".html"),
        (("report", "run"), "out"),
        (("report",), "target"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_paragraph(here, run, argv, said):
    done = here(*argv)
    assert done.code == 2, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_an_unfinished_run_is_refused(here, shell, run):
    record = json.loads((shell.folder / "run" / "run.json").read_text())
    folder = shell.folder / "cut-short"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    done = here("report", "cut-short", "-o", "page.html")
    assert done.code == 2
    assert "--resume" in done.err
    assert not (shell.folder / "page.html").exists()


def test_the_help_teaches(here):
    done = here("report", "--help")
    assert done.code == 0
    assert "quotes texts" in " ".join(done.out.split())
