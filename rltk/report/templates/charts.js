"use strict";
// The value under the pointer: lines hold pixels, and the scale stands on the chart. Screen readers have the label.
const FRAME = {left: 60, right: 436, top: 10, bottom: 174};

function nearest(line, x) {
  let best = null;
  for (const point of line.points) {
    if (best === null || Math.abs(point.x - x) < Math.abs(best.x - x)) best = point;
  }
  return best;
}

function back(pixel, start, end, range, isLog) {
  const [low, high] = range.split(" ").map(isLog ? (text) => Math.log(Number(text)) : Number);
  const value = low + (pixel - start) / (end - start) * (high - low);
  return isLog ? Math.exp(value) : value;
}

function shown(value, unit) {
  if (unit === "share") return (100 * value).toFixed(1) + "%";
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

for (const chart of document.querySelectorAll("svg.chart")) {
  const lines = [...chart.querySelectorAll("polyline:not(.faint)")];
  const output = chart.parentElement.querySelector(".readout");
  if (!lines.length || !output) continue;
  const cursor = document.createElementNS(chart.namespaceURI, "path");
  cursor.setAttribute("class", "cursor");
  chart.append(cursor);
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
    const points = lines.map((line) => [line.dataset.label, nearest(line, x)]);
    const at = points[0][1];
    const {x: xs, y: ys, unit, log, whole} = chart.dataset;
    cursor.setAttribute("d", `M${at.x} ${FRAME.top}V${FRAME.bottom}`);
    const where = back(at.x, FRAME.left, FRAME.right, xs, log);
    const said = points.map(([label, point]) => (points.length > 1 ? label + " " : "")
      + shown(back(point.y, FRAME.bottom, FRAME.top, ys), unit));
    output.textContent = [whole ? Math.round(where) : shown(where), ...said].join(points.length > 1 ? "\n" : ": ");
  });
  chart.addEventListener("pointerleave", () => { output.textContent = ""; cursor.removeAttribute("d"); });
}
