// The filters above the table.

import { byId, h } from "./dom.js";
import { number } from "./format.js";
import { counts } from "./model.js";

const CHOICES = [
  ["status", "Status", (row) => row.status],
  ["ready", "Ready", (row) => (row.ready ? "yes" : "no")],
  ["reason", "Reason", (row) => row.reason || "-"],
  ["profile", "Profile", (row) => row.profile || "-"],
  ["cluster", "Cluster", (row) => row.cluster || "-"],
];

export class Filters {
  #selects = new Map();
  #search = byId("search");
  #clear = byId("clear-filters");

  /** `onChange` is called with the name of a filter and its value; without them all filters are cleared. */
  constructor(onChange) {
    const box = byId("choices");
    for (const [name, title, value] of CHOICES) {
      const select = h("select", { id: `filter-${name}`, onchange: () => onChange(name, select.value) });
      const field = h("div", { class: "choice" }, h("label", { for: select.id }, title), select);
      box.append(field);
      this.#selects.set(name, { select, field, value, shown: "" });
    }
    this.#search.addEventListener("input", () => onChange("q", this.#search.value));
    this.#clear.addEventListener("click", () => {
      onChange();
      this.#search.focus();
    });
  }

  focus() {
    this.#search.focus();
    this.#search.select();
  }

  /** Shows the chosen values, and the values of all rows with their numbers. */
  show(rows, filters, isFiltered) {
    if (this.#search.value !== filters.q) this.#search.value = filters.q;
    this.#clear.hidden = !isFiltered;
    for (const [name, choice] of this.#selects) this.#fill(choice, counts(rows.values(), choice.value), filters[name]);
  }

  #fill(choice, found, chosen) {
    const { select, field } = choice;
    // A choice with one possible value is not a choice.
    field.hidden = found.length < 2 && chosen === "";
    if (chosen !== "" && !found.some(([value]) => value === chosen)) found.push([chosen, 0]);
    const shown = JSON.stringify(found);
    // An open list of options is not replaced under the reader's pointer.
    if (choice.shown !== shown && document.activeElement !== select) {
      choice.shown = shown;
      select.replaceChildren(h("option", { value: "" }, "All"), ...found.map(([value, count]) => h("option", { value }, `${named(value)} (${number(count)})`)));
    }
    if (select.value !== chosen) select.value = chosen;
  }
}

const named = (value) => (value === "-" ? "None" : value === "yes" ? "Yes" : value === "no" ? "No" : value);
