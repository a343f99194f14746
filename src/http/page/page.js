// Draws what /status.json says, every two seconds. Whatever comes from a store (names, errors) becomes text, never markup:
// elements are made here, and filled by `textContent` only.
"use strict";

const EVERY_MS = 2000;
// Jobs whose tables are shown; /#NAME opens one.
const open = new Set([decodeURIComponent(location.hash.slice(1))]);

function make(tag, className, ...inside) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const one of inside) {
    if (one === null || one === undefined) continue;
    element.append(one instanceof Node ? one : document.createTextNode(String(one)));
  }
  return element;
}

function count(number) {
  return Math.round(number).toLocaleString("en");
}

function rate(perSecond) {
  return (perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : count(perSecond)) + "/s";
}

function span(ms) {
  if (ms === null || ms === undefined) return "not known";
  const seconds = ms / 1000;
  if (seconds < 1) return Math.round(ms) + " ms";
  if (seconds < 100) return seconds.toFixed(seconds < 10 ? 1 : 0) + " s";
  if (seconds < 6000) return Math.round(seconds / 60) + " min";
  if (seconds < 172800) return Math.round(seconds / 3600) + " h";
  return Math.round(seconds / 86400) + " d";
}

function bytes(number) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (number < 1024) return (number < 10 && unit !== "B" ? number.toFixed(1) : Math.round(number)) + " " + unit;
    number /= 1024;
  }
  return number.toFixed(1) + " TiB";
}

function ago(atMs, nowMs) {
  return atMs === null || atMs === undefined ? "never" : span(Math.max(0, nowMs - atMs)) + " ago";
}

function state(name) {
  return make("span", "state " + name, name.replace("_", " "));
}

function figures(pairs) {
  return make("dl", "figures", ...pairs.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))));
}

// A line from the oldest sample to the newest; what is not known is a gap.
function graph(name, values, format, everyS) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 120 48");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const known = values.filter((value) => value !== null);
  const most = Math.max(0, ...known);
  const top = most || 1;
  svg.setAttribute("aria-label", name + ", at most " + format(most));
  let points = [];
  const draw = () => {
    if (points.length > 0) {
      if (points.length === 1) points.push(points[0]);
      const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      line.setAttribute("points", points.join(" "));
      svg.append(line);
    }
    points = [];
  };
  values.forEach((value, index) => {
    if (value === null) draw();
    else points.push((120 - values.length + index + 0.5) + "," + (46 - 44 * (value / top)).toFixed(1));
  });
  draw();
  const minutes = Math.max(1, Math.round((values.length * everyS) / 60));
  const caption = name + ", last " + minutes + " min" + (known.length ? ", at most " + format(most) : ", not known");
  return make("figure", "", svg, make("figcaption", "", caption));
}

function error(found, nowMs, past) {
  if (!found) return null;
  const hint = found.hint ? make("div", "hint", found.hint) : null;
  return make("div", past ? "error past" : "error", (past ? "last error, " : found.kind + ", ") + ago(found.at_ms, nowMs) + ": ",
    found.text, hint);
}

function tables(target) {
  const head = make("tr", "", make("th", "", "table"), make("th", "", "state"),
    ...["rows", "bytes", "copied", "left"].map((name) => make("th", "number", name)));
  const rows = target.tables.map((table) => make("tr", "",
    make("td", "", table.name), make("td", "", state(table.gone ? "gone" : table.observed)),
    make("td", "number", count(table.rows)), make("td", "number", bytes(table.bytes)),
    make("td", "number", Math.floor(table.share * 100) + " %"),
    make("td", "number", table.eta_s === null ? "" : span(table.eta_s * 1000))));
  const all = Object.values(target.tables_in).reduce((sum, one) => sum + one, 0);
  const more = all > rows.length ? make("p", "quiet", "and " + count(all - rows.length) + " more: whimbrel status JOB") : null;
  return make("div", "", make("table", "", make("thead", "", head), make("tbody", "", ...rows)), more);
}

function tableCount(target) {
  const parts = Object.entries(target.tables_in).map(([name, many]) => count(many) + " " + name.replace("_", " "));
  return parts.length ? parts.join(", ") : "none yet";
}

