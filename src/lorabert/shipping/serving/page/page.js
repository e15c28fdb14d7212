// The page to try a server. Everything a server or an adapter says is put in as text, never as HTML.

const $ = (id) => document.getElementById(id);
const SHOWN_LABELS = 6;
const PAUSE_MS = 180;
const SAMPLES = {
  reviews: [
    "A warm, funny film that earns every one of its tears.",
    "Two hours I will never get back.",
    "The songs are lovely, but the story never leaves the ground.",
  ],
  news: [
    "The central bank left its rate unchanged and hinted at a cut in spring.",
    "A late goal sent the champions home in the first round.",
    "Astronomers found water vapour around a small, cool planet.",
  ],
  messages: [
    "I still cannot believe you remembered my birthday!",
    "Where is my parcel? This is the third time I ask.",
    "Thanks, that fixed it.",
  ],
  none: [],
};

const state = { token: sessionStorage.getItem("token") || "", details: new Map(), asked: 0, abort: null, language: "curl" };

/** Make an element with a class and a text. */
function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Call the server; throws an Error that carries the problem's detail and status. */
async function call(path, options = {}) {
  const headers = { "Content-Type": "application/json" };
  if (state.token) headers.Authorization = `Bearer ${state.token}`;
  const response = await fetch(path, { ...options, headers });
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  if (response.status === 401) askForToken();
  const wait = response.headers.get("Retry-After");
  throw Object.assign(new Error(body.detail || `The server answered ${response.status}`), { status: response.status, wait });
}

// ---- adapters

function askForToken() {
  $("gate").hidden = false;
  $("summary").textContent = state.token ? "The token was refused" : "A token is needed";
}

async function listAdapters() {
  try {
    const models = (await call("/v1/models")).data;
    $("gate").hidden = true;
    $("summary").textContent = models.length === 1 ? "1 adapter on one base" : `${models.length} adapters on one base`;
    showAdapters(models.map((model) => model.id));
  } catch (error) {
    if (error.status !== 401) $("summary").textContent = "The server cannot be reached";
  }
}

function showAdapters(names) {
  const many = names.length > 8;
  $("filter").hidden = $("filter-label").hidden = !many;
  $("choices").replaceChildren(
    ...names.map((name, index) => {
      const choice = element("label", "choice");
      const box = Object.assign(element("input"), { type: "checkbox", value: name, checked: index === 0 });
      box.addEventListener("change", ask);
      choice.append(box, element("span", "", name));
      return choice;
    }),
  );
  ask();
}

function filterAdapters() {
  const wanted = $("filter").value.toLowerCase();
  for (const choice of $("choices").children) {
    const box = choice.querySelector("input");
    choice.hidden = !box.checked && !box.value.toLowerCase().includes(wanted);
  }
}

const chosen = () => [...document.querySelectorAll("#choices input:checked")].map((box) => box.value);

/** What an adapter's folder says of it; asked once. */
async function detailsOf(name, signal) {
  if (!state.details.has(name)) state.details.set(name, await call(`/v1/models/${encodeURIComponent(name)}`, { signal }));
  return state.details.get(name);
}

// ---- asking

const linesOf = (id) => $(id).value.split("\n").map((line) => line.trim());
const texts = () => linesOf("texts").filter(Boolean);

/** The input of a request: texts, or pairs of the lines that stand beside each other. */
function inputFor(details) {
  if (!details.pairs) return texts();
  const seconds = linesOf("seconds");
  return linesOf("texts").flatMap((text, index) => (text ? [[text, seconds[index] || ""]] : []));
}

let timer = 0;
function askSoon() {
  clearTimeout(timer);
  timer = setTimeout(ask, PAUSE_MS);
}

async function ask() {
  clearTimeout(timer);
  state.abort?.abort();
  const { signal } = (state.abort = new AbortController());
  const turn = ++state.asked;
  const names = chosen();
  try {
    const details = await Promise.all(names.map((name) => detailsOf(name, signal)));
    if (turn !== state.asked) return;
    $("seconds-field").hidden = !details.some((each) => each.pairs);
    showSnippet(details[0]);
    const given = texts();
    $("empty").hidden = names.length > 0 && given.length > 0;
    if (!$("empty").hidden) return clearAnswers();
    const start = performance.now();
    const answers = await Promise.all(
      details.map((each) =>
        call("/classify", { method: "POST", signal, body: JSON.stringify({ model: each.id, input: inputFor(each) }) }),
      ),
    );
    if (turn !== state.asked) return;
    showAnswers(given, answers, performance.now() - start);
  } catch (error) {
    if (error.name === "AbortError" || turn !== state.asked) return;
    showTrouble(error);
    if (error.status === 429 || error.status === 503) timer = setTimeout(ask, 1000 * Number(error.wait || 1));
  }
}

function showTrouble(error) {
  const unreachable = error instanceof TypeError;
  $("trouble").textContent = unreachable ? "The server cannot be reached." : error.message;
  $("trouble").hidden = error.status === 401;
}

// ---- answers: the elements stay and only change, so that bars move and readers are not thrown about

function clearAnswers() {
  $("answers").replaceChildren();
  $("latency").textContent = $("said").textContent = "";
  $("trouble").hidden = true;
}

/** As many children as there are items, made where they lack; each is given its item. */
function match(parent, items, make, update) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(make());
  items.forEach((item, index) => update(parent.children[index], item));
}

