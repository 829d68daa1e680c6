// A page whose findings the queue is still looking for: it shows them once they are there, unless somebody is at work on it.
"use strict";
async function look() {
  const waiting = document.querySelector("[data-awaited]");
  if (!waiting || document.hidden) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer || !answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("content-main");
  if (!fresh || fresh.querySelector("[data-awaited]")) return;
  const shown = document.getElementById("content-main");
  if (!shown.contains(document.activeElement)) {
    shown.replaceWith(fresh);
    return;
  }
  const link = document.createElement("a");
  link.href = location.href;
  link.textContent = "Show the findings";
  waiting.removeAttribute("data-awaited");
  waiting.replaceChildren("The captions are checked. ", link);
}
setInterval(look, 3000);
