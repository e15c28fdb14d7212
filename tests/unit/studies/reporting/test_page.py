"""The page of a run and of a comparison: escaped, complete, the same bytes every time, and clear when it cannot be made."""

import html
import itertools
import json
import re
import sys
from html.parser import HTMLParser

import pytest

import comparisons
import records
from lorabert.errors import InputError
from lorabert.studies.reporting import page

HOSTILE = ("<script>alert('label')</script>", '"><img src=x onerror=alert(1)>')
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Parsed(HTMLParser):
    """Tags, attributes and text of a page, checked to be nested well."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text += data

    def named(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A run whose labels and texts try to be markup."""
    folder = tmp_path_factory.mktemp("hostile")
    texts = [f"<script>alert({n})</script> & </blockquote> \u202e {n}" for n in range(200)]
    return records.finished_run(folder / "run", HOSTILE, texts=texts)


def written(target, folder):
    return page.write(target, folder / "page.html").read_text(encoding="utf-8")


def test_labels_and_texts_are_text(hostile, tmp_path):
    parsed = Parsed(written(hostile.path, tmp_path))
    assert parsed.named("script") == parsed.named("img") == []
    assert not [attrs for _, attrs in parsed.tags if any(name.startswith("on") for name in attrs)]
    assert "<script>alert('label')</script>" in parsed.text
    assert parsed.text.count("</script> & </blockquote>") == len(parsed.named("blockquote")) > 5


def test_names_of_systems_tasks_and_sources_are_text(tmp_path):
    document = comparisons.document(tasks=HOSTILE, systems=HOSTILE)
    document["tasks"][0]["published"][0]["source"] = HOSTILE[0]
    (tmp_path / "comparison.json").write_text(json.dumps(document))
    parsed = Parsed(written(tmp_path, tmp_path))
    assert parsed.named("script") == parsed.named("img") == []
    assert HOSTILE[0] in parsed.text


def test_the_same_record_gives_the_same_bytes(hostile, tmp_path):
    first = page.write(hostile.path, tmp_path / "a.html").read_bytes()
    assert page.write(hostile.path, tmp_path / "b.html").read_bytes() == first


def test_nothing_is_fetched_and_ids_are_unique(hostile, tmp_path):
    parsed = Parsed(written(hostile.path, tmp_path))
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [
        attrs[name] for _, attrs in parsed.tags for name in ("href", "src", "xlink:href", "srcset", "action") if name in attrs
    ]
    assert {link for link in links if not link.startswith("#")} == {"data:,"}
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


def test_headings_tables_and_landmarks_are_in_order(hostile, tmp_path):
    parsed = Parsed(written(hostile.path, tmp_path))
    levels = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))
    assert parsed.named("html")[0]["lang"] == "en"
    assert len(parsed.named("main")) == len(parsed.named("header")) == len(parsed.named("footer")) == 1
    assert all(attrs.get("scope") in ("row", "col") for attrs in parsed.named("th"))
    assert len(parsed.named("caption")) == len(parsed.named("table"))


def test_every_number_of_the_record_is_there(hostile, tmp_path):
    text = Parsed(written(hostile.path, tmp_path)).text
    accuracy = hostile.record["metrics"]["accuracy"]
    assert f"{100 * accuracy['value']:.1f}" in text
    assert f"[{100 * accuracy['low']:.1f}, {100 * accuracy['high']:.1f}]" in text
    assert hostile.record["data"]["fingerprint"] in text
    assert f"--data.train {hostile.record['config']['data']['train']}" in text


def test_many_classes_keep_a_matrix_and_a_sane_size(tmp_path):
    run = records.finished_run(tmp_path / "run", [f"class {n:02d}" for n in range(52)], examples=1600)
    html = written(run.path, tmp_path)
    parsed = Parsed(html)
    assert len(html) < 1_000_000
    assert sum(cell.get("class") == "right" for cell in parsed.named("td")) == 52


