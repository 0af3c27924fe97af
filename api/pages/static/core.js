// What every page is made with: asking the API, building elements, and changing only what differs.

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The JSON at a path; throws ApiError with what the API said. */
export async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { Accept: "application/json", ...options.headers }, signal: AbortSignal.timeout(10000) });
  } catch {
    throw new ApiError("the API does not answer", 0);
  }
  if (answer.status === 401) {
    location.reload();
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw new ApiError(told.error ?? `the API answered ${answer.status}`, answer.status);
  }
  return told;
}

/** Call `look` now and every second while the page can be seen; one call at a time. The header tells how it goes. */
export function everySecond(look) {
  const pulse = document.getElementById("pulse");
  let busy = false;
  async function tick() {
    if (busy || document.hidden) return;
    busy = true;
    try {
      await look();
      pulse.dataset.state = "live";
      text(pulse, "updated every second");
    } catch (error) {
      if (!(error instanceof ApiError)) console.error(error);
      pulse.dataset.state = "away";
      text(pulse, error.message);
    } finally {
      busy = false;
    }
  }
  document.addEventListener("visibilitychange", tick);
  setInterval(tick, 1000);
  return tick();
}

/** An element with properties (`data-`, `aria-` and `on...` as they are written) and children. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set the text of an element where it differs. */
export function text(element, value) {
  const wanted = String(value);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Make the children of `parent` those of `items`, in order; those that stay are updated in place. */
export function sync(parent, items, key, make, update = () => {}) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const [number, item] of items.entries()) {
    const name = String(key(item, number));
    let child = known.get(name);
    if (!child) {
      child = make(item, number);
      child.dataset.key = name;
    }
    known.delete(name);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, item, number); // on the page by now: a chart drawn before has a width of its own
  }
  for (const child of known.values()) child.remove();
}

/** Show the tiles on top of a page, each [name, value, unit, words]. */
export function fillTiles(tiles) {
  sync(document.getElementById("tiles"), tiles, (tile) => tile[0],
    ([name]) => h("section", { class: "card tile" }, h("div", { class: "name" }, name),
      h("div", { class: "value" }, h("span"), h("small")), h("div", { class: "words" })),
    (tile, [, value, unit, words]) => {
      text(tile.querySelector(".value span"), value);
      text(tile.querySelector("small"), unit);
      text(tile.querySelector(".words"), words);
    });
}

/** Fill a table: columns are [heading, whether it is of numbers]; rows are {key, cells}, a cell text or an element. */
export function table(element, columns, rows) {
  if (!element.tHead) {
    const heads = columns.map(([name, right]) => h("th", { scope: "col", class: right ? "right" : "" }, name));
    element.append(h("thead", {}, h("tr", {}, ...heads)), h("tbody"));
  }
  const make = () => h("tr", {}, ...columns.map(([, right]) => h("td", { class: right ? "right" : "" })));
  sync(element.tBodies[0], rows, (row) => row.key, make, (line, row) => {
    row.cells.forEach((cell, place) => fill(line.cells[place], cell));
  });
}

/** Put text or an element into another, where it differs. */
export function fill(element, content) {
  if (!(content instanceof Element)) text(element, content ?? "");
  else if (element.childNodes.length !== 1 || element.innerHTML !== content.outerHTML) element.replaceChildren(content);
}

/** Show or hide a notice. */
export function notice(message, bad = false) {
  const element = document.getElementById("notice");
  element.hidden = !message;
  element.classList.toggle("bad", bad);
  text(element, message ?? "");
}

export const whole = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en"));
export const fixed = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));
export const share = (value, digits = 0) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)} %`);

/** A share as a width in CSS. */
export const width = (value) => `${(100 * Math.min(1, Math.max(0, value))).toFixed(1)}%`;

/** Milliseconds as people read them: [number, unit]. */
export function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return ["–", ""];
  if (milliseconds < 1000) return [milliseconds < 10 ? milliseconds.toFixed(1) : milliseconds.toFixed(0), "ms"];
  return [(milliseconds / 1000).toFixed(milliseconds < 10000 ? 1 : 0), "s"];
}

export const day = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 10);
export const clock = (seconds) => new Date(1000 * seconds).toLocaleTimeString("en-GB");
