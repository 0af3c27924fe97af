// Drift: a heat map series x time, worst first, and the chosen series in detail.

import { ask, clock, day, everySecond, fillTiles, h, notice, share, sync, text, whole } from "./core.js";
import { colour, draw, line, plain } from "./charts.js";
import { heat, verdict } from "./words.js";
import { showAlarms } from "./alarms.js";

const KEPT = 240;
const of = (id) => document.getElementById(id);
const narrow = () => matchMedia("(max-width: 640px)").matches;
const columns = () => (narrow() ? 30 : 60);
const rows = () => (narrow() ? 10 : 24);

let windows = [];
let told = null;
let descriptions = {}; // A sentence on each series.
let chosen = new URLSearchParams(location.search).get("series");
let kind = "all";
let all = false; // Whether every series is shown, or the worst alone.
let histogramOf = null; // Series and number of events of the histogram on the page.

everySecond(look);

async function look() {
  if (!Object.keys(descriptions).length) descriptions = await ask("/pages/data/series");
  const since = windows.at(-1)?.events ?? -1;
  told = await ask(`/pages/data/drift?since=${since}`);
  if (told.state && told.state.events < since) windows = (await ask("/pages/data/drift")).windows;
  else windows = [...windows, ...told.windows].slice(-KEPT);
  notice(told.error, true);
  of("found").hidden = !told.state;
  of("empty").hidden = Boolean(told.state) || !told.known;
  if (told.state) await show();
}

async function show() {
  const series = told.state.series.filter((each) => kind === "all" || each.kind === kind);
  if (!series.some((each) => each.name === chosen)) chosen = series[0]?.name ?? null;
  const place = series.findIndex((each) => each.name === chosen);
  showTiles();
  showHeat(all ? series : series.slice(0, Math.max(rows(), place + 1)));
  of("none").hidden = series.length > 0;
  of("all").hidden = series.length <= rows();
  text(of("all"), all ? "Show only the worst" : `Show all ${series.length}`);
  const names = new Set(told.state.series.map((each) => each.name));
  showAlarms(of("alarms"), told.alarms, told.acknowledged, names, choose, of("alarms").dataset.may === "true");
  await showDetail(told.state.series.find((each) => each.name === chosen));
}

function showTiles() {
  const { series, events, event_ts, run, window } = told.state;
  const shifted = series.filter((each) => each.psi > each.threshold);
  const open = told.alarms.filter((alarm) => alarm.closed === null);
  const worst = series[0];
  const tiles = [
    ["Shifted now", `${shifted.length}`, `of ${series.length}`, shifted.length ? "series above their threshold" : "every series is below its threshold"],
    ["Open alarms", `${open.length}`, causesOf(open), open.length ? [...new Set(open.map((alarm) => alarm.series))].slice(0, 3).join(", ") : "nothing is further away than chance explains"],
    ["Worst", worst ? worst.psi.toFixed(2) : "–", "PSI", worst ? `${worst.name}; normal is under ${worst.threshold.toFixed(2)}` : ""],
    ["Counted", whole(events), "events", `window of ${whole(window)}; event time ${day(event_ts)}; run ${run}`],
  ];
  fillTiles(tiles);
}

/** "of 2 causes, 1 acknowledged". */
function causesOf(open) {
  const causes = new Set(open.map((alarm) => alarm.cause));
  if (!causes.size) return "";
  const said = [...causes].filter((cause) => told.acknowledged[cause]).length;
  return `${causes.size === 1 ? "one cause" : `${causes.size} causes`}${said ? `, ${said} acknowledged` : ""}`;
}

function showHeat(series) {
  const shown = windows.slice(-columns());
  sync(of("heat"), series, (each) => each.name, makeRow, (row, each) => {
    const selected = each.name === chosen;
    row.setAttribute("aria-selected", selected);
    row.tabIndex = selected ? 0 : -1;
    row.setAttribute("aria-label", `${each.name}, ${descriptions[each.name] ?? ""}: ${verdict(each.psi, each.threshold)}`);
    const state = row.querySelector(".state");
    if (state.dataset.psi !== `${each.psi}`) {
      state.dataset.psi = `${each.psi}`;
      state.replaceChildren(h("b", {}, each.psi.toFixed(2)), ` normal < ${each.threshold.toFixed(2)}`);
    }
    sync(row.querySelector(".cells"), shown, (window) => window.events, () => h("i"), (cell, window) => {
      const psi = window.psi[each.name];
      const level = psi === undefined ? "none" : `${heat(psi, window.threshold[each.name])}`;
      if (cell.dataset.heat !== level) cell.dataset.heat = level;
    });
  });
  text(of("from"), shown.length ? `event ${whole(shown[0].events)}` : "");
  text(of("to"), shown.length ? `event ${whole(shown.at(-1).events)}, ${clock(shown.at(-1).wall_ts)}` : "");
}

function makeRow(each) {
  return h("div", { class: "row", role: "option", onclick: () => choose(each.name) },
    h("span", { class: "series" }, each.name), h("span", { class: "state" }), h("span", { class: "cells" }));
}

function choose(name) {
  chosen = name;
  history.replaceState(null, "", `?series=${encodeURIComponent(name)}`);
  if (kind !== "all" && told.state.series.find((each) => each.name === name)?.kind !== kind) {
    document.querySelector("input[name=kind][value=all]").click();
  }
  show().catch((error) => notice(error.message, true));
  if (matchMedia("(max-width: 1000px)").matches) of("detail").scrollIntoView({ block: "start" });
}

