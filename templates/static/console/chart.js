// Draws every [data-chart] from the JSON inside it: {x: [...], y: [min, max], series: [{label, values, dashed?, thick?,
// band?: [lows, highs]}]}. The page shows the same numbers in a table beside it, for who has no script or does not see.
"use strict";

(() => {
  const HEIGHT = 260;
  const drawn = new Map();

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const toggles = (plot) => {
    for (const label of plot.root.querySelectorAll(".u-legend .u-series:not(.chart-x) th")) {
      const row = label.parentElement;
      label.tabIndex = 0;
      label.setAttribute("role", "button");
      label.setAttribute("aria-label", label.textContent); // without the colon that the style adds
      const tell = () => label.setAttribute("aria-pressed", String(!row.classList.contains("u-off")));
      tell();
      label.addEventListener("click", () => setTimeout(tell));
      label.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          label.click();
        }
      });
    }
  };

  const draw = (box, facts) => {
    const hidden = drawn.get(box)?.series.slice(1).map((one) => !one.show) ?? [];
    drawn.get(box)?.destroy();
    const data = [facts.x];
    const series = [{ label: "epoch", class: "chart-x" }];
    const bands = [];
    const edges = {};
    facts.series.forEach((one, index) => {
      const stroke = colour(`--chart-${(index % 8) + 1}`);
      const at = data.push(one.values) - 1;
      series.push({
        label: one.label,
        stroke,
        width: one.thick ? 3 : 1.5,
        dash: one.dashed ? [6, 5] : undefined,
        points: { show: true, size: one.thick ? 8 : 6, fill: colour("--body-bg") },
        spanGaps: true,
        show: !hidden[at - 1],
        value: (_, value) => (value === null || value === undefined ? "–" : value.toFixed(1)),
      });
      if (one.band) {
        const [low, high] = one.band.map((edge) => data.push(edge) - 1);
        for (const edge of [low, high]) {
          series[edge] = { label: "", class: "chart-edge", width: 0, points: { show: false }, spanGaps: true, show: !hidden[at - 1] };
        }
        bands.push({ series: [high, low], fill: `${stroke}33` });
        edges[at] = [low, high];
      }
    });
    const axis = { stroke: colour("--body-fg"), grid: { stroke: colour("--hairline-color"), width: 1 }, ticks: { stroke: colour("--hairline-color"), width: 1 } };
    const plot = new uPlot(
      {
        width: box.clientWidth,
        height: HEIGHT,
        scales: { x: { time: false, range: (_, min, max) => [min - 0.3, max + 0.3] }, y: facts.y ? { range: facts.y } : {} },
        axes: [{ ...axis, incrs: [1, 2, 5, 10, 20, 50], label: "epoch", labelSize: 18, size: 32 }, { ...axis, size: 40 }],
        cursor: { drag: { x: false, y: false } },
        series,
        bands,
        hooks: {
          setSeries: [
            (self, index, changed) => {
              for (const edge of edges[index] ?? []) {
                if (changed.show !== undefined) self.setSeries(edge, { show: changed.show });
              }
            },
          ],
        },
      },
      data,
      box,
    );
    toggles(plot);
    drawn.set(box, plot);
  };

  const boxes = [...document.querySelectorAll("[data-chart]")].map((box) => [box, JSON.parse(box.querySelector("script").textContent)]);
  const all = () => boxes.forEach(([box, facts]) => draw(box, facts));
  all();
  new MutationObserver(all).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  const widths = new ResizeObserver(() => {
    for (const [box, plot] of drawn) {
      if (box.clientWidth && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: HEIGHT });
    }
  });
  boxes.forEach(([box]) => widths.observe(box));
})();
