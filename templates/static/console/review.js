// Scoring by keyboard: the first empty score has the focus, and a digit leads on to the next field.
"use strict";
const form = document.querySelector("[data-score-form]");
if (form) {
  const fields = [...form.querySelectorAll("input[type=number], textarea")];
  (fields.find((field) => field.type === "number" && !field.value) || fields[0]).focus();
  for (const field of fields.filter((one) => one.type === "number")) {
    field.addEventListener("focus", () => field.select());
    field.addEventListener("input", () => {
      // A 1 may still become 10.
      if (/^([02-9]|10)$/.test(field.value)) fields[fields.indexOf(field) + 1].focus();
    });
  }
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}
