// Asks where the punk is, ever less often, and shows the page anew when it is done. Without it the page refreshes itself.
"use strict";

const address = document.querySelector("[data-status]").dataset.status;
const told = document.querySelector("#progress");
const LONGEST = 5000;

async function ask(wait) {
  try {
    const answer = await fetch(address, { headers: { Accept: "application/json" } });
    const found = await answer.json();
    if (found.done) {
      location.reload();
      return;
    }
    if (told.textContent !== found.text) told.textContent = found.text;
  } catch {
    told.textContent = "The site does not answer; trying again.";
  }
  setTimeout(ask, wait, Math.min(LONGEST, wait * 1.3));
}

setTimeout(ask, 500, 700);
