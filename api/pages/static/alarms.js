// The list of alarms.

import { clock, fill, h, sync, text, whole } from "./core.js";
import { alarmWords } from "./words.js";

/** Fill the list with the alarms; `choose` is called with the series that is clicked, where it is one of `series`. */
export function showAlarms(list, alarms, series, choose) {
  const rows = alarms.length ? alarms : [null];
  sync(list, rows, (alarm) => (alarm ? `${alarm.detector}:${alarm.series}:${alarm.opened}` : "none"),
    (alarm) => (alarm ? makeRow(alarm, series, choose) : h("li", { class: "quiet", style: "display: block" },
      "None so far. An alarm opens when a series stays over its limit for some windows in a row.")),
    (row, alarm) => {
      if (!alarm) return;
      const open = alarm.closed === null;
      fill(row.firstElementChild, h("span", { class: `tag ${open ? "bad" : ""}` }, open ? "open" : "closed"));
      text(row.querySelector(".quiet"), `${alarm.detector}, since event ${whole(alarm.opened)}, ${clock(alarm.opened_wall_ts)}`
        + (open ? "" : `, until event ${whole(alarm.closed)}, ${clock(alarm.closed_wall_ts)}`));
    });
}

function makeRow(alarm, series, choose) {
  const name = series.has(alarm.series)
    ? h("button", { class: "link", type: "button", onclick: () => choose(alarm.series) }, alarm.series)
    : h("b", {}, alarm.series);
  return h("li", {}, h("span"), h("div", {}, name, `: ${alarmWords(alarm)}`, h("div", { class: "quiet" })));
}
