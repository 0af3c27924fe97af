// Quality: how good the ranker is on the stream, against what it was at training.

import { ask, everySecond, fixed, h, notice, share, sync, table, text, whole } from "./core.js";
import { colour, draw, line, plain } from "./charts.js";

const of = (id) => document.getElementById(id);
const KEPT = 500;

/** name, title, how to write it, whether more is better (null: neither), what it means; `events` is the data set's word. */
const figures = (events) => [
  ["auc", "AUC of a like", (value) => fixed(value, 3), true, "probability that a liked item is ranked above one that is not liked; 0.5 is chance"],
  ["logloss", "Log loss", (value) => fixed(value, 3), false, `how much the ${events} surprise the ranker; lower is better`],
  ["ece", "Calibration error", (value) => fixed(value, 3), false, "difference between the predicted and the actual share of likes; lower is better"],
  ["hit10", "Hit rate, top 10", (value) => share(value, 1), true, "share of liked items that were among the first 10 of the list just before"],
  ["hit50", "Hit rate, top 50", (value) => share(value, 1), true, "share of liked items that were among the first 50"],
  ["label_rate", "Likes", (value) => share(value, 1), null, `share of positive ${events}, the base rate of the prediction`],
];

let windows = [];
let dataset = null; // Its words for events, and the attributes of its users.

everySecond(look);

async function look() {
  dataset ??= await ask("/pages/data/dataset");
  const since = windows.at(-1)?.events ?? -1;
  let told = await ask(`/pages/data/quality?since=${since}`);
  if (told.events < since) {
    windows = [];
    told = await ask("/pages/data/quality");
  }
  windows = [...windows, ...told.windows].slice(-KEPT);
  notice(told.error, true);
  const last = windows.at(-1);
  of("found").hidden = !last;
  of("empty").hidden = Boolean(last) || !told.known;
  if (!last) return;
  // After a switch of the run, its figures at training are not those to compare the last window of the other with.
  const trained = told.trained?.run === last.run ? told.trained : null;
  showFigures(last, trained);
  showSegments(told.segments);
  showHow(last, trained);
}

function showFigures(last, trained) {
  sync(of("figures"), figures(dataset.many), (figure) => figure[0],
    ([, title, , , meaning]) => h("section", { class: "card tile" },
      h("div", { class: "name" }, title), h("div", { class: "value" }, h("span"), h("small", { class: "then" })),
      h("div", { class: "words against" }), h("div", { class: "chart low" }), h("div", { class: "words" }, meaning)),
    (card, [name, title, write, more]) => {
      const at = trained?.[name] ?? null;
      text(card.querySelector(".value span"), write(last[name]));
      text(card.querySelector("small"), at === null ? "" : `${write(at)} at training`);
      text(card.querySelector(".against"), against(last[name], at, write, more));
      showChart(card.querySelector(".chart"), name, title, write, at);
    });
}

function against(value, at, write, more) {
  if (value === null || value === undefined) return "too few events in this window";
  if (at === null) return "the value at training is not known for this run";
  const difference = write(Math.abs(value - at)).replace("%", "points");
  if (write(value) === write(at)) return "the same as at training";
  if (more === null) return `${value > at ? "more" : "fewer"} than at training, by ${difference}`;
  return `${value > at === more ? "better" : "worse"} than at training, by ${difference}`;
}

function showChart(element, name, title, write, at) {
  const x = windows.map((window) => window.events / 1000);
  const y = windows.map((window) => window[name] ?? null);
  const known = [...y.filter((value) => value !== null), ...(at === null ? [] : [at])];
  const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  const room = Math.max(0.15 * (high - low), 0.01);
  const changes = windows.filter((window, place) => place > 0 && window.run !== windows[place - 1].run);
  const percent = name.startsWith("hit") || name === "label_rate";
  const [first, last] = [x[0], Math.max(x.at(-1), x[0] + 1)];
  const begin = changes.length ? changes.at(-1).events / 1000 : first;
  draw(element, () => [
    line(x, y, "on the stream", { hovertemplate: percent ? "%{y:.1%}" : "%{y:.3f}", mode: y.length < 3 ? "markers" : "lines" }),
    ...(at === null ? [] : [line([begin, last], [at, at], "at training", { colour: "second", dash: "dash", width: 1.5, hoverinfo: "skip" })]),
  ], () => ({
    xaxis: { range: [first, last], ticksuffix: "k", nticks: 5, hoverformat: ",.0f" },
    yaxis: { range: [Math.max(0, low - room), high + room], tickformat: percent ? ".0%" : ".2f" },
    shapes: changes.map((window) => ({
      type: "line", x0: window.events / 1000, x1: window.events / 1000, yref: "paper", y0: 0, y1: 1,
      line: { color: colour("muted"), width: 1 },
    })),
    annotations: changes.map((window) => ({
      x: window.events / 1000, y: 1, yref: "paper", yanchor: "top", showarrow: false, text: `run ${plain(window.run)}`,
      font: { size: 10.5, color: colour("muted") },
      // On the side of the line that has more room, so that it is not cut off.
      ...(2 * (window.events / 1000 - first) > last - first ? { xanchor: "right", xshift: -2 } : { xanchor: "left", xshift: 2 }),
    })),
  }), `${title} over the stream: now ${write(y.at(-1))}${at === null ? "" : `, ${write(at)} at training`}`);
}

/** A group of users: the value of an attribute, or a number of events before the one predicted. */
function segmentName(kind, value) {
  return kind === "history" ? `Users with ${value} ${dataset.many}` : `${kind.replaceAll("_", " ")} ${value}`;
}

/** Kind and value of a group; a value may hold a colon. */
function segmentOf(key) {
  const place = key.indexOf(":");
  return [key.slice(0, place), key.slice(place + 1)];
}

/** The order of the groups: attributes and values as they are declared, then numbers of events, "under 20" first. */
function segmentOrder([left], [right]) {
  const kinds = [...dataset.segments.map(({ name }) => name), "history"];
  const [kind, value] = segmentOf(left), [otherKind, otherValue] = segmentOf(right);
  if (kind !== otherKind) return kinds.indexOf(kind) - kinds.indexOf(otherKind);
  const values = dataset.segments.find(({ name }) => name === kind)?.values;
  const rank = (text) => (values ? values.indexOf(text) : text.startsWith("under") ? -1 : Number.parseInt(text, 10));
  return rank(value) - rank(otherValue);
}

function showSegments(segments) {
  table(of("segments"), [["Users", false], [capital(dataset.many), true], ["AUC", true], ["Log loss", true], ["Likes", true]],
    Object.entries(segments).sort(segmentOrder).map(([key, each]) => (
      { key, cells: [segmentName(...segmentOf(key)), whole(each.scored), fixed(each.auc, 3), fixed(each.logloss, 3), share(each.label_rate, 1)] }
    )));
}

const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);

function showHow(last, trained) {
  const facts = [
    `The figures cover the last ${whole(last.scored)} scored ${dataset.many}, each scored with the features just before it.`,
    last.sampling >= 1 ? `Every ${dataset.one} is scored.` : `${share(last.sampling)} of the ${dataset.many} are scored: the stream is currently faster than the ranker.`,
    `For ${whole(last.listed)} of them the complete list was made too, for the hit rates.`,
    `The figures are for run ${last.run}${trained ? `; its values at training were measured on ${dataset.many} that it had not learned from` : ""}. A thin line marks a change of run.`,
  ];
  sync(of("how"), facts, (_, number) => number, () => h("p", { class: "quiet" }), text);
}
