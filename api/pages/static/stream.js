// Stream: rates, freshness, lag, partitions, stores, workers and dead letters.

import { ask, duration, everySecond, fillTiles, fixed, h, notice, table, whole, width } from "./core.js";
import { draw, line } from "./charts.js";

const KEPT_S = 300;
const of = (id) => document.getElementById(id);
const samples = new Map(); // By the second that they were taken in: every API process takes its own.
let since = -1;

everySecond(look);

async function look() {
  const told = await ask(`/pages/data/stream?since=${since - 2}`);
  for (const sample of told.samples) samples.set(sample.t, sample);
  since = Math.max(since, ...told.samples.map((sample) => sample.t));
  for (const t of samples.keys()) if (t < told.now - KEPT_S) samples.delete(t);
  const rows = [...samples.values()].sort((one, other) => one.t - other.t);
  const away = told.stores.filter((store) => store.ok === false).map((store) => store.name);
  if (told.workers_error) away.push("stream workers");
  const stopped = told.partitions.filter((each) => each.stopped);
  if (stopped.length) notice(stoppedWords(stopped), true);
  else notice(away.length ? `Not answering: ${away.join(", ")}. Figures that need them are missing below.` : told.waits_for, true);
  showTiles(rows.at(-1) ?? {}, told);
  showCharts(rows, told.now);
  showTables(told);
}

function showTiles(last, told) {
  const [p50, p50Unit] = duration(last.p50);
  const [p99, p99Unit] = duration(last.p99);
  const dead = told.dead && Object.values(told.dead).reduce((sum, n) => sum + n, 0);
  const none = told.workers_error ? "currently unknown" : "no event in the last 15 s";
  const tiles = [
    ["Folded", whole(last.folded), "events/s", last.written == null ? "currently unknown" : `${whole(last.written)} events/s are appended to the log`],
    ["Lag", whole(last.lag), "events", lagWords(last.lag)],
    ["Freshness, median", p50, p50Unit, last.p50 == null ? none : "from append to visibility, half of the events"],
    ["Freshness, 99th percentile", p99, p99Unit, last.p99 == null ? none : "99 of 100 events are faster"],
    ["Dead letters", whole(dead), "", dead ? "list them: reelstream dead list" : dead === 0 ? "every record was valid" : ""],
  ];
  fillTiles(tiles);
}

function stoppedWords(stopped) {
  const others = stopped.slice(1).map((each) => each.partition);
  return `Stopped: ${stopped[0].stopped}${others.length ? `. Also stopped: partitions ${others.join(", ")}` : ""}.`;
}

function lagWords(lag) {
  if (lag === null || lag === undefined) return "currently unknown";
  return lag === 0 ? "every event in the log is visible" : "events in the log that are not visible yet";
}

function showCharts(rows, now) {
  const x = rows.map((row) => new Date(1000 * row.t));
  const column = (name) => rows.map((row) => row[name] ?? null);
  const last = rows.at(-1) ?? {};
  const time = { type: "date", range: [new Date(1000 * (now - KEPT_S)), new Date(1000 * now)], tickformat: "%H:%M", nticks: 6, hoverformat: "%H:%M:%S" };
  const top = (...names) => Math.max(...names.flatMap(column).filter((value) => value !== null), 0);
  draw(of("rate"), () => [
    line(x, column("written"), "written", { colour: "second", dash: "dot" }),
    line(x, column("folded"), "folded", { fill: true }),
  ], () => ({ xaxis: time, yaxis: { range: [0, 1.1 * Math.max(10, top("written", "folded"))] }, showlegend: true }),
  `Events per second: ${whole(last.folded)} folded, ${whole(last.written)} appended now`);
  draw(of("freshness"), () => [
    line(x, column("p99"), "99th percentile", { colour: "second" }),
    line(x, column("p50"), "median"),
  ], () => ({ xaxis: time, yaxis: { range: [0, 1.1 * Math.max(10, top("p50", "p99"))], ticksuffix: " ms" }, showlegend: true }),
  `Freshness: median ${fixed(last.p50, 1)} ms, 99th percentile ${fixed(last.p99, 1)} ms`);
  draw(of("lag"), () => [line(x, column("lag"), "events", { fill: true })],
    () => ({ xaxis: time, yaxis: { range: [0, 1.1 * Math.max(10, top("lag"))] } }), `Lag: ${whole(last.lag)} events now`);
}

function showTables(told) {
  const most = Math.max(10, ...told.partitions.map((each) => each.lag ?? 0));
  table(of("partitions"), [["Partition", false], ["Written", true], ["Lag", true], ["", false], ["Worker", false]],
    told.partitions.map((each) => ({
      key: each.partition,
      cells: [each.partition, whole(each.written), whole(each.lag), meter((each.lag ?? 0) / most),
        each.stopped ? h("span", { title: each.stopped }, tag("bad", "stopped")) : each.worker ?? "none"],
    })));
  table(of("stores"), [["Store", false], ["", false], ["Response time", true]],
    told.stores.map((store) => ({
      key: store.name,
      cells: [store.name, store.error ? h("span", {}, state(store), h("div", { class: "quiet" }, store.error)) : state(store), store.ok ? duration(store.took_ms).join(" ") : "–"],
    })));
  table(of("workers"), [["Worker", false], ["", false], ["Partitions", false], ["Folded", true], ["Redelivered", true]],
    told.workers_error && !told.workers.length ? [{ key: "none", cells: [tag("bad", "no answer"), "", "", "", ""] }] : told.workers.map((worker) => ({
      key: worker.name,
      cells: [troubled(worker), worker.answers ? tag(worker.waits_for ? "warn" : "good", worker.waits_for ? `waiting for ${worker.waits_for}` : "working") : tag("bad", "gone"),
        worker.partitions.join(" ") || "–", whole(worker.applied), whole(worker.redelivered)],
    })));
  const reasons = Object.entries(told.dead ?? {}).sort((one, other) => other[1] - one[1]);
  if (!reasons.length) {
    of("dead").replaceChildren(h("p", { class: "quiet" }, told.dead ? "None." : "Unknown while Redis does not answer."));
  } else {
    if (!of("dead").querySelector("table")) of("dead").replaceChildren(h("table"));
    table(of("dead").firstElementChild, [["Why", false], ["Events", true]], reasons.map(([why, n]) => ({ key: why, cells: [why, whole(n)] })));
  }
}

const troubled = (worker) => {
  const lines = Object.entries(worker.troubles ?? {}).map(([kind, message]) => h("div", { class: "quiet" }, `${kind}: ${message}`));
  return lines.length ? h("span", {}, worker.name, ...lines) : worker.name;
};
const tag = (kind, words) => h("span", { class: `tag ${kind}` }, words);
const state = (store) => (store.ok === null ? tag("", "checking") : store.ok ? tag("good", "up") : tag("bad", "down"));
const meter = (part) => h("span", { class: "meter" }, h("span", { style: `width: ${width(part)}` }));
