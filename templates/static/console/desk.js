// The review desk: an epoch scored with keys only, its pictures judged and marked, every step kept as a draft at once.
"use strict";

const desk = document.querySelector("[data-desk]");
const facts = JSON.parse(document.getElementById("desk-facts").textContent);
const pictures = facts.pictures;
const form = desk.querySelector("[data-score-form]");
const find = (selector, root = desk) => root.querySelector(selector);
const all = (selector, root = desk) => [...root.querySelectorAll(selector)];
const rows = all("[data-score]");
const status = find("[data-status]");
const steps = []; // what undoes the last steps, the newest last
let at = 0; // the picture that is shown
let flipped = false;
let cursor = null; // [row, column] while zoomed to cells

const say = (words) => { if (status) status.textContent = words; };
const token = () => find("[name=csrfmiddlewaretoken]", document).value;

// Pictures -------------------------------------------------------------------------------------------------------------

function draw() {
  const picture = pictures[at];
  const image = find("[data-large]");
  image.src = flipped ? picture.baseline : picture.url;
  image.alt = picture.prompt || picture.name;
  find("[data-label]").textContent = flipped ? facts.baseline : "this epoch";
  find("[data-canvas]").classList.toggle("flipped", flipped);
  find("[data-name]").textContent = picture.name;
  find("[data-count]").textContent = `${at + 1} of ${pictures.length}`;
  find("[data-prompt]").textContent = picture.prompt;
  for (const kind of ["previous", "baseline"]) {
    const figure = find(`[data-beside=${kind}]`);
    figure.hidden = !picture[kind];
    if (picture[kind]) {
      find("img", figure).src = picture[kind];
      find("img", figure).alt = `${facts[kind]}: ${picture.name}`;
    }
  }
  all("[data-picture-at]").forEach((button, place) => {
    button.toggleAttribute("aria-current", place === at);
    if (place === at) button.setAttribute("aria-current", "true");
    const { passed, score, marks, name } = pictures[place];
    const words = [passed === true ? "✓" : passed === false ? "✗" : "", score ?? "", Object.keys(marks).length ? "•" : ""];
    find("[data-state]", button).textContent = words.join("");
    button.setAttribute("aria-label", [name, passed === true ? "passed" : passed === false ? "failed" : "", score === null ? "" : `score ${score}`, told(marks)].filter(Boolean).join(", "));
  });
  const checks = find("[data-checks]");
  if (checks) checks.replaceChildren(...picture.checks.map(([part, matches]) => said(matches, part)), ...picture.defects.map((defect) => said(false, defect)));
  if (form) drawWord(picture);
  drawMeasures();
}

function said(good, words) {
  const span = document.createElement("span");
  span.className = good ? "mark-good" : "mark-bad";
  span.textContent = `${good ? "✓" : "✗"} ${words}`;
  return span;
}

function drawWord(picture) {
  find("[data-word]").hidden = picture.result === null;
  for (const button of all("[data-pass]")) button.setAttribute("aria-pressed", String(picture.passed) === button.dataset.pass);
  find("[data-picture-score]").value = picture.score ?? "";
  find("[data-marked]").textContent = told(picture.marks);
  const cells = flipped ? [] : Object.entries(picture.marks).flatMap(([kind, places]) => places.map(([row, column]) => `<rect class="kind-${kind}" x="${column}" y="${row}" width="1" height="1"/>`));
  if (cursor) cells.push(`<rect class="cursor" x="${cursor[1]}" y="${cursor[0]}" width="1" height="1"/>`);
  find("[data-marks]").innerHTML = cells.join("");
}

const told = (marks) => Object.entries(marks).map(([kind, places]) => `${places.length} ${kind}`).join(", ");

function show(place) {
  at = (place + pictures.length) % pictures.length;
  flipped = false;
  draw();
  find(`[data-picture-at="${at}"]`).scrollIntoView({ block: "nearest", inline: "nearest" });
  for (const step of [1, 2]) {
    const next = pictures[(at + step) % pictures.length];
    for (const url of [next.previous, next.baseline]) if (url) new Image().src = url;
  }
}

function flip() {
  if (!pictures[at].baseline) return say("There is no baseline of this picture.");
  flipped = !flipped;
  draw();
}

let measured = null;
async function drawMeasures() {
  const box = find("[data-measures-box]");
  if (!box || !box.open || measured === at) return;
  const place = (measured = at);
  const { render } = pictures[place];
  const words = "Not measured: this picture was not drawn here.";
  const answer = render === null ? null : await fetch(desk.dataset.measures.replace("/0/", `/${render}/`)).catch(() => null);
  if (measured === place) find("[data-measured]").innerHTML = answer && answer.ok ? await answer.text() : `<p class="quiet">${words}</p>`;
}

// A word on a picture: kept at once, one request after the other so that the last one stays ------------------------------