def test_the_texts_are_left_out_where_the_data_have_gone_or_changed(tmp_path):
    run = records.finished_run(tmp_path / "run")
    data = tmp_path / "run.jsonl"
    assert "of many" in written(run.path, tmp_path)
    content = data.read_text()
    data.write_text(content.replace("text 7 of many", "another"))
    changed = written(run.path, tmp_path)
    assert "are not those that the adapter was trained and tested on" in changed
    assert "of many" not in changed
    data.unlink()
    assert "could not be loaded again" in written(run.path, tmp_path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: run.update(status="running"), "not finished"),
        (lambda run: run.update(status="failed"), "--resume"),
        (lambda run: run.update(schema_version=99), "schema_version 99"),
        (lambda run: (run.path / "run.json").write_text("{"), "no JSON that can be read"),
        (lambda run: (run.path / "run.json").write_text("[]"), "a JSON list"),
        (lambda run: run.update(baselines={"odd": {}}), "damaged"),
        (lambda run: run.update(trainable=None), "damaged"),
        (lambda run: (run.path / "predictions.parquet").unlink(), "missing"),
        (lambda run: (run.path / "predictions.parquet").write_bytes(b"PAR1"), "damaged"),
        (lambda run: run.update(confusion=[[1, 0], [0, 1]]), "does not belong"),
        (lambda run: (run.path / "metrics.jsonl").write_text('{"event": "train", "step": 1}\n'), "metrics.jsonl"),
        (lambda run: (run.path / "metrics.jsonl").write_text("{}}\n{}\n"), "metrics.jsonl"),
        (lambda run: (run.path / "run.json").unlink(), "no run and no comparison"),
    ],
)
def test_a_run_that_cannot_be_reported_says_why(tmp_path, damage, said):
    run = records.finished_run(tmp_path / "run", steps=1)
    damage(run)
    with pytest.raises(InputError, match=said):
        page.write(run.path, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_missing_fact_is_named(tmp_path):
    run = records.finished_run(tmp_path / "run", steps=1)
    del run.record["hardware"]
    run.update()
    with pytest.raises(InputError, match="no hardware"):
        page.write(run.path, tmp_path / "page.html")


def test_a_run_without_curves_is_reported_without_them(tmp_path):
    run = records.finished_run(tmp_path / "run", steps=0)
    (run.path / "metrics.jsonl").unlink(missing_ok=True)
    assert "No losses were logged" in written(run.path, tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"schema_version": 1}', '{"schema_version": 2}', '{"schema_version": 1, "plan": 3, "tasks": []}']
)
def test_a_damaged_comparison_is_refused(tmp_path, content):
    (tmp_path / "comparison.json").write_text(content)
    with pytest.raises(InputError, match=r"comparison\.json"):
        page.write(tmp_path, tmp_path / "page.html")


@pytest.mark.parametrize("options", [{"seeds": 1}, {"tuned": False}, {"failing": "full"}, {"failing": "head"}])
def test_a_comparison_with_gaps_is_reported(tmp_path, options):
    (tmp_path / "comparison.json").write_text(json.dumps(comparisons.document(**options)))
    text = Parsed(written(tmp_path / "comparison.json", tmp_path)).text
    assert ("not tuned" in text) == (options.get("tuned") is False)
    assert ("diverged" in text) == ("failing" in options)


def test_where_a_page_cannot_be_written_nothing_is_read(tmp_path):
    (tmp_path / "file").write_text("")
    for out, said in (
        (tmp_path, "folder"),
        (tmp_path / "page.txt", "html"),
        (tmp_path / "file" / "page.html", "cannot be written"),
    ):
        with pytest.raises(InputError, match=said):
            page.write(tmp_path / "nothing", out)


@pytest.mark.parametrize("library", ["matplotlib", "jinja2"])
def test_without_the_extra_the_message_says_what_to_install(tmp_path, monkeypatch, library):
    run = records.finished_run(tmp_path / "run", steps=1)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=rf"{library}.*lorabert\[report\]"):
        page.write(run.path, tmp_path / "page.html")


def test_long_labels_leave_room_for_the_numbers_and_stay_apart(tmp_path):
    labels = [f"{'a' * 100}{number}<b>{'z' * 100}" for number in range(8)]
    parsed = Parsed(written(records.finished_run(tmp_path / "run", labels).path, tmp_path))
    tables = re.findall(r"<t[hd][^>]*>(?:<span>)?<bdi>(.*?)</bdi>", (tmp_path / "page.html").read_text(encoding="utf-8"))
    shown = {html.unescape(cell) for cell in tables if "aaaa" in cell}
    assert len(shown) == 8
    assert max(map(len, shown)) <= 32
    whole = [attrs["title"] for _, attrs in parsed.tags if attrs.get("title")]
    assert set(whole) == set(labels)
    assert parsed.named("b") == []


def test_long_names_of_tasks_are_short_above_columns_of_numbers(tmp_path):
    document = comparisons.document(tasks=("t" * 200, "u" * 200))
    (tmp_path / "comparison.json").write_text(json.dumps(document))
    heads = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', written(tmp_path, tmp_path))
    assert max(map(len, heads)) < 60
