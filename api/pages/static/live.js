// Live: a user's profile and list; rate, or let ratings arrive, and watch the list change.

import { ApiError, ask, day, duration, everySecond, fill, h, notice, share, sync, text, whole, width } from "./core.js";
import { starButtons, stars } from "./stars.js";

const SIZE = matchMedia("(max-width: 640px)").matches ? 10 : 20;
const AGAIN_MS = 10000; // The list is asked for again after this time even where the user did nothing: films change too.

const of = (id) => document.getElementById(id);
const mayRate = of("live").dataset.mayRate === "yes";
let user = Number(new URLSearchParams(location.search).get("user")) || null;
let shown = null; // What the list on the page was made from.
let listAt = 0;
let rating = false;
let order = new Map(); // Place of each film in the list before.
let arriving = [];

of("user").value = user ?? "";

everySecond(look);

async function look() {
  const recent = await ask("/pages/data/recent");
  showArriving(recent);
  if (user === null) choose(recent.events[0]?.userid ?? 1, false);
  if (rating) return;
  const looked = user;
  const profile = await known(looked);
  if (looked !== user || rating) return;
  showProfile(profile);
  const stamp = stampOf(profile);
  if (stamp !== shown || performance.now() - listAt > AGAIN_MS) {
    const began = performance.now();
    const answer = await ask("/ml/rec", { userid: looked, size: SIZE, explain: true });
    if (looked !== user || rating) return;
    showList(answer, shown !== null && stamp !== shown);
    text(of("list-note"), `made in ${duration(performance.now() - began).join(" ")}`);
    shown = stamp;
  }
}

const stampOf = (profile) => JSON.stringify([user, profile && [profile.n, profile.likes, profile.recent[0]]]);

async function known(userid) {
  try {
    return await ask(`/users/${userid}`);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

function choose(userid, look_now = true) {
  user = userid;
  shown = null;
  order = new Map();
  of("user").value = userid;
  of("took").hidden = true;
  history.replaceState(null, "", `?user=${userid}`);
  if (look_now) look().catch((error) => notice(error.message, true));
}

of("pick").addEventListener("submit", (event) => {
  event.preventDefault();
  choose(Number(of("user").value));
});
of("anyone").addEventListener("click", () => {
  const other = arriving.find((event) => event.userid !== user);
  if (other) choose(other.userid);
  else notice("Nobody is rating at the moment. Start a replay: reelstream replay");
});

async function rate(item, stars_given, row) {
  rating = true;
  row.querySelectorAll("button").forEach((button) => { button.disabled = true; });
  const began = performance.now();
  try {
    const position = await ask("/ratings", { userid: user, itemid: item.itemid, rating: stars_given });
    const acknowledged = performance.now() - began;
    const answer = await ask("/ml/rec", {
      userid: user, size: SIZE, explain: true, after: { partition: position.partition, offset: position.offset },
    });
    showList(answer, true);
    const took = performance.now() - began;
    of("took").hidden = false;
    of("took").replaceChildren(
      h("b", {}, duration(took).join(" ")),
      h("span", {}, `from the click to this list. ${item.title}: ${stars_given} of 5, in the log after ${duration(acknowledged).join(" ")}.`),
    );
    text(of("list-note"), "");
    const profile = await known(user);
    showProfile(profile);
    shown = stampOf(profile);
  } catch (error) {
    notice(error.message, true);
    row.querySelectorAll("button").forEach((button) => { button.disabled = false; });
  } finally {
    rating = false;
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
      h("div", {}, h("span", { class: "name" }, `${bare(item.title)} `, h("span", {}, item.year)), h("span", { class: "change" })),
      h("div", { class: "genres" }, item.genres.join(", "))),
    h("div", { class: "likely", title: "The ranker's probability that this user would like the film after watching it" },
      h("div"), h("span", { class: "meter" }, h("span"))),
  );
  if (mayRate) row.append(starButtons(bare(item.title), (given) => rate(item, given, row)));
  return row;
}

const bare = (title) => title.replace(/ \(\d{4}\)$/, "");

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
  if (answer.fallback === "unknown_user") return [`User ${user} is not known yet; these films are popular. Rate a film to begin.`];
  if (answer.fallback) return [`This list is not made from the user's own ratings (${answer.fallback.replaceAll("_", " ")}).`];
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
      h("dl", { class: "facts" }, ...fact("ratings", "n"), ...fact("liked", "likes"), ...fact("rating since", "since")),
      h("h3", { class: "quiet" }, "Preferences, from recent ratings"),
      h("ul", { class: "leanings", id: "leanings" }),
    );
  }
  text(of("n"), whole(profile.n));
  text(of("likes"), share(profile.n ? profile.likes / profile.n : 0));
  text(of("since"), day(profile.first_ts));
  text(of("as-of"), `as of event ${whole(profile.as_of.offset)} of partition ${profile.as_of.partition}`);
  const terms = [...Object.entries(profile.terms.genres), ...Object.entries(profile.terms.decades)];
  const best = terms.sort((one, other) => other[1] - one[1]).slice(0, 8);
  sync(of("leanings"), best, ([name]) => name,
    ([name]) => h("li", {}, h("span", {}, name), h("span", { class: "meter" }, h("span")), h("span", { class: "figure" })),
    (row, [, weight]) => {
      row.querySelector(".meter span").style.width = width(weight);
      text(row.querySelector(".figure"), weight.toFixed(2));
    });
  sync(of("last"), profile.recent.slice(0, 8), (event) => `${event.itemid}-${event.ts}`,
    (event) => h("li", {}, h("span", { class: "what", title: event.title }, event.title), stars(event.rating)));
}

function showArriving(recent) {
  arriving = recent.error ? [] : recent.events;
  const nothing = recent.error ?? "No rating has arrived yet. Start a replay: reelstream replay";
  sync(of("arriving"), arriving.length ? arriving.slice(0, 8) : [null], (event) => (event ? `${event.userid}-${event.itemid}-${event.rating}` : nothing),
    (event) => (event
      ? h("li", {},
        h("span", { class: "what" },
          h("button", { class: "link", type: "button", onclick: () => { choose(event.userid); scrollTo({ top: 0 }); } }, `User ${event.userid}`),
          ` ${event.title}`),
        stars(event.rating))
      : h("li", { class: "quiet" }, nothing)));
}