let sending = Promise.resolve();
function word(change, undoable = true) {
  const picture = pictures[at];
  if (picture.result === null) return say("This picture has no row of its own: score the epoch.");
  const before = { passed: picture.passed, score: picture.score, marks: structuredClone(picture.marks) };
  Object.assign(picture, change);
  if (undoable) steps.push(() => { show(pictures.indexOf(picture)); word(before, false); });
  draw();
  const body = JSON.stringify({ passed: picture.passed, score: picture.score, marks: picture.marks });
  sending = sending.then(async () => {
    const answer = await fetch(desk.dataset.picture.replace("/0/", `/${picture.result}/`), { method: "POST", body, headers: { "Content-Type": "application/json", "X-CSRFToken": token() }, keepalive: true }).catch(() => null);
    say(answer && answer.ok ? "Kept." : answer ? (await answer.json().catch(() => ({}))).problem || "This was not kept: reload the page." : "No connection: this was not kept.");
  });
}

function mark(row, column) {
  if (!form || flipped) return;
  const kind = find("[data-kind]:checked").value;
  const marks = structuredClone(pictures[at].marks);
  const cells = (marks[kind] || []).filter(([r, c]) => r !== row || c !== column);
  if (cells.length === (marks[kind] || []).length) cells.push([row, column]);
  if (cells.length) marks[kind] = cells; else delete marks[kind];
  word({ marks });
}

function zoom(on) {
  if (!form || !pictures.length) return;
  cursor = on ? [12, 12] : null;
  find("[data-canvas]").classList.toggle("zoomed", on);
  draw();
  say(on ? "Zoomed to cells: arrows move, Space marks, Esc ends." : "");
}

// Scores ---------------------------------------------------------------------------------------------------------------

let active = 0; // the row that digits score; -1: the picture
function activate(row) {
  active = Math.max(-1, Math.min(rows.length - 1, row));
  rows.forEach((one, place) => one.classList.toggle("active", place === active));
  find(".strip")?.classList.toggle("active", active === -1);
  const target = active === -1 ? find(`[data-picture-at="${at}"]`) : find("input:checked", rows[active]) || find("input", rows[active]);
  target?.focus({ preventScroll: true });
}

const accepted = () => new Set(find("[data-accepted]").value.split(",").filter(Boolean));

function score(row, value, isAccepted = false) {
  const name = row.dataset.score;
  const before = find("input:checked", row);
  const taken = accepted();
  const former = taken.has(name);
  steps.push(() => { put(row, before ? before.value : null, former); activate(rows.indexOf(row)); });
  put(row, value, isAccepted);
  const open = rows.findIndex((one) => !find("input:checked", one));
  activate(open === -1 ? rows.indexOf(row) : open);
  if (open === -1) say("All three are given: n saves and goes on.");
}

function put(row, value, isAccepted) {
  for (const input of all("input[type=radio]", row)) input.checked = input.value === String(value);
  const taken = accepted();
  taken[isAccepted ? "add" : "delete"](row.dataset.score);
  find("[data-accepted]").value = [...taken].join(",");
  drawAccepted();
  keep();
}

function drawAccepted() {
  const taken = accepted();
  for (const row of rows) {
    const words = find("[data-is-accepted]", row);
    if (words) words.hidden = !taken.has(row.dataset.score);
  }
}

const isComplete = () => rows.every((row) => find("input:checked", row));

function enter() {
  if (isComplete()) return save();
  if (active < 0) return;
  const button = find("[data-accept]", rows[active]);
  if (button) score(rows[active], button.dataset.accept, true);
  else say("There is no suggestion for this score: type a digit.");
}

let leaving = false;
async function save() {
  if (leaving) return;
  leaving = true;
  clearTimeout(waiting);
  await sending;
  form.requestSubmit();
}

async function next() {
  if (form && isComplete()) return save();
  leaving = true;
  if (form) await send();
  location.href = desk.dataset.next;
}

// The draft: a moment after each change, and when the page is left ---------------------------------------------------------

let waiting = 0;
let changed = false;
function keep() {
  changed = true;
  clearTimeout(waiting);
  waiting = setTimeout(send, 600);
}

let drafting = Promise.resolve();
function send() {
  drafting = drafting.then(async () => {
    if (!changed) return;
    changed = false;
    const body = new FormData(form);
    body.set("seen", desk.dataset.seen);
    const answer = await fetch(desk.dataset.draft, { method: "POST", body, keepalive: true }).catch(() => null);
    const said = answer ? await answer.json().catch(() => ({})) : {};
    if (answer && answer.ok) {
      desk.dataset.seen = said.version;
      say("Draft kept.");
    } else {
      changed = !answer;
      say(said.problem || "The draft could not be kept: are you still logged in?");
    }
  });
  return drafting;
}

