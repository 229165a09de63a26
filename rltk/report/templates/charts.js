"use strict";
// The values under the pointer, or where the arrow keys have gone. Shapes hold pixels, and the scale stands on the
// chart. Screen readers have the label.
const FRAME = {left: 60, right: 436, top: 10, bottom: 174};
const NEAR = 24;  // pixels; a line whose points are all further away has no value there

function back(pixel, start, end, range, isLog) {
  const [low, high] = range.split(" ").map(isLog ? (text) => Math.log(Number(text)) : Number);
  const value = low + (pixel - start) / (end - start) * (high - low);
  return isLog ? Math.exp(value) : value;
}

function shown(value, unit) {
  if (unit === "share") return (100 * value).toFixed(1) + "%";
  if (unit === "points") return (value > 0 ? "+" : "") + (100 * value).toFixed(1);
  if (unit === "bytes") return (value / 2 ** 30).toPrecision(3) + " GiB";
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

// Each line with its points: one with gaps is drawn in pieces, the smallest of which are dots.
function linesOf(chart) {
  const lines = new Map();
  for (const piece of chart.querySelectorAll("[data-label]:not(.faint)")) {
    const points = piece.points ? [...piece.points] : [{x: piece.cx.baseVal.value, y: piece.cy.baseVal.value}];
    const colour = piece.getAttribute("class").match(/c\d/)[0];
    const key = `${colour} ${piece.dataset.label}`;
    const line = lines.get(key) || {label: piece.dataset.label, points: []};
    line.points.push(...points.map(({x, y}) => ({x, y})));
    lines.set(key, line);
  }
  return [...lines.values()];
}

function marksOf(chart) {
  const dots = [...chart.querySelectorAll("circle")].filter((dot) => dot.querySelector("title"));
  return dots.map((dot) => (
    {x: dot.cx.baseVal.value, y: dot.cy.baseVal.value, text: dot.querySelector("title").textContent}
  ));
}

function nearest(points, x) {
  return points.reduce((best, point) => Math.abs(point.x - x) < Math.abs(best.x - x) ? point : best);
}

function isClose(one, other) { return Math.abs(one - other) < 1; }

// What stands at a place: of each line its nearest point, if that is near and no mark, and the marks.
function said(x, lines, marks, data) {
  const here = marks.filter((mark) => isClose(mark.x, x)), found = [];
  for (const {label, points} of lines) {
    const point = nearest(points, x);
    const isMark = here.some((mark) => isClose(mark.x, point.x) && isClose(mark.y, point.y));
    if (Math.abs(point.x - x) > NEAR || isMark) continue;
    const value = shown(back(point.y, FRAME.bottom, FRAME.top, data.y), data.unit);
    found.push(lines.length > 1 ? `${label} ${value}` : value);
  }
  found.push(...here.map((mark) => mark.text));
  const at = back(x, FRAME.left, FRAME.right, data.x, data.log), where = data.whole ? String(Math.round(at)) : shown(at);
  if (!lines.length) return found.join("\n");  // arms beside each other: a place says nothing
  return found.length > 1 ? [where, ...found].join("\n") : `${where}: ${found[0]}`;
}

function makeReadable(chart, output) {
  const lines = linesOf(chart), marks = marksOf(chart);
  const stops = [...new Set([...lines.flatMap(({points}) => points), ...marks].map(({x}) => x))].sort((a, b) => a - b);
  if (!stops.length) return;
  const cursor = document.createElementNS(chart.namespaceURI, "path");
  cursor.setAttribute("class", "cursor");
  chart.append(cursor);
  let at = null;  // a place among the stops

  function go(to) {
    at = Math.min(Math.max(to, 0), stops.length - 1);
    cursor.setAttribute("d", `M${stops[at]} ${FRAME.top}V${FRAME.bottom}`);
    output.textContent = said(stops[at], lines, marks, chart.dataset);
  }
  function leave() { at = null; output.textContent = ""; cursor.removeAttribute("d"); }

  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
    go(stops.indexOf(nearest(stops.map((stop) => ({x: stop})), x).x));
  });
  chart.addEventListener("pointerleave", leave);
  chart.tabIndex = 0;
  chart.addEventListener("blur", leave);
  chart.addEventListener("keydown", (event) => {
    const last = stops.length - 1;
    const moves = {ArrowRight: at === null ? 0 : at + 1, ArrowLeft: at === null ? last : at - 1, Home: 0, End: last};
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") leave();
    if (!(event.key in moves)) return;
    event.preventDefault();
    go(moves[event.key]);
  });
}

for (const chart of document.querySelectorAll("svg.chart")) {
  const output = chart.parentElement.querySelector(".readout");
  if (output) makeReadable(chart, output);
}
