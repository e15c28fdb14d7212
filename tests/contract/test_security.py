"""What SECURITY.md promises of the source: no code of a model's author is ever asked for, nothing is unpickled."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("src", "benchmarks", "docs", "examples") for path in (ROOT / folder).rglob("*.py"))
TEXTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FLAG = "trust_remote_code"
_ASKS = r"(transformers\.)?Auto\w+\.from_(pretrained|config)"


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


def asking(source):
    """The lines that load something of Transformers by its name alone, without a word on trust."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    asking = [
        call for call in calls if re.fullmatch(r"(transformers\.)?Auto\w+\.from_(pretrained|config)", ast.unparse(call.func))
    ]
    return [call.lineno for call in asking if not any(map(_is_a_word_on_trust, call.keywords))]


def _is_a_word_on_trust(word):
    return word.arg == FLAG or (word.arg is None and ast.unparse(word.value) == "_OWN_FILES_ONLY")


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("AutoModel.from_pretrained(a)", [1]),
        ("transformers.AutoTokenizer.from_pretrained(a,\n x=1)", [1]),
        ("AutoModel.from_pretrained(a, trust_remote_code=False)", []),
        ("AutoModel.from_pretrained(a, **_OWN_FILES_ONLY)", []),
        ("AutoModel.from_config(a)", [1]),
    ],
)
def test_the_search_for_calls_without_a_word_on_trust_finds_them(source, lines):
    assert asking(source) == lines


def test_whatever_could_ask_for_code_is_told_that_there_is_none():
    found = {str(path.relative_to(ROOT)): lines for path in SOURCES if (lines := asking(path.read_text(encoding="utf-8")))}
    assert found == {}


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
