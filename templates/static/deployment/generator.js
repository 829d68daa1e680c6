// Colours the sketch as choices change. The page works without it.
"use strict";

const form = document.querySelector(".maker");

function paint(input) {
  const colour = input.dataset.swatch;
  if (!colour) return;
  for (const part of form.querySelectorAll(`[data-part="${input.name}"]`)) part.setAttribute("fill", colour);
}

form.addEventListener("change", (event) => {
  if (event.target.matches("input[type=radio]")) paint(event.target);
});
// A browser that goes back restores choices without telling.
window.addEventListener("pageshow", () => form.querySelectorAll("input[type=radio]:checked").forEach(paint));
