"""The page to try a server, in a real browser, against a real server."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import serving
import tiny
from lorabert.shipping.store import Store

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = ["<img src=x onerror=document.title='broken'>", "</script><script>document.title='broken'</script>", "'\"`&"]
TOKEN = "a-token-of-tests"
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")


@pytest.fixture(scope="module")
def store(shell):
    base = tiny.build_base(shell.folder / "page-base")
    store = Store(shell.folder / "page-store")
    for name, folder in serving.save_kinds(shell.folder / "page-kinds", base).items():
        store.add(folder, name)
    store.add(serving.save_adapter(shell.folder / "hostile", base, HOSTILE, seed=7), "hostile")
    store.add(serving.save_adapter(shell.folder / "many", base, [f"class {n}" for n in range(20)], seed=8), "many")
    store.add(serving.save_adapter(shell.folder / "pairs", base, ["no", "yes"], seed=9, pairs=True), "pairs")
    return store


@pytest.fixture(scope="module")
def server(shell, store):
    """Two servers of the store, without and with a token: their addresses."""
    processes = []

    def begin(env):
        command = [sys.executable, "-m", "lorabert", "serve", str(store.root), "--port", "0", "--json"]
        process = subprocess.Popen(command, cwd=shell.folder, env=env, text=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
        processes.append(process)
        return process

    begin(shell.env)
    begin(shell.env | {"LORABERT_TOKEN": TOKEN})
    yield [json.loads(process.stdout.readline())["address"] for process in processes]
    for process in processes:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page whose console stays empty and that asks nobody but its server."""
    context = browser.new_context(viewport={"width": 1180, "height": 860})
    page = context.new_page()
    page.set_default_timeout(30_000)
    said, asked = [], set()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.add(re.match(r"\w+://[^/]+|\w+:", request.url)[0]))
    page.said = said
    yield page
    assert len(asked) <= 1, asked
    assert [line for line in said if "401" not in line] == []
    context.close()


def widths(page):
    return page.locator(".fill").evaluate_all("bars => bars.map(bar => parseFloat(bar.style.width))")


def shares(page):
    return [float(text.rstrip("%")) for text in page.locator(".share").all_inner_texts()]


def test_bars_show_what_the_server_answers_and_move_with_the_text(page, server):
    page.goto(server[0])
    page.locator(".bar").first.wait_for()
    assert page.locator("#choices input:checked").count() == 1
    page.locator('input[value="mood@1"]').set_checked(True, force=True)
    page.locator('input[value="topic@1"]').set_checked(True, force=True)
    page.locator("#choices input:checked").nth(2).wait_for(state="attached")
    page.locator('input[value="hostile@1"]').set_checked(False, force=True)
    page.fill("#texts", "a wonderful film\n\nthe bank cut its rate")
    page.locator("#latency", has_text="2 texts").wait_for()
    page.locator(".panel h4", has_text="topic@1").nth(1).wait_for()
    assert page.locator(".text").count() == 2
    wanted = []
    for text in ("a wonderful film", "the bank cut its rate"):
        for name in ("mood@1", "topic@1"):
            answer = httpx.post(f"{server[0]}/classify", json={"model": name, "input": text}).json()
            wanted += [100 * share for share in answer["data"][0]["probs"]]
    assert shares(page) == pytest.approx(wanted, abs=0.06)
    assert widths(page) == pytest.approx(wanted, abs=0.01)
    assert page.locator(".bar.best").count() == 4
    before = widths(page)
    page.fill("#texts", "awful and boring\nthe worst game")
    page.locator(".text h3", has_text="awful").wait_for()
    assert widths(page) != before
    page.click("text=Clear")
    page.locator("#empty").wait_for()
    assert page.locator(".bar").count() == 0


def test_hostile_labels_and_texts_are_text(page, server):
    page.goto(server[0])
    page.locator(".bar").first.wait_for()
    for box in page.locator("#choices input:checked").all():
        box.set_checked(False, force=True)
    page.locator('input[value="hostile@1"]').set_checked(True, force=True)
    page.fill("#texts", "<b onmouseover=alert(1)>bold</b> 'single' \"double\" $(id) \\")
    page.locator(".text h3", has_text="onmouseover").wait_for()
    page.locator(".panel h4", has_text="hostile@1").wait_for()
    assert page.locator(".name").all_inner_texts() == HOSTILE
    assert page.title() == "lorabert · try it"
    assert page.locator("main img, main b, main script").count() == 0


