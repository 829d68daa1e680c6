// A run's parameters are searched as one types; nothing is asked of the server.
"use strict";
for (const box of document.querySelectorAll("input[data-search]")) {
  const part = box.closest(".run-parameters");
  const told = part.querySelector("[aria-live]");
  const rows = [...part.querySelectorAll("tbody tr")];
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      shown += row.hidden ? 0 : 1;
    }
    told.textContent = words.length ? `${shown} of ${rows.length}` : "";
  });
  box.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
}