// Keys -----------------------------------------------------------------------------------------------------------------

function undo() {
  const step = steps.pop();
  if (step) return step();
  const saved = find("[data-undo-saved]");
  if (saved) saved.requestSubmit();
  else say("Nothing to undo.");
}

function digit(value) {
  if (active >= 0) return score(rows[active], value);
  word({ score: value });
  if (at + 1 < pictures.length) {
    show(at + 1);
    activate(-1);
  }
}

const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function zoomed(event) {
  if (moves[event.key]) {
    cursor = cursor.map((value, axis) => Math.max(0, Math.min(23, value + moves[event.key][axis])));
    draw();
    say(`Row ${cursor[0] + 1}, column ${cursor[1] + 1}`);
  } else if (event.key === " " || event.key === "Enter") mark(...cursor);
  else if (/^[1-6]$/.test(event.key)) all("[data-kind]")[event.key - 1].checked = true;
  else if (event.key === "Escape" || event.key === "z") zoom(false);
  else return false;
  return true;
}

const commands = {
  ArrowUp: () => form && activate(active - 1),
  ArrowDown: () => form && activate(active + 1),
  ArrowLeft: () => pictures.length && show(at - 1),
  ArrowRight: () => pictures.length && show(at + 1),
  b: () => pictures.length && flip(),
  z: () => zoom(true),
  m: () => { const box = find("[data-measures-box]"); if (box) { box.open = !box.open; drawMeasures(); } },
  n: next,
  "?": () => find("[data-keys]", document).showModal(),
};
const scoring = {
  Enter: enter,
  p: () => pictures.length && word({ passed: pictures[at].passed === true ? null : true }),
  f: () => pictures.length && word({ passed: pictures[at].passed === false ? null : false }),
  o: () => find("textarea[name=observations]").focus(),
  i: () => find("[name=issue_tags]").focus(),
  u: undo,
  x: () => digit(10),
};

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) {
    if (key === "Enter" && form) save();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if (target.matches("textarea, select, input[type=text]")) {
    if (key === "Escape") activate(active);
    return;
  }
  if (cursor) {
    if (zoomed(event)) event.preventDefault();
    return;
  }
  // A button, a link or a box that has the focus keeps its own keys.
  const isOwn = target.matches("a, button, summary, input[type=submit], input[type=checkbox]") && (key === "Enter" || key === " ");
  if (isOwn) return;
  const act = /^[0-9]$/.test(key) && form ? () => digit(Number(key)) : commands[key] || (form && scoring[key]);
  if (!act) return;
  event.preventDefault();
  act();
});

document.addEventListener("focusin", ({ target }) => {
  const row = target.closest?.("[data-score]");
  const place = row ? rows.indexOf(row) : target.closest?.(".strip") ? -1 : active;
  if (place === active) return;
  active = place;
  rows.forEach((one, index) => one.classList.toggle("active", index === active));
  find(".strip")?.classList.toggle("active", active === -1);
});

find("[data-keys-button]").addEventListener("click", commands["?"]);
find("[data-measures-box]")?.addEventListener("toggle", drawMeasures);
for (const button of all("[data-picture-at]")) button.addEventListener("click", () => show(Number(button.dataset.pictureAt)));
find("[data-large]")?.addEventListener("dragstart", (event) => event.preventDefault());

if (form) {
  for (const row of rows) {
    for (const input of all("input[type=radio]", row)) {
      let former = null;
      input.parentElement.addEventListener("pointerdown", () => { former = find("input:checked", row)?.value ?? null; });
      input.addEventListener("click", () => {
        const wasAccepted = accepted().has(row.dataset.score);
        const before = former;
        steps.push(() => put(row, before, wasAccepted));
        put(row, input.value, false);
      });
    }
    find("[data-accept]", row)?.addEventListener("click", ({ target }) => score(row, target.closest("[data-accept]").dataset.accept, true));
  }
  for (const button of all("[data-pass]")) {
    button.addEventListener("click", () => {
      const passed = button.dataset.pass === "true";
      word({ passed: pictures[at].passed === passed ? null : passed });
    });
  }
  find("[data-picture-score]")?.addEventListener("change", ({ target }) => word({ score: target.value === "" ? null : Number(target.value) }));
  find("[data-canvas]")?.addEventListener("click", (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const cell = (position, length) => Math.max(0, Math.min(23, Math.floor((24 * position) / length)));
    mark(cell(event.clientY - box.top, box.height), cell(event.clientX - box.left, box.width));
  });
  form.addEventListener("input", keep);
  form.addEventListener("submit", () => { leaving = true; changed = false; });
  addEventListener("pagehide", () => { if (changed) send(); });
  drawAccepted();
  const open = rows.findIndex((row) => !find("input:checked", row));
  activate(open === -1 ? 0 : open);
}
if (pictures.length) draw();