def test_many_labels_fold_and_pairs_get_a_second_field(page, server):
    page.goto(server[0])
    page.locator(".bar").first.wait_for()
    for box in page.locator("#choices input:checked").all():
        box.set_checked(False, force=True)
    page.locator('input[value="many@1"]').set_checked(True, force=True)
    page.fill("#texts", "one text")
    page.locator("#latency", has_text="1 text,").wait_for()
    page.locator(".more", has_text="14 more labels").click()
    assert page.locator(".bar").count() == 20
    page.locator(".more", has_text="Fewer").click()
    assert page.locator(".bar").count() == 6
    assert not page.locator("#seconds").is_visible()
    page.locator('input[value="many@1"]').set_checked(False, force=True)
    page.locator('input[value="pairs@1"]').set_checked(True, force=True)
    page.fill("#seconds", "its second")
    page.locator("#seconds").wait_for()
    body = {"model": "pairs@1", "input": [["one text", "its second"]]}
    wanted = httpx.post(f"{server[0]}/classify", json=body).json()["data"][0]["probs"]
    page.locator(".share", has_text=f"{100 * wanted[0]:.1f}%").wait_for()


def test_the_snippets_run_and_give_the_same_answer(page, server, tmp_path):
    page.goto(server[0])
    page.locator(".bar").first.wait_for()
    text = 'it\'s a "film" with $HOME, `id` and \\ in it'
    page.fill("#texts", text)
    page.locator("#latency", has_text="1 text,").wait_for()
    best = page.locator(".bar.best .name").inner_text()
    curl = page.inner_text("#snippet")
    done = subprocess.run(["bash", "-c", curl.replace("curl ", "curl -s ")], capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["data"][0]["label"] == best
    page.focus("#tab-curl")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#tab-python", "aria-selected") == "true"
    code = page.inner_text("#snippet")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split(" 0.")[0] == best, done.stderr


def test_the_keyboard_alone_is_enough(page, server):
    page.goto(server[0])
    page.locator(".bar").first.wait_for()
    first = page.locator("#choices input").first
    first.focus()
    page.keyboard.press("Space")
    assert not first.is_checked()
    page.keyboard.press("Space")
    assert first.is_checked()
    for _ in range(page.locator("#choices input").count()):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "texts"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".text h3", has_text="central bank").wait_for()
    unnamed = page.locator("input, textarea, button").evaluate_all(
        "all => all.filter(one => !(one.labels?.length || one.textContent.trim() || one.ariaLabel)).map(one => one.outerHTML)"
    )
    assert unnamed == []


def test_a_server_with_a_token_asks_for_it(page, server):
    page.goto(server[1])
    page.locator("#gate").wait_for()
    page.fill("#token", "wrong-token")
    page.click("text=Use it")
    page.locator("#summary", has_text="refused").wait_for()
    page.fill("#token", TOKEN)
    page.click("text=Use it")
    page.locator(".bar").first.wait_for()
    assert not page.locator("#gate").is_visible()
    assert "LORABERT_TOKEN" in page.inner_text("#snippet")
    assert TOKEN not in page.inner_text("#snippet")
    page.reload()
    page.locator(".bar").first.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1180])
def test_nothing_is_cut_off_and_everything_can_be_read(browser, server, scheme, width):
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    page.goto(server[0])
    page.locator(".bar").first.wait_for()
    for name in ("hostile@1", "many@1"):
        page.locator(f'input[value="{name}"]').set_checked(True, force=True)
    page.locator(".panel h4", has_text="many@1").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    contrast = page.evaluate(CONTRAST)
    assert min(contrast.values()) >= 4.5, contrast
    context.close()


# WCAG 2.1's contrast of each kind of text with what lies behind it.
CONTRAST = """() => {
  const colour = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const found = colour(getComputedStyle(node).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const found = {};
  for (const selector of ["#summary", "h1", "h2", "legend", ".note", ".choice input:checked + span", "#texts", "button", "a",
    ".choice input:not(:checked) + span", ".text h3", ".panel h4", ".name", ".share", ".best .name", ".more", "#snippet"]) {
    const node = document.querySelector(selector);
    const [a, b] = [light(colour(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    found[selector] = (a + 0.05) / (b + 0.05);
  }
  return found;
}"""
