// Blind pairs by keyboard: a vote is sent, then the next pair, loaded meanwhile, takes its place.
"use strict";
const page = document.querySelector("[data-pairs]");
const form = page.querySelector("[data-vote]");
const problem = page.querySelector("[data-problem]");
const buttons = { left: form.querySelector("[value=left]"), right: form.querySelector("[value=right]") };
const keys = { ArrowLeft: "left", 1: "left", ArrowRight: "right", 2: "right", ArrowDown: "tie", t: "tie", T: "tie" };
const ready = new Map();
let place = Number(page.dataset.place);
let busy = false;

function pair(at) {
  // Kept as elements: the pictures are not to be stored, so they could not be fetched from a cache later.
  if (!ready.has(at)) {
    const found = {};
    for (const side of ["left", "right"]) {
      found[side] = new Image(384, 384);
      found[side].className = "punk";
      found[side].alt = `the ${side} picture`;
      found[side].src = `${page.dataset.pictures}${at}/${side}.png`;
    }
    ready.set(at, found);
  }
  return ready.get(at);
}

async function show(state) {
  if (state.place) {
    const pictures = pair(state.place);
    await Promise.allSettled([pictures.left.decode(), pictures.right.decode()]);
    for (const side of ["left", "right"]) buttons[side].replaceChildren(pictures[side]);
    page.querySelector("[data-prompt]").textContent = state.prompt;
  }
  ready.delete(place);
  place = state.place;
  form.elements.place.value = place || "";
  form.hidden = !place;
  const done = page.querySelector("[data-done]");
  done.hidden = Boolean(place);
  page.querySelector("[data-lost]").replaceChildren(...state.lost.map((fault) => Object.assign(document.createElement("li"), { textContent: fault })));
  if (!place) done.querySelector("h2").focus();
  page.querySelector("progress").value = state.n_done;
  page.querySelector("[data-progress]").textContent = `${state.n_done} of ${state.n_all} voted`;
  if (state.following) pair(state.following);
}

async function send(address, fields) {
  if (busy) return;
  busy = true;
  const body = new FormData();
  body.set("csrfmiddlewaretoken", page.querySelector("[name=csrfmiddlewaretoken]").value);
  for (const [name, value] of Object.entries(fields)) body.set(name, value);
  problem.hidden = true;
  try {
    const answer = await fetch(address, { method: "POST", body, headers: { Accept: "application/json" } });
    if (!(answer.headers.get("Content-Type") || "").startsWith("application/json")) throw new Error(answer.statusText);
    const state = await answer.json();
    await show(state);
    problem.textContent = state.problem;
    problem.hidden = !state.problem;
  } catch {
    problem.textContent = "The lab did not answer, so this vote may not be kept. Open the page again: it goes on where your votes end.";
    problem.hidden = false;
  } finally {
    busy = false;
  }
}

const vote = (said) => place && send(form.getAttribute("action"), { place, said });
const undo = () => send(page.dataset.undo, {});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.submitter && event.submitter.name === "said") vote(event.submitter.value);
  else undo();
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input, textarea, select")) return;
  if (keys[event.key]) {
    event.preventDefault();
    vote(keys[event.key]);
  } else if (event.key === "u" || event.key === "U") undo();
  else if (event.key === "Escape") window.location.assign(page.querySelector("[data-leave]").href);
});
if (page.dataset.following) pair(Number(page.dataset.following));
