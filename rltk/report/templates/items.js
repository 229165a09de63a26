"use strict";
// Items are unpacked once, filtered in memory and drawn a page at a time. What a model wrote is only ever text.
const PAGE = 20;
const section = document.getElementById("items");
const find = (selector) => section.querySelector(selector);
const [form, status, cards, pager] = [".filters", ".status", ".cards", ".pager"].map(find);
const NAMES = {correct: "right", incorrect: "wrong"};
let items = [], matching = [], page = 0;

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function kind(item) { return `${item.task}, ${item.kind}`; }

function matches(item) {
  const {show, task, words} = form.elements;
  if (show.value === "unreadable" ? !item.unreadable : show.value !== "all" && item.change !== show.value) return false;
  if (task.value && kind(item) !== task.value) return false;
  return !words.value || item.text.includes(words.value.toLowerCase());
}

function side(name, found) {
  const verdict = found ? NAMES[found.verdict] || found.verdict || "" : "";
  const box = make("div", `side ${["right", "wrong"].includes(verdict) ? verdict : ""}`);
  box.append(make("h4", "", found ? [name, verdict].filter(Boolean).join(": ") : `${name}: not evaluated`));
  if (!found) return box;
  if (found.text !== undefined) box.append(make("pre", "", found.text));
  const facts = [];
  if ("answer" in found) facts.push(found.answer === null ? "no answer read" : `answer read: ${found.answer}`);
  for (const key of ["chosen", "rejected", "reward"]) {
    if (typeof found[key] === "number") facts.push(`${key} ${found[key].toPrecision(3)}`);
  }
  if (found.tokens !== undefined) facts.push(`${found.tokens} tokens${found.truncated ? ", cut off" : ""}`);
  box.append(make("p", "", facts.join("; ")));
  return box;
}

function card(item) {
  const box = make("li");
  const parts = [item.id, item.sample ? `sample ${item.sample}` : "", item.level ? `level ${item.level}` : "", item.change];
  box.append(make("h3", "", parts.filter(Boolean).join(" - ")), make("pre", "", item.prompt));
  if (item.gold !== null) box.append(make("p", "note", `right answer: ${item.gold}`));
  if (item.chosen !== undefined) {
    const replies = make("div", "sides");
    for (const name of ["chosen", "rejected"]) {
      const reply = make("div", "side");
      reply.append(make("h4", "", name), make("pre", "", item[name]));
      replies.append(reply);
    }
    box.append(replies);
  }
  const sides = make("div", "sides");
  sides.append(side("before", item.before), side("after", item.after));
  box.append(sides);
  return box;
}

function draw() {
  const pages = Math.max(1, Math.ceil(matching.length / PAGE));
  page = Math.min(Math.max(page, 0), pages - 1);
  cards.replaceChildren(...matching.slice(page * PAGE, (page + 1) * PAGE).map(card));
  cards.start = page * PAGE + 1;
  status.textContent = `${matching.length.toLocaleString("en")} of ${items.length.toLocaleString("en")} items`;
  find(".place").textContent = `page ${page + 1} of ${pages}`;
  pager.hidden = pages === 1;
  const [previous, next] = pager.querySelectorAll("button");
  previous.disabled = page === 0;
  next.disabled = page === pages - 1;
}

function filter() { matching = items.filter(matches); page = 0; draw(); }

async function unpack() {
  const bytes = Uint8Array.from(atob(document.getElementById("packed").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

async function start() {
  if (!("DecompressionStream" in window)) {
    status.textContent = "This browser is too old to show the items; they are in the folder items/.";
    return;
  }
  items = await unpack();
  for (const item of items) {
    const texts = [item.id, item.prompt, item.chosen, item.rejected, item.before?.text, item.after?.text];
    item.text = texts.filter(Boolean).join("\n").toLowerCase();
  }
  const tasks = [...new Set(items.map(kind))];
  const names = tasks.length > 1 ? ["", ...tasks] : tasks;
  form.elements.task.replaceChildren(...names.map((name) => new Option(name || "all", name)));
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const button of pager.querySelectorAll("button")) {
    button.addEventListener("click", () => { page += Number(button.dataset.move); draw(); section.scrollIntoView(); });
  }
  form.hidden = false;
  filter();
  document.documentElement.dataset.items = items.length;  // says to a test that the items are there
}

start();
