// The matrix by keyboard: one cell has the focus, Enter shows it large, and its neighbours come at the same place and size.
const table = document.querySelector("table.matrix");
const viewer = document.querySelector("dialog.viewer");
const keys = document.querySelector("dialog.keys");
const heard = document.querySelector(".matrix-status");
const MOST_ZOOM = 24;

if (table) begin();

function begin() {
  const rows = [...table.querySelectorAll("tbody tr:not(.matrix-group)")];
  const headings = [...table.tHead.rows[0].cells].slice(1);
  const weights = JSON.parse(document.getElementById("matrix-weights").textContent);
  const steps = [...new Set(weights.flatMap(Object.keys))].sort((one, other) => one - other);
  const stage = viewer.querySelector(".viewer-stage");
  const picture = stage.querySelector("img");
  const nothing = stage.querySelector(".no-picture");
  let at = { row: 0, column: 0 };
  let weight = null; // as the page came
  let raw = false;
  let view = { zoom: 1, x: 0, y: 0 };

  const cell = (row, column) => rows[row].cells[column + 1].firstElementChild;
  const within = (value, most) => Math.max(0, Math.min(most, value));

  function address(code, asRendered) {
    const kind = code[0] === "r" ? (asRendered ? "raw" : "render") : asRendered ? "weight-raw" : "weight";
    return `${table.dataset.pictures}${kind}/${code.slice(1)}/0/`;
  }

  function shownWeight(row) {
    return weight !== null && weights[row][weight] ? weight : rows[row].dataset.weight;
  }

  // The focus moves among the cells; only one of them is a stop of the tabulator.
  function go(row, column) {
    cell(at.row, at.column).tabIndex = -1;
    at = { row: within(row, rows.length - 1), column: within(column, headings.length - 1) };
    const now = cell(at.row, at.column);
    now.tabIndex = 0;
    if (viewer.open) show();
    else now.focus();
  }

  // A weight in place of the one before it, in all cells at once.
  function step(by) {
    if (steps.length < 2) return say("No other LoRA weights are drawn: see Draw with weights.");
    const present = Math.max(0, steps.indexOf(weight ?? rows[at.row].dataset.weight));
    weight = steps[(present + by + steps.length) % steps.length];
    rows.forEach((row, place) => {
      const now = shownWeight(place);
      const codes = weights[place][now];
      if (codes) codes.forEach((code, column) => cell(place, column).replaceWith(made(code, row, now)));
      row.querySelector(".at-weight").textContent = now === row.dataset.weight ? "" : `at ${now}`;
      row.querySelectorAll(".missed").forEach((mark) => { mark.hidden = now !== row.dataset.weight; });
    });
    go(at.row, at.column);
    say(`LoRA weight ${weight}${weight === "0" ? ", the base without a LoRA" : ""}`);
  }

  function made(code, row, now) {
    const one = document.createElement(code ? "a" : "span");
    one.className = code ? "cell" : "cell no-picture";
    one.tabIndex = -1;
    if (!code) {
      one.textContent = `not drawn at ${now}`;
      return one;
    }
    one.dataset.code = code;
    one.href = address(code, true);
    const small = new Image(96, 96);
    small.loading = "lazy";
    small.className = "punk";
    small.alt = now === "1" ? row.dataset.label : `${row.dataset.label} at ${now}`;
    small.src = address(code, raw);
    one.append(small);
    return one;
  }

  function toggle() {
    raw = !raw;
    for (const one of table.querySelectorAll("a.cell")) one.firstElementChild.src = address(one.dataset.code, raw);
    viewer.querySelector("[data-key=f]").setAttribute("aria-pressed", String(!raw));
    if (viewer.open) show();
    say(raw ? "Pictures as rendered" : "Pictures of 24×24 cells");
  }

  function show() {
    const one = cell(at.row, at.column);
    const { code } = one.dataset;
    const heading = headings[at.column];
    const drawnAt = shownWeight(at.row);
    const missed = one.parentElement.querySelector(".missed:not([hidden])");
    viewer.querySelector("#viewer-title").textContent = [
      rows[at.row].dataset.label,
      drawnAt === "1" ? "" : `LoRA weight ${drawnAt}`,
      heading.firstChild.textContent.trim(),
      heading.querySelector(".quiet")?.textContent,
      raw ? "as rendered" : "24×24",
      missed?.textContent,
    ].filter(Boolean).join(" · ");
    viewer.querySelector(".viewer-prompt").textContent = heading.title;
    picture.hidden = !code;
    nothing.hidden = Boolean(code);
    nothing.textContent = code ? "" : one.textContent;
    if (code) picture.src = address(code, raw);
    picture.alt = code ? `${rows[at.row].dataset.label}, ${heading.title}` : "";
    place();
  }

  function place() {
    const most = (stage.clientWidth * view.zoom) / 2;
    view.x = Math.max(-most, Math.min(most, view.x));
    view.y = Math.max(-most, Math.min(most, view.y));
    picture.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`;
    picture.classList.toggle("punk", picture.clientWidth * view.zoom >= picture.naturalWidth);
  }

  // Larger or smaller around a point of the stage, which stays where it is.
  function zoom(factor, x = 0, y = 0) {
    const after = Math.max(1, Math.min(MOST_ZOOM, view.zoom * factor));
    const ratio = after / view.zoom;
    view = after === 1 ? { zoom: 1, x: 0, y: 0 } : { zoom: after, x: x - (x - view.x) * ratio, y: y - (y - view.y) * ratio };
    place();
  }

  function pan(x, y) {
    view = { ...view, x: view.x + x, y: view.y + y };
    place();
  }

  function open() {
    if (!viewer.open) viewer.showModal();
    show();
  }

  function say(text) {
    heard.textContent = text;
    if (viewer.open) viewer.querySelector(".viewer-prompt").textContent = text;
  }

  const arrows = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

  function press(event) {
    if (event.altKey || event.metaKey) return false;
    const { key } = event;
    const last = headings.length - 1;
    if (arrows[key]) {
      const [down, right] = arrows[key];
      if (event.shiftKey && viewer.open) pan(-right * 48, -down * 48);
      else go(at.row + down, at.column + right);
    } else if (key === "Home") go(event.ctrlKey ? 0 : at.row, 0);
    else if (key === "End") go(event.ctrlKey ? rows.length - 1 : at.row, last);
    else if (key === "PageUp") go(at.row - 5, at.column);
    else if (key === "PageDown") go(at.row + 5, at.column);
    else if (event.ctrlKey) return false;
    else if (key === "w") step(1);
    else if (key === "W") step(-1);
    else if (key === "f" || key === "F") toggle();
    else if (key === "?") keys.showModal();
    else if (viewer.open && (key === "+" || key === "=")) zoom(1.5);
    else if (viewer.open && key === "-") zoom(1 / 1.5);
    else if (viewer.open && key === "0") zoom(0);
    else if (!viewer.open && (key === "Enter" || key === " ")) open();
    else return false;
    return true;
  }

  const found = (target) => {
    const one = target.closest(".cell");
    return one && { row: rows.indexOf(one.closest("tr")), column: one.parentElement.cellIndex - 1 };
  };

  table.addEventListener("keydown", (event) => {
    if (event.target.closest(".cell") && press(event)) event.preventDefault();
  });
  table.addEventListener("focusin", (event) => {
    const place = found(event.target);
    if (!place || (place.row === at.row && place.column === at.column)) return;
    cell(at.row, at.column).tabIndex = -1;
    at = place;
    event.target.closest(".cell").tabIndex = 0;
  });
  table.addEventListener("click", (event) => {
    const place = found(event.target);
    if (!place || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(place.row, place.column);
    open();
  });

  viewer.addEventListener("keydown", (event) => {
    const isButton = event.target.closest("button") && (event.key === "Enter" || event.key === " ");
    if (!isButton && press(event)) event.preventDefault();
  });
  viewer.addEventListener("click", (event) => {
    const key = event.target.closest("[data-key]")?.dataset.key;
    if (key === "Escape") viewer.close();
    else if (key) press({ key });
  });
  viewer.addEventListener("close", () => go(at.row, at.column));
  picture.addEventListener("load", place);

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    const middle = { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
    zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, middle.x, middle.y);
  }, { passive: false });
  // One finger or the mouse moves the picture, two change its size.
  const fingers = new Map();
  const apart = () => {
    const [one, other] = fingers.values();
    return other ? Math.hypot(one.x - other.x, one.y - other.y) : 0;
  };
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  stage.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const wide = apart();
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (fingers.size === 1) pan(event.clientX - before.x, event.clientY - before.y);
    else if (wide) zoom(apart() / wide);
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => fingers.delete(event.pointerId));

  const help = document.querySelector("[data-keys]");
  help.hidden = false;
  help.addEventListener("click", () => keys.showModal());
  for (const one of table.querySelectorAll(".cell")) one.tabIndex = -1;
  cell(0, 0).tabIndex = 0;
}
