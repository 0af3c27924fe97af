// Events in the terms of the data set: how one looks, and the controls that send one.

import { h } from "./core.js";

/** The type of an event: named, or told by the field that holds its value. */
export const typeOf = (types, event) => types.find((type) => type.name === event.event || Object.hasOwn(event, type.name)) ?? { name: event.event ?? "" };

/** What an event says, in words: "4 of 5", "purchase", "watched 12.5". */
export function said(types, event) {
  const type = typeOf(types, event);
  const value = event[type.name] ?? event.value;
  if (value === undefined || value === null) return label(type.name);
  if (type.stars) return types.length > 1 ? `${label(type.name)} ${value} of ${type.stars}` : `${value} of ${type.stars}`;
  return `${label(type.name)} ${value}`;
}

/** An event to look at: stars, or its type. */
export function mark(types, event) {
  const type = typeOf(types, event);
  const value = event[type.name] ?? event.value;
  if (type.stars && Number.isInteger(value)) {
    return h("span", { class: "stars", role: "img", "aria-label": said(types, event) }, "★".repeat(value) + "☆".repeat(Math.max(0, type.stars - value)));
  }
  return h("span", { class: "tag" }, said(types, event));
}

/** The controls that send an event with the item `title`; `send` is called with the fields that say what it is. */
export function controls(types, title, send) {
  const group = h("div", { class: "give" });
  for (const type of types) {
    if (type.stars) group.append(starButtons(type, title, (value) => send({ [type.name]: value })));
    else if (type.valued) group.append(numberForm(type, title, (value) => send({ [type.name]: value })));
    else group.append(h("button", { class: "button small", type: "button", "aria-label": `${label(type.name)}: ${title}`, onclick: () => send({ event: type.name }) }, label(type.name)));
  }
  return group;
}

const label = (name) => name.replaceAll("_", " ");

/** Buttons for the values from 1 on; one stop of the Tab key, arrows go between them. */
function starButtons(type, title, give) {
  const group = h("fieldset", { class: "rate", "aria-label": `${label(type.name)}: ${title}` });
  const buttons = Array.from({ length: type.stars }, (_, place) => h("button", {
    type: "button", tabindex: place + 1 === type.stars ? "0" : "-1", "aria-label": `${place + 1} of ${type.stars}`, title: `${place + 1} of ${type.stars}`,
    onclick: () => give(place + 1),
    onpointerenter: () => light(place + 1),
    onfocus: () => light(place + 1),
  }, "★"));
  const light = (value) => buttons.forEach((button, place) => button.toggleAttribute("data-on", place < value));
  group.addEventListener("pointerleave", () => light(0));
  group.addEventListener("focusout", () => light(0));
  group.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    if (next) {
      buttons.forEach((button) => button.setAttribute("tabindex", button === next ? "0" : "-1"));
      next.focus();
    }
  });
  group.append(...buttons);
  return group;
}

/** A field for a number of a type, and its button. */
function numberForm(type, title, give) {
  const field = h("input", {
    class: "field", type: "number", required: true, step: type.whole ? "1" : "any", min: type.minimum, max: type.maximum,
    "aria-label": `${label(type.name)}: ${title}`,
  });
  const form = h("form", { class: "number" }, field, h("button", { class: "button small" }, label(type.name)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    give(field.valueAsNumber);
  });
  return form;
}
