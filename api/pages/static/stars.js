// Stars: a rating to look at, and five buttons to give one.

import { h } from "./core.js";

export const stars = (rating) => h("span", { class: "stars", role: "img", "aria-label": `${rating} of 5` }, "★".repeat(rating) + "☆".repeat(5 - rating));

/** Five stars to rate `title` with; one stop of the Tab key, arrows go between them. `rate` is called with 1 to 5. */
export function starButtons(title, rate) {
  const group = h("fieldset", { class: "rate", "aria-label": `Rate ${title}` });
  const buttons = [1, 2, 3, 4, 5].map((rating) => h("button", {
    type: "button", tabindex: rating === 5 ? "0" : "-1", "aria-label": `${rating} of 5`, title: `${rating} of 5`,
    onclick: () => rate(rating),
    onpointerenter: () => light(rating),
    onfocus: () => light(rating),
  }, "★"));
  const light = (rating) => buttons.forEach((button, place) => button.toggleAttribute("data-on", place < rating));
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
