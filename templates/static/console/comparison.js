// A full comparison that draws: its progress moves by itself, and is told in quarters to those who listen.
const heard = document.querySelector(".matrix-status");
let told = quarter(document.querySelector(".full-comparison"));

function quarter(section) {
  return section.hasAttribute("data-waiting") ? Math.floor(section.dataset.share * 4) : 4;
}

async function look() {
  const section = document.querySelector(".full-comparison[data-waiting]");
  if (!section || document.hidden) return;
  const answer = await fetch(section.dataset.progress, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer || !answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".full-comparison");
  if (!fresh || fresh.outerHTML === section.outerHTML) return;
  const held = section.contains(document.activeElement) && document.activeElement.getAttribute("href");
  section.replaceWith(fresh);
  if (held) fresh.querySelector(`a[href="${held}"]`)?.focus();
  if (quarter(fresh) !== told && heard) {
    told = quarter(fresh);
    heard.replaceChildren(`Full comparison: ${fresh.querySelector(".told").textContent} `);
    const link = document.createElement("a");
    link.href = location.href;
    link.textContent = "Show the new pictures";
    heard.append(link);
  }
}

setInterval(look, 3000);
