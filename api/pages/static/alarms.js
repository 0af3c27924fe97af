// The list of alarms: open ones by cause, each with what an operator says of it, then closed ones.

import { ask, clock, fill, h, notice, sync, text, whole } from "./core.js";
import { alarmWords } from "./words.js";

/**
 * Fill the list with the alarms. `choose` is called with the series that is clicked, where it is one of `series`;
 * `acknowledged` is what operators have said, by cause; a note can be written where `may` is true.
 */
export function showAlarms(list, alarms, acknowledged, series, choose, may) {
  const causes = new Map();
  for (const alarm of alarms.filter((each) => each.closed === null)) {
    causes.set(alarm.cause, [...(causes.get(alarm.cause) ?? []), alarm]);
  }
  const open = [...causes].flatMap(([cause, of]) => [{ cause, of }, ...of.toSorted((one, other) => one.opened - other.opened)]);
  const rows = [...open, ...alarms.filter((each) => each.closed !== null)];
  sync(list, rows.length ? rows : [null], (row) => (row ? row.of ? `cause ${row.cause}` : `${row.detector}:${row.series}:${row.opened}` : "none"),
    (row) => (row ? row.of ? makeCause(row, may) : makeRow(row, series, choose) : h("li", { class: "quiet", style: "display: block" },
      "None so far. An alarm opens when a series is further from training than chance explains.")),
    (element, row) => {
      if (row?.of) updateCause(element, row, acknowledged[row.cause]);
      else if (row) updateRow(element, row, acknowledged[row.cause]);
    });
}

function makeCause({ cause }, may) {
  const note = h("input", { type: "text", maxlength: 1000, required: true, placeholder: "Note for this cause", "aria-label": "Note" });
  const form = h("form", { hidden: !may }, note, h("button", { type: "submit" }, "Acknowledge"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await ask("/drift/acknowledge", { alarm: cause, note: note.value });
      note.value = "";
      notice(null, true);
    } catch (error) {
      notice(error.message, true);
    }
  });
  return h("li", { class: "cause" }, h("div", {}, h("b"), h("div", { class: "quiet" }), form));
}

function updateCause(element, { of }, said) {
  text(element.querySelector("b"), of.length === 1 ? "One alarm" : `${of.length} alarms with one cause`);
  text(element.querySelector(".quiet"), said
    ? `Acknowledged ${clock(said.wall_ts)} until it changes: ${said.note}`
    : "Not acknowledged.");
  element.classList.toggle("said", Boolean(said));
}

function makeRow(alarm, series, choose) {
  const name = series.has(alarm.series)
    ? h("button", { class: "link", type: "button", onclick: () => choose(alarm.series) }, alarm.series)
    : h("b", {}, alarm.series);
  return h("li", {}, h("span"), h("div", {}, name, `: ${alarmWords(alarm)}`, h("div", { class: "quiet" })));
}

function updateRow(row, alarm, said) {
  const open = alarm.closed === null;
  fill(row.firstElementChild, h("span", { class: `tag ${open && !said ? "bad" : ""}` }, open ? "open" : "closed"));
  text(row.querySelector(".quiet"), `${alarm.detector}, since event ${whole(alarm.opened)}, ${clock(alarm.opened_wall_ts)}`
    + (open ? "" : `, until event ${whole(alarm.closed)}, ${clock(alarm.closed_wall_ts)}`));
}
