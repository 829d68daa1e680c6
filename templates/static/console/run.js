// While a run trains: its progress moves by itself, and new pictures are announced, never put under typing hands.
"use strict";
const jobs = document.querySelector("section.jobs");
const epochs = document.querySelector("section.epochs");
const pictures = (root) => [...root.querySelectorAll(".epoch, .pictures img, .no-picture")].map((one) => one.id || one.src || one.textContent).join("\n");
const shown = epochs ? pictures(epochs) : "";

async function look() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer || !answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const now = fresh.querySelector("section.jobs");
  if (jobs && now) jobs.innerHTML = now.innerHTML;
  const there = fresh.querySelector("section.epochs");
  if (there && pictures(there) !== shown && !document.querySelector(".fresh")) {
    const link = document.createElement("a");
    link.className = "fresh button";
    link.href = location.href;
    link.textContent = "There is more to see: reload";
    epochs.querySelector("h2").after(link);
  }
}

setInterval(() => { if (!document.hidden) look(); }, 5000);
