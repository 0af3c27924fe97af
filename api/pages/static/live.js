// Live: a user's profile and list; send events, or let them arrive, and watch the list change.

import { ask, day, duration, everySecond, fill, h, notice, share, sync, text, whole, width } from "./core.js";
import { controls, mark, said } from "./events.js";

const SIZE = matchMedia("(max-width: 640px)").matches ? 10 : 20;
const AGAIN_MS = 10000; // The list is asked for again after this time even where the user did nothing: items change too.

const of = (id) => document.getElementById(id);
const mayWrite = of("live").dataset.mayWrite === "yes";
let dataset = null; // Its ids, types of events and attributes.
let user = new URLSearchParams(location.search).get("user") || null; // As text; `idOf` makes the id of it.
let shown = null; // What the list on the page was made from.
let listAt = 0;
let sending = false;
let order = new Map(); // Place of each item in the list before.
let arriving = [];

of("user").value = user ?? "";

everySecond(look);

async function look() {
  dataset ??= await ask("/pages/data/dataset");
  const recent = await ask("/pages/data/recent");
  if (recent.dataset !== dataset.name) location.reload(); // Another data set was published.
  showArriving(recent);
  if (user === null) {
    if (recent.events.length) choose(recent.events[0].userid, false);
    else if (dataset.ids === "integer") choose(1, false);
    else return;
  }
  if (sending) return;
  const looked = user;
  const profile = await known(looked);
  if (looked !== user || sending) return;
  showProfile(profile);
  const stamp = stampOf(profile);
  if (stamp !== shown || performance.now() - listAt > AGAIN_MS) {
    const began = performance.now();
    const answer = await ask("/ml/rec", { userid: idOf(looked), size: SIZE, explain: true });
    if (looked !== user || sending) return;
    showList(answer, shown !== null && stamp !== shown);
    text(of("list-note"), `made in ${duration(performance.now() - began).join(" ")}`);
    shown = stamp;
  }
}

/** A user's id from its text; a text that is no number is left for the API to refuse. */
const idOf = (text) => (dataset.ids === "integer" && /^[0-9]+$/.test(text) ? Number(text) : text);

const stampOf = (profile) => JSON.stringify([user, profile && [profile.n, profile.likes, profile.recent[0]]]);

/** What is known of a user; null of one who is not known yet. */
const known = (userid) => ask(`/pages/data/user/${encodeURIComponent(userid)}`);

function choose(userid, look_now = true) {
  user = `${userid}`;
  shown = null;
  order = new Map();
  of("user").value = userid;
  of("took").hidden = true;
  history.replaceState(null, "", `?user=${encodeURIComponent(userid)}`);
  if (look_now) look().catch((error) => notice(error.message, true));
}

of("pick").addEventListener("submit", (event) => {
  event.preventDefault();
  choose(of("user").value.trim());
});
of("anyone").addEventListener("click", () => {
  const other = arriving.find((event) => `${event.userid}` !== user);
  if (other) choose(other.userid);
  else notice("Nobody is active at the moment. Start a replay: reelstream replay");
});

async function send(item, fields, row) {
  sending = true;
  row.querySelectorAll("button, input").forEach((control) => { control.disabled = true; });
  const began = performance.now();
  try {
    const event = { userid: idOf(user), itemid: item.itemid, ...fields };
    const position = await ask("/events", event);
    const acknowledged = performance.now() - began;
    const answer = await ask("/ml/rec", {
      userid: idOf(user), size: SIZE, explain: true, after: { partition: position.partition, offset: position.offset },
    });
    showList(answer, true);
    const took = performance.now() - began;
    of("took").hidden = false;
    of("took").replaceChildren(
      h("b", {}, duration(took).join(" ")),
      h("span", {}, `from the click to this list. ${item.title}: ${said(dataset.types, event)}, in the log after ${duration(acknowledged).join(" ")}.`),
    );
    text(of("list-note"), "");
    const profile = await known(user);
    showProfile(profile);
    shown = stampOf(profile);
  } catch (error) {
    notice(error.message, true);
  } finally {
    sending = false;
    row.querySelectorAll("button, input").forEach((control) => { control.disabled = false; });
  }
}

function showList(answer, tell) {
  listAt = performance.now();
  const list = of("list");
  const before = new Map([...list.children].map((row) => [row.dataset.key, row.getBoundingClientRect().top]));
  const places = new Map(answer.item_list.map((item, place) => [item.itemid, place]));
  sync(list, answer.item_list, (item) => item.itemid, makeRow, (row, item, place) => {
    text(row.querySelector(".rank"), place + 1);
    const like = item.explain?.like;
    row.querySelector(".likely").hidden = like === undefined;
    if (like !== undefined) {
      text(row.querySelector(".likely div"), `${share(like)} likely to like`);
      row.querySelector(".meter span").style.width = width(like);
    }
    if (tell) fill(row.querySelector(".change"), moved(order, item.itemid, place) ?? "");
  });
  if (tell) glide(list, before);
  order = places;
  notice(...troubles(answer));
}

function makeRow(item) {
  const row = h("li", {},
    h("span", { class: "rank" }),
    h("div", {},
      h("div", {}, h("span", { class: "name" }, item.title), h("span", { class: "change" })),
      h("div", { class: "values" }, valuesOf(item))),
    h("div", { class: "likely", title: "The ranker's probability that this user would like the item" },
      h("div"), h("span", { class: "meter" }, h("span"))),
  );
  if (mayWrite) row.append(controls(dataset.types, item.title, (fields) => send(item, fields, row)));
  return row;
}

