"""The page in a real browser: nothing fetched, nothing overflowing, all of it readable, reachable by keyboard, printable."""

import json
import re
import shutil
from pathlib import Path

import pytest

import comparisons
import records

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

HOSTILE = "<script>document.title='taken'</script>"
LONG = "a_label_without_any_space_that_is_longer_than_a_phone_is_wide_" * 3
PAGES = ("run", "classes", "comparison")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A run with hostile and long labels, a run of 52 classes, and a comparison."""
    from lorabert.studies.reporting import page

    folder = tmp_path_factory.mktemp("pages")
    texts = [f"{HOSTILE} {LONG} {n}" for n in range(200)]
    page.write(records.finished_run(folder / "odd", (HOSTILE, LONG), texts=texts).path, folder / "run.html")
    many = records.finished_run(folder / "many", [f"a class by the number {n}" for n in range(52)], examples=1600)
    page.write(many.path, folder / "classes.html")
    document = comparisons.document(tasks=("r8", LONG), systems=("lora r=1", "full", LONG, "head"))
    (folder / "comparison.json").write_text(json.dumps(document))
    page.write(folder, folder / "comparison.html")
    return folder


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, pages):
    """Open a page and collect what it asks for and complains of."""
    contexts = []

    def opened(name, *, width=1200, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        tab.asked, tab.complaints = [], []
        tab.on("request", lambda request: tab.asked.append(request.url))
        tab.on("console", lambda message: tab.complaints.append(message.text))
        tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.goto((pages / f"{name}.html").as_uri())
        return tab

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_is_fetched_nothing_is_complained_of_and_nothing_overflows(visit, name, scheme, width):
    tab = visit(name, width=width, scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert [url for url in tab.asked if not url.startswith(("file:", "data:"))] == []
    assert tab.complaints == []
    assert tab.title() != "taken"
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    beyond = """width => [...document.querySelectorAll('body *')]
        .filter(element => !element.closest('.scroll, pre, .unseen, .skip') && element.getBoundingClientRect().right > width + 1)
        .map(element => element.outerHTML.slice(0, 120))"""
    assert tab.evaluate(beyond, width) == []


@pytest.mark.parametrize("name", PAGES)
def test_every_details_opens_by_keyboard_and_every_box_that_scrolls_takes_focus(visit, name):
    tab = visit(name, width=360)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    assert tab.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    tab.evaluate("document.activeElement.blur()")
    opened, reached, steps = 0, set(), 0
    tab.evaluate("document.querySelectorAll('.scroll, pre').forEach((box, number) => box.dataset.number = number)")
    while steps < 400:
        tab.keyboard.press("Tab")
        steps += 1
        tag, number = tab.evaluate("[document.activeElement.tagName, document.activeElement.dataset.number ?? null]")
        if tag == "BODY":
            break
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        if tag == "SUMMARY":
            tab.keyboard.press("Enter")
            opened += 1
        if number is not None:
            reached.add(number)
    assert opened == tab.locator("details").count() == tab.locator("details[open]").count() > 0
    assert len(reached) == tab.locator(".scroll, pre").count()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(visit, name, scheme):
    """4.5 to 1 for text, 3 to 1 for the marks of a plot; backgrounds are composited from the page up."""
    tab = visit(name, scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    found = tab.evaluate(CONTRASTS)
    assert len(found["texts"]) > 100
    assert [entry for entry in found["texts"] if entry[0] < 4.5] == []
    assert [entry for entry in found["series"] if entry[0] < 3] == []
    assert len(found["series"]) == 6


def test_the_contrast_check_sees_grey_on_grey(visit):
    tab = visit("run")
    tab.add_style_tag(content="h2 { color: #999 }")
    assert [entry for entry in tab.evaluate(CONTRASTS)["texts"] if entry[0] < 4.5]


@pytest.mark.parametrize("name", PAGES)
def test_plots_are_images_with_a_name_and_a_description(visit, name):
    tab = visit(name)
    plots = tab.locator("svg.plot")
    assert plots.count() >= 4
    for place in range(plots.count()):
        assert plots.nth(place).get_attribute("role") == "img"
        labels = plots.nth(place).get_attribute("aria-labelledby").split()
        assert all(len(tab.locator(f"[id='{label}']").text_content()) > 3 for label in labels)


@pytest.mark.parametrize("name", PAGES)
def test_plot_text_stays_inside_its_drawing(visit, name):
    """Text is drawn in the reader's font, not in the one it was laid out with."""
    tab = visit(name)
    outside = """() => [...document.querySelectorAll('svg.plot text')].filter(text => {
        const own = text.getBoundingClientRect(), all = text.ownerSVGElement.getBoundingClientRect();
        return own.left < all.left - 2 || own.right > all.right + 2 || own.top < all.top - 2 || own.bottom > all.bottom + 2;
    }).map(text => text.textContent)"""
    assert tab.evaluate(outside) == []


@pytest.mark.parametrize("name", PAGES)
def test_it_prints(visit, name, tmp_path):
    tab = visit(name, scheme="dark")
    paper = Path(tmp_path / "page.pdf")
    tab.pdf(path=paper, prefer_css_page_size=True)
    content = paper.read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 3
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


CONTRASTS = """() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgba = colour => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, below) => [0, 1, 2].map(k => top[k] * top[3] + below[k] * (1 - top[3]));
    const light = colour => {
        const [r, g, b] = colour.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
    const background = element => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
    };
    const texts = [];
    for (const element of document.querySelectorAll('body *')) {
        const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
        if (!own || !element.checkVisibility() || element.closest('desc, title, .unseen')) continue;
        const style = getComputedStyle(element), behind = background(element);
        const colour = over(rgba(element.closest('svg') ? style.fill : style.color), behind);
        texts.push([ratio(colour, behind), element.textContent.slice(0, 40)]);
    }
    const paper = background(document.body), style = getComputedStyle(document.documentElement);
    const series = [1, 2, 3, 4, 5, 6].map(k => style.getPropertyValue(`--series-${k}`).trim())
        .map(colour => [ratio(over(rgba(colour), paper), paper), colour]);
    return {texts, series};
}"""