of("heat").addEventListener("keydown", (event) => {
  const shown = [...of("heat").children];
  const place = shown.findIndex((row) => row.dataset.key === chosen);
  const next = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: shown.length - 1 }[event.key];
  if (next === undefined || !shown[next]) return;
  event.preventDefault();
  chosen = shown[next].dataset.key;
  shown[next].focus();
  show();
});

of("all").addEventListener("click", () => {
  all = !all;
  show();
});

for (const input of document.querySelectorAll("input[name=kind]")) {
  input.addEventListener("change", () => {
    kind = input.value;
    show();
  });
}

async function showDetail(series) {
  if (!series) return;
  text(of("series"), series.name);
  text(of("meaning"), descriptions[series.name] ?? "");
  text(of("verdict"), verdict(series.psi, series.threshold));
  of("verdict").style.color = colour(series.psi > series.threshold ? "bad" : "good");
  text(of("more"), `Of ${whole(series.n)} values ${share(series.missing, 1)} are missing and ${share(series.out_of_range, 1)} are out of range. `
    + `Jensen-Shannon divergence ${series.js.toFixed(3)} bit.`);
  showTimeline(series.name);
  const wanted = `${series.name} ${told.state.events}`;
  if (histogramOf !== wanted) {
    const histogram = await ask(`/pages/data/histogram?series=${encodeURIComponent(series.name)}`);
    if (chosen !== series.name || !histogram) return; // There is none once drift is reset.
    histogramOf = wanted;
    showHistogram(histogram);
  }
}

function showHistogram(histogram) {
  const shown = histogram.labels.map((label, place) => [label, histogram.reference[place], histogram.now[place]])
    .filter(([, reference, now], place) => place < histogram.labels.length - 3 || reference > 0 || now > 0);
  const bars = (place, name, of_colour) => ({
    type: "bar", name, x: shown.map(([label]) => plain(tick(label))), y: shown.map((row) => row[place]),
    marker: { color: colour(of_colour) }, customdata: shown.map(([label]) => plain(label)), hovertemplate: "%{y:.1%} of %{customdata}",
  });
  text(of("histogram-note"), "share of values in each bin");
  draw(of("histogram"), () => [bars(1, "at training", "heat-1"), bars(2, "now", "accent")],
    () => ({
      barmode: "group", bargap: 0.25, bargroupgap: 0.05, showlegend: true, margin: { l: 44, r: 4, t: 8, b: 40 },
      xaxis: { type: "category", automargin: true, tickangle: shown.length > 4 ? -40 : 0, tickfont: { size: 11 } },
      yaxis: { tickformat: ".0%" },
    }),
    `${histogram.name}: ${shown.map(([label, reference, now]) => `${label}: ${share(now)} now, ${share(reference)} at training`).join("; ")}`);
}

/** A bin's name, short enough to stand under it. */
function tick(label) {
  return label.replace(/^up to /, "≤ ").replace(/^above /, "> ").replace(/ to /, "–").replace(/^below .*/, "below all").replace(/^over .*/, "above all");
}

function showTimeline(name) {
  const known = windows.filter((window) => window.psi[name] !== undefined);
  const x = known.map((window) => window.events / 1000);
  const psi = known.map((window) => window.psi[name]);
  const threshold = known.map((window) => window.threshold[name]);
  const [first, last] = [x[0] ?? 0, x.at(-1) ?? 1];
  const alarms = told.alarms.filter((alarm) => alarm.series === name && (alarm.closed ?? Infinity) / 1000 >= first);
  draw(of("timeline"), () => [
    line(x, threshold, "normal is under", { colour: "muted", dash: "dot", width: 1.5, hovertemplate: "%{y:.2f}" }),
    line(x, psi, "PSI", { hovertemplate: "%{y:.2f}" }),
  ], () => ({
    xaxis: { range: [first, Math.max(last, first + 1)], ticksuffix: "k", nticks: 6, hoverformat: ",.0f" },
    yaxis: { range: [0, 1.15 * Math.max(0.05, ...psi, ...threshold)] },
    shapes: alarms.map((alarm) => ({
      type: "rect", layer: "below", line: { width: 0 }, fillcolor: `${colour("bad")}22`, yref: "paper", y0: 0, y1: 1,
      x0: Math.max(first, alarm.opened / 1000), x1: (alarm.closed ?? 1000 * last) / 1000,
    })),
  }), `PSI of ${name} by event: now ${psi.at(-1)?.toFixed(2) ?? "not known"}, normal is under ${threshold.at(-1)?.toFixed(2) ?? "?"}`);
}

// What stands under the pointer in the heat map.
of("heat").addEventListener("pointermove", (event) => {
  const cell = event.target.closest(".cells i");
  const window = cell && windows.find((each) => `${each.events}` === cell.dataset.key);
  of("tip").hidden = !window;
  if (!window) return;
  const name = cell.closest(".row").dataset.key;
  const psi = window.psi[name];
  of("tip").replaceChildren(
    h("b", {}, name), h("div", {}, descriptions[name] ?? ""), h("div", {}, psi === undefined ? "too few values" : verdict(psi, window.threshold[name])),
    h("div", {}, `event ${whole(window.events)}, ${clock(window.wall_ts)}`));
  const width = of("tip").offsetWidth;
  of("tip").style.left = `${Math.min(event.clientX + 12, innerWidth - width - 8)}px`;
  of("tip").style.top = `${event.clientY + 16}px`;
});
of("heat").addEventListener("pointerleave", () => { of("tip").hidden = true; });
