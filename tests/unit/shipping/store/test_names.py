"""Names that are a folder's name on every system, and cannot leave the store's folder."""

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorabert.errors import InputError
from lorabert.shipping.store import names

GOOD = [
    "emotion",
    "a",
    "0",
    "a-b",
    "a_b",
    "v1.2",
    "x..y",
    "2024-05-support-tickets",
    "a" * 64,
    "console",
    "com",
    "lpt10",
    "nul-1",
]
HOSTILE = [
    "", " ", ".", "..", "...", "../x", "..\\x", "/etc", "/etc/passwd", "a/b", "a\\b", "C:", "c:x", "C:\\x", "\\\\host\\share",
    "%2e%2e", "%2e", "a%2fb", "~", "~root", "$HOME", "a b", "a\tb", "a\n", "\na", "a\0", "\0", "a\0b", "-a", "-", "_a", ".a",
    "a.", "a-", "a ", "a:b", "a*", "a?", "a|b", "a<b", "a>b", 'a"b', "a'b", "a;b", "a&b", "a`b`", "$(a)", "a@1", "@", "@1",
    "Emotion", "EMOTION", "émotion", "е", "emоtion", "ｅmotion", "ﬁ", "ı", "１", "a\u200b", "\u202ea", "a\u0301",
    "‥", "․․", "a∕b", "a⧵b",
    "a" * 65, "a" * 100_000, "con", "nul", "prn", "aux", "com1", "lpt9", "com0", "con.txt", "nul.tar.gz", "aux.1", "con.a-b",
    "\udcff",
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_good_name_is_a_name(name):
    assert names.check_name(name) == name
    assert names.parse(name) == names.Reference(name)
    assert names.parse(f"{name}@12") == names.Reference(name, version=12)


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:20]))
def test_a_hostile_name_is_refused_in_one_short_printable_paragraph(name):
    assert not names.is_name(name)
    for attempt in (
        lambda: names.check_name(name),
        lambda: names.parse(f"{name}@1"),
        lambda: names.parse(f"{name}@sha256:{'0' * 64}"),
    ):
        with pytest.raises(InputError) as refused:
            attempt()
        said = str(refused.value)
        assert said.isprintable()
        assert said.isascii()
        assert len(said) < 400


@given(st.text(max_size=80) | st.from_regex(r"[a-zA-Z0-9._\-/\\:]{1,70}"))
def test_what_is_let_through_is_one_plain_part_of_a_path_on_every_system(name):
    if not names.is_name(name):
        return
    assert name == name.lower()
    for path in (PurePosixPath, PureWindowsPath):
        assert path("root", name).parts == ("root", name)
    assert not PureWindowsPath(name).is_reserved()
    assert (Path("/root") / name).resolve().parent == Path("/root").resolve()


@pytest.mark.parametrize(
    ("wrong", "near"), [("Emotion", "emotion"), ("my model", "my-model"), ("../x", "x"), ("a" * 70, "a" * 64)]
)
def test_the_error_offers_a_name_that_would_do(wrong, near):
    with pytest.raises(InputError, match=f"'{near}' would do"):
        names.check_name(wrong)


NO_VERSIONS = [
    "0", "-1", "01", "1.0", "１", "1 ", " 1", "", "latest", "1@2", "1000000000", "sha256:", "sha256:12", "sha256:0123456G",
    "sha256:" + "0" * 65, "../1", "1\n", "SHA256:01234567", "1/../2",
]  # fmt: skip


@pytest.mark.parametrize("which", NO_VERSIONS)
def test_what_is_no_version_is_refused(which):
    with pytest.raises(InputError, match="no version of 'emotion'"):
        names.parse(f"emotion@{which}")


def test_a_sha256_is_told_from_a_version_of_digits_only():
    assert names.parse("emotion@12345678") == names.Reference("emotion", version=12345678)
    assert names.parse("emotion@sha256:12345678") == names.Reference("emotion", sha256="12345678")


@pytest.mark.parametrize("reference", ["emotion", "emotion@3", "emotion@sha256:0123abcd"])
def test_a_reference_reads_back_as_it_was_written(reference):
    assert str(names.parse(reference)) == reference