function drawTarget(target, daemon, detail) {
  const copying = target.tables_in.copying > 0;
  const bad = ["stalled", "failed", "lost"].includes(target.observed);
  const pairs = [
    ["lag", span(target.lag_ms)],
    ["behind", target.behind === null ? "not known" : count(target.behind) + " changes"],
    ["applied", count(target.changes) + " · " + rate(target.changes_per_s)],
    ["last write", ago(target.last_write_ms, daemon.now_ms)],
    ["tables", tableCount(target)],
  ];
  if (copying) pairs.push(["copied", Math.floor(target.share * 100) + " %"]);
  // Many targets: those of an opened job only.
  const samples = target.samples || (detail && detail.samples);
  const graphs = samples && make("div", "graphs",
    graph("lag", samples.map((sample) => sample.lag_ms), span, daemon.sample_every_s),
    graph("changes and rows", samples.map((sample) => sample.per_s), rate, daemon.sample_every_s));
  return make("section", "target",
    make("div", "head", make("strong", "", "into " + target.store), state(target.observed)),
    figures(pairs),
    graphs,
    error(target.error, daemon.now_ms, target.passed || !bad),
    detail ? tables(detail) : null);
}

function drawJob(job, daemon, detail) {
  const held = job.held && job.held.changes !== null
    ? count(job.held.changes) + " changes of the source's log held" + (job.held.oldest_ms ? ", the oldest " + ago(job.held.oldest_ms, daemon.now_ms) : "")
    : null;
  const summary = make("summary", "", job.targets.some((target) => !target.samples) ? "tables and graphs" : "tables");
  const more = make("details", "", summary);
  more.open = open.has(job.name);
  more.addEventListener("toggle", () => {
    if (more.open === open.has(job.name)) return;
    if (more.open) open.add(job.name); else open.delete(job.name);
    turn();
  });
  const drawn = make("article", "job",
    make("div", "head", make("h2", "", job.name), state(job.observed),
      make("span", "quiet", "from " + job.source), held ? make("span", "quiet", held) : null),
    error(job.error, daemon.now_ms, false),
    job.targets.some((target) => Object.keys(target.tables_in).length > 0) ? more : null,
    ...job.targets.map((target, index) => drawTarget(target, daemon, detail && detail.targets[index])));
  drawn.dataset.job = job.name;
  return drawn;
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error("the daemon answered " + answer.status);
  return answer.json();
}

function trouble(text) {
  const place = document.getElementById("trouble");
  place.hidden = !text;
  place.textContent = text || "";
}

async function draw() {
  const { daemon, jobs } = await ask("status.json");
  const details = new Map();
  for (const job of jobs.filter((job) => open.has(job.name))) {
    // Gone between the two questions: drawn without its tables, and not at all the next time.
    details.set(job.name, await ask("status.json?job=" + encodeURIComponent(job.name)).catch(() => null));
  }
  const main = document.getElementById("jobs");
  const drawn = jobs.map((job) => drawJob(job, daemon, details.get(job.name)));
  if (jobs.length === 0) drawn.push(make("p", "quiet", "No jobs yet: whimbrel apply -f job.yaml --start"));
  // Who is reading with the mouse or the keyboard keeps their place.
  if (!document.getSelection().isCollapsed) return;
  const focused = document.activeElement.closest("[data-job]");
  main.replaceChildren(...drawn);
  if (focused) drawn.find((one) => one.dataset.job === focused.dataset.job)?.querySelector("summary")?.focus();
  document.getElementById("daemon").textContent = "version " + daemon.version + " · up " + span(daemon.now_ms - daemon.started_ms)
    + " · " + count(jobs.length) + (jobs.length === 1 ? " job" : " jobs");
  document.title = (jobs.some((job) => ["stalled", "failed", "lost"].includes(job.observed)) ? "! " : "") + "Whimbrel";
  trouble(daemon.not_ready ? "Not ready: " + daemon.not_ready : daemon.late ? daemon.late + " tasks do not turn; see /healthz" : "");
}

let timer = null;
let running = false;
let again = false;

// One round at a time, and the next one only when this one is through: a slow daemon is not asked more often.
async function turn() {
  clearTimeout(timer);
  if (running) {
    again = true;
    return;
  }
  running = true;
  try {
    await draw();
  } catch (failed) {
    trouble("The daemon does not answer; what is below may be old. (" + failed.message + ")");
  }
  running = false;
  timer = setTimeout(turn, again ? 0 : EVERY_MS);
  again = false;
}

turn();