/** The attributes of an item: values as they are, numbers with their name. */
function valuesOf(item) {
  const values = dataset.attributes.map(({ name, label, kind }) => {
    const value = item[name];
    if (value === null || value === undefined || value.length === 0) return null;
    if (kind === "number") return `${label} ${value}`;
    return Array.isArray(value) ? value.join(", ") : value;
  });
  return values.filter((value) => value !== null).join(" · ");
}

function moved(before, itemid, place) {
  if (!before.size) return null;
  const old = before.get(itemid);
  if (old === undefined) return h("span", { class: "tag good moved" }, "new");
  if (old === place) return null;
  const up = old > place;
  return h("span", { class: "tag moved", "aria-label": `${up ? "up" : "down"} ${Math.abs(old - place)}` }, `${up ? "▲" : "▼"} ${Math.abs(old - place)}`);
}

// Rows glide from where they were.
function glide(list, before) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const row of list.children) {
    const old = before.get(row.dataset.key);
    if (old === undefined) row.animate([{ opacity: 0 }, { opacity: 1 }], 350);
    else if (old !== row.getBoundingClientRect().top) {
      row.animate([{ transform: `translateY(${old - row.getBoundingClientRect().top}px)` }, { transform: "none" }], { duration: 350, easing: "ease-out" });
    }
  }
}

function troubles(answer) {
  if (answer.degraded.length) return [`Unavailable: ${answer.degraded.join(", ")}. This is the next best list.`, true];
  if (answer.fallback === "unknown_user") return [`User ${user} is not known yet; these items are popular.`];
  if (answer.fallback) return [`This list is not made from the user's own ${dataset.many} (${answer.fallback.replaceAll("_", " ")}).`];
  return [null];
}

function showProfile(profile) {
  const place = of("profile");
  if (!profile) {
    place.replaceChildren(h("p", { class: "quiet" }, "This user is not known yet."));
    sync(of("last"), [], () => "", () => null);
    text(of("as-of"), "");
    return;
  }
  if (!place.querySelector(".facts")) {
    const fact = (name, id) => [h("dt", {}, name), h("dd", { id })];
    place.replaceChildren(
      h("dl", { class: "facts" }, ...fact(dataset.many, "n"), ...fact("liked", "likes"), ...fact("since", "since")),
      h("h3", { class: "quiet" }, `Preferences, from recent ${dataset.many}`),
      h("ul", { class: "leanings", id: "leanings" }),
      h("h3", { class: "quiet" }, `Recent ${dataset.many}, by kind`),
      h("ul", { class: "leanings", id: "kinds" }),
    );
  }
  text(of("n"), whole(profile.n));
  text(of("likes"), share(profile.n ? profile.likes / profile.n : 0));
  text(of("since"), day(profile.first_ts));
  text(of("as-of"), `as of event ${whole(profile.as_of.offset)} of partition ${profile.as_of.partition}`);
  const terms = dataset.terms.flatMap(({ name, label }) => Object.entries(profile.terms[name]).map(([value, weight]) => ({ key: `${name}:${value}`, name: value, title: `${label}: ${value}`, weight })));
  showBars(of("leanings"), terms.sort((one, other) => other.weight - one.weight).slice(0, 8), (weight) => weight.toFixed(2), 1);
  showKinds(profile.recent);
  sync(of("last"), profile.recent.slice(0, 8), (event) => JSON.stringify([event.itemid, event.ts, said(dataset.types, event)]),
    (event) => h("li", {}, h("span", { class: "what", title: event.title }, event.title), mark(dataset.types, event)));
}

/** The user's recent events counted by what they say. */
function showKinds(recent) {
  const counts = new Map();
  for (const event of recent) counts.set(said(dataset.types, event), (counts.get(said(dataset.types, event)) ?? 0) + 1);
  const bars = [...counts].map(([name, n]) => ({ key: name, name, title: name, weight: n }));
  const most = Math.max(1, ...counts.values());
  showBars(of("kinds"), bars.sort((one, other) => other.weight - one.weight).slice(0, 8), whole, most);
}

function showBars(list, bars, write, most) {
  sync(list, bars, ({ key }) => key,
    ({ name, title }) => h("li", {}, h("span", { class: "what", title }, name), h("span", { class: "meter" }, h("span")), h("span", { class: "figure" })),
    (row, { weight }) => {
      row.querySelector(".meter span").style.width = width(weight / most);
      text(row.querySelector(".figure"), write(weight));
    });
}

function showArriving(recent) {
  arriving = recent.error ? [] : recent.events;
  const nothing = recent.error ?? `No ${dataset.one} has arrived yet. Start a replay: reelstream replay`;
  sync(of("arriving"), arriving.length ? arriving.slice(0, 8) : [null], (event) => (event ? JSON.stringify([event.userid, event.itemid, event.ts, said(dataset.types, event)]) : nothing),
    (event) => (event
      ? h("li", {},
        h("span", { class: "what" },
          h("button", { class: "link", type: "button", onclick: () => { choose(event.userid); scrollTo({ top: 0 }); } }, `User ${event.userid}`),
          ` ${event.title}`),
        mark(dataset.types, event))
      : h("li", { class: "quiet" }, nothing)));
}
