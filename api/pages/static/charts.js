// Charts, drawn by plotly.js in the colours of pages.css.
/* global Plotly */

const drawn = new Map();

/** A colour of pages.css by its name. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/**
 * Draw a chart, or change the one that is there.
 *
 * `traces` and `layout` are functions, called again when the colours change; `words` says the same to those who do not
 * see it.
 */
export function draw(element, traces, layout, words) {
  drawn.set(element, { traces, layout });
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", words);
  paint(element);
}

function paint(element) {
  const { traces, layout } = drawn.get(element);
  const wanted = layout();
  Plotly.react(element, traces(), {
    autosize: true,
    margin: { l: 44, r: 10, t: 8, b: 24 },
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("muted") },
    hoverlabel: { bgcolor: colour("text"), bordercolor: colour("text"), font: { color: colour("page"), size: 12 } },
    showlegend: false,
    dragmode: false,
    hovermode: "x unified",
    ...wanted,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 }, ...wanted.legend },
    xaxis: axis({ showgrid: false, automargin: false, ...wanted.xaxis }),
    yaxis: axis({ rangemode: "tozero", nticks: 5, ...wanted.yaxis }),
  }, { displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false });
}

function axis(given) {
  return {
    fixedrange: true, gridcolor: colour("faint"), linecolor: colour("line"), zeroline: false, ticks: "", automargin: true,
    ...given,
  };
}

/** A text as plotly shows it, which would take tags and entities in it for its own. */
export const plain = (value) => `${value}`.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** A line; `name` is shown in the legend and under the pointer. */
export function line(x, y, name, { colour: of = "accent", fill = false, dash = "solid", width = 2, ...more } = {}) {
  return {
    type: "scatter", mode: "lines", x, y, name, connectgaps: false,
    line: { color: colour(of), width, dash },
    ...(fill ? { fill: "tozeroy", fillcolor: `${colour(of)}22` } : {}),
    ...more,
  };
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((_, element) => paint(element)));
