// The first page keeps itself current while it is looked at; what has the focus or is selected is left alone.
"use strict";
async function look() {
  const home = document.querySelector("[data-home]");
  if (document.hidden || home.contains(document.activeElement) || !getSelection().isCollapsed) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer || !answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-home]");
  if (fresh && fresh.innerHTML !== home.innerHTML) home.replaceChildren(...fresh.childNodes);
}

setInterval(look, 5000);
