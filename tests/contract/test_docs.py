"""What the documents show is what the code does: blocks are up to date, files exist, commands run."""

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pytest

import tiny
from lorabert.cli import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *(ROOT / "docs" / name for name in ("guide.md", "comparing.md"))]
# Appended to the commands that train, so that each takes seconds: options win over what stands before them.
QUICK = ["--train.num_train_epochs", "1", "--data.limit", "24"]


def test_generated_blocks_of_the_readme_are_up_to_date():
    source = importlib.util.spec_from_file_location("readme", ROOT / "docs" / "readme.py")
    readme = importlib.util.module_from_spec(source)
    source.loader.exec_module(readme)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.filled(text) == text, "run python docs/readme.py"
    assert readme.filled(text.replace("usage: lorabert", "usage: somebody")) == text


def test_the_tree_of_the_readme_names_what_is_there():
    tree = re.search(r"<!-- tree:.*?```text\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    named = {line.split()[0] for line in tree.splitlines()}
    missing = sorted(name for name in named if not (ROOT / name).exists())
    assert not missing
    package = ROOT / "src" / "lorabert"
    rooms = {f"src/lorabert/{path.name}" for path in package.glob("*.py") if not path.name.startswith("__")}
    rooms |= {f"src/lorabert/{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert rooms <= named


@pytest.mark.parametrize(
    "document",
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))],
    ids=lambda path: path.name,
)
def test_links_and_paths_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (document.parent / target).exists(), target


def _commands():
    for document in DOCUMENTS:
        for block in re.findall(r"^```\n(.*?)^```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            for line in block.splitlines():
                if line.startswith("lorabert "):
                    yield pytest.param(shlex.split(line)[1:], id=f"{document.stem}: {line[9:60]}")


@pytest.fixture(scope="module")
def place(tmp_path_factory, assets_cache):
    """A user's folder: reviews.csv, the shipped configurations, and a finished run of reviews.csv."""
    folder = tmp_path_factory.mktemp("docs")
    texts, labels = tiny.reviews(120)
    tiny.write_csv(folder / "reviews.csv", texts, labels)
    shutil.copytree(ROOT / "configs", folder / "configs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LORABERT_CACHE", str(assets_cache))
        assert main(["train", "--data.train", "reviews.csv", "--out", "finished", *QUICK]) == 0
    return folder


@pytest.mark.parametrize("words", list(_commands()))
def test_every_command_in_the_documents_runs(words, place, assets_cache, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setenv("LORABERT_CACHE", str(assets_cache))
    if words[0] in ("train", "replicate"):
        out = place / words[words.index("--out") + 1] if "--out" in words else None
        if out:
            shutil.rmtree(out, ignore_errors=True)
        words = [*words, *QUICK]
    elif words[0] == "compare":
        words = [*words, *QUICK]
    elif words[0] == "sweep":
        words = [*words, *QUICK, "--trials", "1"]
    else:
        shutil.rmtree(place / "runs", ignore_errors=True)
        shutil.copytree(place / "finished", place / "runs" / "reviews")
    assert main(words) == 0, capsys.readouterr().err