function showAnswers(given, answers, milliseconds) {
  $("trouble").hidden = true;
  const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const tokens = answers.reduce((sum, answer) => sum + answer.usage.prompt_tokens, 0);
  $("latency").textContent = `${count(given.length, "text")}, ${count(tokens, "token")} in ${milliseconds.toFixed(0)} ms`;
  $("said").textContent = answers
    .map((answer) => `${answer.model}: ${answer.data.slice(0, 5).map((row) => row.label ?? "no label").join(", ")}`)
    .join(". ");
  match($("answers"), given, makeText, (card, text) => {
    const index = [...card.parentElement.children].indexOf(card);
    card.querySelector("h3").textContent = text;
    match(card.querySelector(".panels"), answers, makePanel, (panel, answer) => showPanel(panel, answer, answer.data[index]));
  });
}

function makeText() {
  const card = element("article", "card text");
  card.append(element("h3"), element("div", "panels"));
  return card;
}

function makePanel() {
  const panel = element("div", "panel");
  const more = Object.assign(element("button", "more"), { type: "button" });
  more.addEventListener("click", () => {
    panel.classList.toggle("all");
    showPanel(panel, panel.answer, panel.row);
  });
  panel.append(element("h4"), element("ol", "bars"), more);
  return panel;
}

function showPanel(panel, answer, row) {
  Object.assign(panel, { answer, row });
  panel.querySelector("h4").textContent = answer.model;
  let bars = answer.labels.map((label, index) => ({ label, share: row.probs[index] }));
  const rest = bars.length - SHOWN_LABELS;
  const long = rest > 1;
  if (long) bars.sort((a, b) => b.share - a.share);
  if (long && !panel.classList.contains("all")) bars = bars.slice(0, SHOWN_LABELS);
  match(panel.querySelector(".bars"), bars, makeBar, (bar, { label, share }) => {
    bar.classList.toggle("best", label === row.label);
    bar.querySelector(".name").textContent = label;
    bar.querySelector(".share").textContent = `${(100 * share).toFixed(1)}%`;
    bar.querySelector(".fill").style.width = `${100 * share}%`;
  });
  const more = panel.querySelector(".more");
  more.hidden = !long;
  more.textContent = panel.classList.contains("all") ? "Fewer" : `${rest} more labels`;
}

function makeBar() {
  const bar = element("li", "bar");
  const track = element("div", "track");
  track.setAttribute("aria-hidden", "true");
  track.append(element("div", "fill"));
  bar.append(element("span", "name"), element("span", "share"), track);
  return bar;
}

// ---- code to copy

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const SNIPPETS = {
  curl: (url, body) =>
    [
      `curl ${url}`,
      `-H 'Content-Type: application/json'`,
      ...(state.token ? [`-H "Authorization: Bearer $LORABERT_TOKEN"`] : []),
      `-d ${quoted(JSON.stringify(body))}`,
    ].join(" \\\n  "),
  python: (url, body) =>
    [
      ...(state.token ? ["import os", ""] : []),
      "import requests",
      "",
      "answer = requests.post(",
      `    ${JSON.stringify(url)},`,
      `    json={"model": ${JSON.stringify(body.model)}, "input": ${JSON.stringify(body.input)}},`,
      ...(state.token ? [`    headers={"Authorization": "Bearer " + os.environ["LORABERT_TOKEN"]},`] : []),
      "    timeout=30,",
      ")",
      "answer.raise_for_status()",
      'for row in answer.json()["data"]:',
      '    print(row["label"], max(row["probs"]))',
    ].join("\n"),
};

function showSnippet(details) {
  const input = details ? inputFor(details).slice(0, 3) : [];
  const body = { model: details ? details.id : "NAME", input: input.length ? input : ["a text"] };
  $("snippet").textContent = SNIPPETS[state.language](`${location.origin}/classify`, body);
}

function chooseLanguage(tab) {
  state.language = tab.id.replace("tab-", "");
  for (const other of document.querySelectorAll('[role="tab"]')) {
    other.setAttribute("aria-selected", String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
  }
  $("snippet").setAttribute("aria-labelledby", tab.id);
  showSnippet(state.details.get(chosen()[0]));
}

async function copySnippet() {
  const text = $("snippet").textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https a page may not write to the clipboard: select it instead, and the user's own Ctrl-C does.
    getSelection().selectAllChildren($("snippet"));
    $("copy").textContent = "Selected";
    return;
  }
  $("copy").textContent = "Copied";
  setTimeout(() => ($("copy").textContent = "Copy"), 1500);
}

// ---- wiring

$("gate").addEventListener("submit", (event) => {
  event.preventDefault();
  state.token = $("token").value.trim();
  sessionStorage.setItem("token", state.token);
  listAdapters();
});
$("texts").addEventListener("input", askSoon);
$("seconds").addEventListener("input", askSoon);
$("filter").addEventListener("input", filterAdapters);
$("copy").addEventListener("click", copySnippet);
for (const button of document.querySelectorAll("[data-sample]")) {
  button.addEventListener("click", () => {
    $("texts").value = SAMPLES[button.dataset.sample].join("\n");
    ask();
  });
}
for (const tab of document.querySelectorAll('[role="tab"]')) {
  tab.addEventListener("click", () => chooseLanguage(tab));
  tab.addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = tab.nextElementSibling || tab.previousElementSibling;
    other.focus();
    chooseLanguage(other);
  });
}
$("texts").value = SAMPLES.reviews.join("\n");
showSnippet();
listAdapters();
