"""What SECURITY.md promises of the source: no code of a model's author is ever asked for, nothing is unpickled."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("src", "benchmarks", "docs", "examples") for path in (ROOT / folder).rglob("*.py"))
TEXTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FLAG = "trust_remote_code"


def trusting(source):
    """The lines that hand over `trust_remote_code` as anything but False."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == FLAG:
            given = [node.value]
        elif isinstance(node, ast.Dict):
            given = [value for key, value in zip(node.keys, node.values, strict=True)
                     if isinstance(key, ast.Constant) and key.value == FLAG]  # fmt: skip
        elif isinstance(node, ast.Assign) and any(FLAG in ast.unparse(target) for target in node.targets):
            given = [node.value]
        else:
            continue
        found += [value.lineno for value in given if not (isinstance(value, ast.Constant) and value.value is False)]
    return found


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("load(a, trust_remote_code=False)", []),
        ("load(a, trust_remote_code=True)", [1]),
        ("load(a,\n     trust_remote_code=asked)", [2]),
        ("load(a, **{'trust_remote_code': 1})", [1]),
        ("o['trust_remote_code'] = True", [1]),
        ("o = {'trust_remote_code': False}", []),
    ],
)
def test_the_search_finds_what_it_looks_for(source, lines):
    assert trusting(source) == lines


def test_no_model_s_own_code_is_ever_trusted():
    assert len(SOURCES) > 100
    found = {str(path.relative_to(ROOT)): lines for path in SOURCES if (lines := trusting(path.read_text(encoding="utf-8")))}
    assert found == {}
    advice = [path.name for path in TEXTS if re.search(FLAG + r"\W{1,4}True", path.read_text(encoding="utf-8"))]
    assert advice == []


def test_nothing_is_unpickled():
    pickled = re.compile(
        r"\bpickle\.loads?\(|\bimport pickle\b|\bjoblib\b|weights_only=False|allow_pickle=True|\bmarshal\b|\bdill\b"
    )
    found = [str(path.relative_to(ROOT)) for path in SOURCES if pickled.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_what_security_links_to_is_there():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)[)#]", text):
        assert (ROOT / target).exists(), target
    assert (ROOT / ".ci" / "supply").stat().st_mode & 0o111
