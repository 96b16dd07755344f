// The table. It draws only the rows in sight, and some beyond.
//
// The focus stays on the table itself, and `aria-activedescendant` names the row that the keys act on: a row that scrolls
// out of sight is removed, and would lose the focus.

import { COLUMNS } from "./columns.js";
import { h, setText } from "./dom.js";
import { moved, scrollFor, visible } from "./window.js";

/** How many rows beyond those in sight are drawn, at each end. */
const BEYOND = 10;

export class Table {
  #scroller;
  #table;
  #body;
  #above;
  #below;
  #heads = new Map();
  #drawn = new Map();
  #spare = [];
  #rowHeight = 36;
  #rows = new Map();
  #ids = [];
  #active = null;
  #open = null;
  #isQueued = false;
  #href;
  #now;
  #onOpen;

  constructor(scroller, { href, now, onOpen, onSort, onBack }) {
    this.#scroller = scroller;
    this.#href = href;
    this.#now = now;
    this.#onOpen = onOpen;
    const head = h("tr", { "aria-rowindex": "1" }, COLUMNS.map(({ name, title }, at) => {
      const button = h("button", { type: "button", onclick: () => onSort(name) }, title);
      const cell = h("th", { scope: "col", class: `c-${name}`, "aria-colindex": at + 1 }, button);
      this.#heads.set(name, cell);
      return cell;
    }));
    const space = () => h("tbody", { "aria-hidden": "true", class: "space" }, h("tr", {}, h("td")));
    [this.#above, this.#below] = [space(), space()];
    this.#body = h("tbody");
    this.#table = h("table", { role: "grid", id: "sandboxes", tabindex: "0", "aria-label": "Sandboxes", "aria-describedby": "keys-hint", "aria-colcount": COLUMNS.length },
      h("thead", {}, head), this.#above, this.#body, this.#below);
    scroller.append(this.#table);
    scroller.addEventListener("scroll", () => this.#queue(), { passive: true });
    new ResizeObserver(() => {
      this.#measure();
      this.#queue();
    }).observe(scroller);
    this.#table.addEventListener("keydown", (event) => this.#key(event, onBack));
    this.#body.addEventListener("click", (event) => this.#click(event));
  }

  /** Shows these rows in this order. */
  show(rows, ids, columns) {
    this.#rows = rows;
    this.#ids = ids;
    this.#table.setAttribute("aria-rowcount", String(ids.length + 1));
    const hidden = COLUMNS.map(({ name }) => name).filter((name) => !columns.includes(name));
    const without = hidden.map((name) => `no-${name}`).join(" ");
    if (this.#table.className !== without) this.#table.className = without;
    this.#queue();
  }

  /** Marks the column by which the rows are sorted. */
  sorted(sort, isDescending) {
    for (const [name, cell] of this.#heads) {
      if (name === sort) cell.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
  }

  /** Marks the row whose details are open. */
  opened(id) {
    this.#open = id;
    if (id !== null) this.#active = id;
    this.#queue();
  }

  /** Draws the times again. */
  tick() {
    this.#queue();
  }

  focus() {
    this.#table.focus();
  }

  scrollToTop() {
    this.#scroller.scrollTop = 0;
    this.#queue();
  }

  #queue() {
    if (this.#isQueued) return;
    this.#isQueued = true;
    requestAnimationFrame(() => {
      this.#isQueued = false;
      this.#draw();
    });
  }

  #measure() {
    const row = this.#body.firstElementChild;
    if (row) this.#rowHeight = row.getBoundingClientRect().height || this.#rowHeight;
  }

  get #sight() {
    const head = this.#table.tHead.offsetHeight;
    return {
      scrollTop: this.#scroller.scrollTop,
      height: Math.max(0, this.#scroller.clientHeight - head),
      rowHeight: this.#rowHeight,
    };
  }

  #draw() {
    const { first, end } = visible({ ...this.#sight, count: this.#ids.length, beyond: BEYOND });
    const wanted = this.#ids.slice(first, end);
    const keep = new Set(wanted);
    for (const [id, drawn] of this.#drawn) {
      if (keep.has(id)) continue;
      this.#drawn.delete(id);
      drawn.element.remove();
      this.#spare.push(drawn);
    }
    const wasEmpty = this.#body.firstElementChild === null;
    const now = this.#now();
    let place = this.#body.firstElementChild;
    wanted.forEach((id, at) => {
      const drawn = this.#drawn.get(id) ?? this.#take(id);
      this.#fill(drawn, id, first + at, now);
      if (drawn.element === place) place = place.nextElementSibling;
      else this.#body.insertBefore(drawn.element, place);
    });
    this.#spare.length = Math.min(this.#spare.length, 2 * BEYOND);
    this.#stretch(this.#above, first);
    this.#stretch(this.#below, this.#ids.length - end);
    this.#markActive();
    if (wasEmpty && wanted.length > 0) this.#measure();
  }

  /** Takes an element for a row: one that is not used any more, or a new one. */
  #take(id) {
    const drawn = this.#spare.pop() ?? this.#create();
    this.#drawn.set(id, drawn);
    drawn.row = null;
    drawn.index = -1;
    return drawn;
  }

  #create() {
    const cells = COLUMNS.map(({ name }, at) => h(name === "id" ? "th" : "td", { scope: name === "id" ? "row" : null, class: `c-${name}`, "aria-colindex": at + 1 }));
    return { element: h("tr", {}, cells), cells, row: null, index: -1 };
  }

  #fill(drawn, id, index, now) {
    // A sandbox that has just ended stays until the ids are sorted again.
    const row = this.#rows.get(id) ?? drawn.row;
    if (!row) return;
    const { element, cells } = drawn;
    if (drawn.index !== index) {
      drawn.index = index;
      element.setAttribute("aria-rowindex", String(index + 2));
      element.classList.toggle("odd", index % 2 === 1);
    }
    const isNew = drawn.row !== row;
    if (isNew) {
      drawn.row = row;
      element.id = `row-${id}`;
      element.dataset.id = id;
    }
    const isOpen = id === this.#open;
    if (isNew || element.ariaSelected !== String(isOpen)) element.setAttribute("aria-selected", String(isOpen));
    COLUMNS.forEach(({ fill, tick }, at) => {
      if (tick) setText(cells[at], tick(row, now));
      else if (isNew) fill(cells[at], row, this.#href(id));
    });
  }

  #stretch(body, count) {
    const height = `${count * this.#rowHeight}px`;
    const cell = body.firstElementChild.firstElementChild;
    if (cell.style.height !== height) cell.style.height = height;
    body.hidden = count === 0;
  }

  #markActive() {
    for (const [id, { element }] of this.#drawn) element.classList.toggle("active", id === this.#active);
    const isDrawn = this.#active !== null && this.#drawn.has(this.#active);
    if (isDrawn) this.#table.setAttribute("aria-activedescendant", `row-${this.#active}`);
    else this.#table.removeAttribute("aria-activedescendant");
  }

  #key(event, onBack) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.#table) return;
    if (event.key === "Enter" && this.#rows.has(this.#active)) {
      event.preventDefault();
      this.#onOpen(this.#active);
      return;
    }
    if (event.key === "Escape") {
      onBack();
      return;
    }
    const index = this.#active === null ? -1 : this.#ids.indexOf(this.#active);
    const page = Math.max(1, Math.floor(this.#sight.height / this.#rowHeight) - 1);
    const to = moved(event.key, index, this.#ids.length, page);
    if (to === null) return;
    event.preventDefault();
    this.#active = this.#ids[to];
    const top = scrollFor(to, this.#sight);
    if (top !== null) this.#scroller.scrollTop = top;
    this.#draw();
  }

  #click(event) {
    const element = event.target.closest("tr");
    if (!element || event.ctrlKey || event.metaKey || event.shiftKey) return;
    // A click that ends a selection of text is not a click on the row.
    if (String(getSelection()) !== "" && !event.target.closest("a")) return;
    event.preventDefault();
    this.#active = element.dataset.id;
    this.#onOpen(element.dataset.id);
  }
}
