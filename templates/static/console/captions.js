// The caption workbench by keyboard: checked and kept while one types. Everything works without this file too.
"use strict";
const all = document.getElementById("all");
if (all) all.addEventListener("change", () => document.querySelectorAll("input[name=change]").forEach((one) => { one.checked = all.checked; }));

const form = document.getElementById("bench-form");
const said = document.getElementById("saved");
const press = (act) => form && form.querySelector(`button[value=${act}]`)?.click();

function put(words, whole) {
  const text = form.elements.text;
  text.focus();
  if (whole) text.select();
  text.setRangeText(words, text.selectionStart, text.selectionEnd, "end");
  text.dispatchEvent(new Event("input", { bubbles: true }));
}

for (const button of document.querySelectorAll("[data-hex]")) {
  button.addEventListener("click", () => {
    if (form) put(button.dataset.hex, false);
    navigator.clipboard?.writeText(button.dataset.hex).catch(() => null);
    said.textContent = `${button.dataset.hex} copied`;
  });
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (typing) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); press("save"); }
    if (event.key === "Escape") typing.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = {
    a: () => press("approve"),
    s: () => press("skip"),
    u: () => press("undo"),
    e: () => form && form.elements.text.focus(),
    n: () => document.getElementById("next")?.click(),
    p: () => document.getElementById("previous")?.click(),
    "?": () => { const help = document.getElementById("keys"); if (help) help.open = !help.open; },
  };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});

if (form) {
  const { text, corrections, number } = form.elements;
  let checking = 0;
  let keeping = 0;
  let kept = text.value + "\0" + corrections.value;
  let busy = false;
  let tried = false;
  let over = false; // the page is being left by a button: its own request says it all

  const send = (act, extra) => {
    const body = new FormData(form);
    body.delete("lab_row");
    body.set("act", act);
    for (const [name, value] of Object.entries(extra || {})) body.set(name, value);
    return body;
  };

  async function check() {
    const sent = text.value;
    const answer = await fetch(form.dataset.check, { method: "POST", body: send("check", { stem: form.dataset.stem }) }).catch(() => null);
    if (answer && answer.ok && !answer.redirected && sent === text.value) document.getElementById("checked").innerHTML = await answer.text();
  }

  async function keep() {
    const now = text.value + "\0" + corrections.value;
    if (over || now === kept) return;
    if (busy) { keeping = setTimeout(keep, 500); return; }
    busy = true;
    said.textContent = "keeping …";
    const answer = await fetch(location.href, { method: "POST", body: send("autosave"), keepalive: true }).catch(() => null);
    busy = false;
    if (answer && answer.ok && !answer.redirected) {
      number.value = (await answer.json()).number;
      kept = now;
      said.textContent = "kept";
    } else if (answer && answer.status === 409) {
      said.textContent = (await answer.json()).problem;
    } else {
      said.textContent = "not kept: the lab does not answer; press Save before you leave";
    }
  }

  form.addEventListener("input", () => {
    clearTimeout(checking);
    clearTimeout(keeping);
    checking = setTimeout(check, 300);
    keeping = setTimeout(keep, 1500);
  });
  form.addEventListener("submit", (event) => {
    // A step that is on its way would make this one look stale: let it arrive first.
    const undoes = event.submitter && event.submitter.value === "undo" && text.value + "\0" + corrections.value !== kept;
    if (busy || (undoes && !tried)) {
      event.preventDefault();
      tried = undoes; // what was typed last becomes the step that is undone, so that it stays in the history
      if (undoes) keep();
      const again = setInterval(() => { if (!busy) { clearInterval(again); event.submitter.click(); } }, 50);
      return;
    }
    over = true;
  });
  addEventListener("pageshow", () => { over = false; });
  addEventListener("pagehide", keep);
}
