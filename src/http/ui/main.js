// Connects the parts of the page.

import { hasKey, setKey, whenUnauthorized } from "./api.js";
import { isFiltered, parse, unfiltered, write } from "./address.js";
import { now } from "./clock.js";
import { shown } from "./columns.js";
import { Detail } from "./detail.js";
import { byId, setText } from "./dom.js";
import { Filters } from "./filters.js";
import { number, plural } from "./format.js";
import { askForKey } from "./keys.js";
import { Model } from "./model.js";
import { say, showConnection } from "./notice.js";
import { Order } from "./order.js";
import { Overview } from "./overview.js";
import { Stream } from "./stream.js";
import { Table } from "./table.js";

/** How long a hidden page keeps its stream, in milliseconds. Browsers open few connections to one host. */
const HIDDEN_MAX = 60_000;
/** How often the numbers beside the filters are counted, in milliseconds. */
const COUNT_PAUSE = 500;

const model = new Model();
const order = new Order();
const changed = new Set();
let state = parse(location.search);
let connection = { name: "connecting" };
let isAllChanged = true;
let isQueued = false;
let lastNews = null;
let countedAt = 0;
let counting = null;

const href = (patch) => location.pathname + write({ ...state, ...patch });
const ofRow = (id) => href({ id });

const table = new Table(byId("scroller"), {
  href: ofRow,
  now,
  onOpen: (id) => go({ id }, true),
  onSort: (sort) => go({ sort, descending: sort === state.sort && !state.descending }),
  onBack: () => close(),
});
const detail = new Detail({ onClose: () => close() });
const overview = new Overview((filters) => href({ view: "list", id: null, filters: { ...unfiltered(), ...filters } }));
const filters = new Filters((name, value) => {
  go({ filters: name === undefined ? unfiltered() : { ...state.filters, [name]: value } });
  table.scrollToTop();
});
const stream = new Stream({
  onState: (next) => {
    connection = next;
    if (next.name === "unauthorized") void enterKey(next.wasRefused);
    queue();
  },
  onStart: (isResumed) => {
    model.begin(isResumed);
  },
  onEvents: (events) => {
    lastNews = now();
    for (const event of events) isAllChanged = model.apply(event, changed, lastNews) || isAllChanged;
    queue();
  },
});

/** Changes the state and the address. `isStep` says that the browser's back button returns from it. */
function go(patch, isStep = false) {
  const next = { ...state, ...patch };
  const address = location.pathname + write(next);
  if (isStep && address !== location.pathname + location.search) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  enter(next);
}

function enter(next) {
  const before = state;
  state = next;
  const isSame = JSON.stringify(before.filters) === JSON.stringify(next.filters);
  if (!isSame || before.sort !== next.sort || before.descending !== next.descending) isAllChanged = true;
  apply();
  // The links of the rows contain the filters.
  if (next.id !== before.id && next.id !== null) detail.focus();
  if (next.id === null && before.id !== null && next.view === "list") table.focus();
}

/** Shows what the state says, apart from the sandboxes themselves. */
function apply() {
  const isOverview = state.view === "overview";
  byId("list").hidden = isOverview;
  overview.open(isOverview);
  for (const [id, view] of [["nav-list", "list"], ["nav-overview", "overview"]]) {
    if (view === state.view) byId(id).setAttribute("aria-current", "page");
    else byId(id).removeAttribute("aria-current");
    byId(id).setAttribute("href", href({ view, id: null }));
  }
  detail.open(isOverview ? null : state.id, model);
  table.opened(state.id);
  table.sorted(state.sort, state.descending);
  document.title = state.id ? `${state.id} – Sandboxes` : isOverview ? "Overview – Sandboxes" : "Sandboxes";
  byId("list").inert = narrow.matches && state.id !== null && !isOverview;
  countedAt = 0;
  queue();
}

function close() {
  if (state.id !== null) go({ id: null });
}

/** Draws once for all that changes until the next frame. */
function queue() {
  if (isQueued) return;
  isQueued = true;
  requestAnimationFrame(() => {
    isQueued = false;
    draw();
  });
}

function draw() {
  showConnection(connection, model, lastNews, { retry: () => stream.retry(), enterKey: () => void enterKey(false) });
  byId("forget-key").hidden = !hasKey();
  const hasNews = isAllChanged || changed.size > 0;
  const isOpenChanged = isAllChanged || changed.has(state.id);
  // The numbers of another set of rows are shown with it.
  if (isAllChanged) countedAt = 0;
  if (isAllChanged) order.set(model.rows, state.filters, state.sort, state.descending);
  else if (changed.size > 0) order.update(model.rows, changed);
  changed.clear();
  isAllChanged = false;
  if (hasNews) table.show(model.rows, order.ids, shown(model.rows));
  detail.show(model, isOpenChanged);
  if (hasNews || countedAt === 0) count();
}

/** Shows the numbers, at most twice a second: they cost a pass over all sandboxes. */
function count() {
  const left = countedAt + COUNT_PAUSE - Date.now();
  if (left > 0) {
    counting ??= setTimeout(() => {
      counting = null;
      count();
    }, left);
    return;
  }
  countedAt = Date.now();
  filters.show(model.rows, state.filters, isFiltered(state.filters));
  overview.show(model);
  const [total, found] = [model.rows.size, order.ids.length];
  const all = plural(total, "sandbox", "sandboxes");
  setText(byId("found"), !model.complete ? "Loading…" : isFiltered(state.filters) ? `${number(found)} of ${all}` : all);
  const isEmpty = model.complete && found === 0;
  byId("empty").hidden = !isEmpty;
  byId("scroller").classList.toggle("is-empty", isEmpty);
  setText(byId("empty"), total === 0 ? "There are no sandboxes." : "No sandbox passes the filters.");
}

async function enterKey(wasRefused) {
  if (wasRefused) setKey(null);
  await askForKey(wasRefused, () => stream.retry());
  queue();
}

const narrow = matchMedia("(max-width: 50rem)");
narrow.addEventListener("change", apply);
addEventListener("popstate", () => enter(parse(location.search)));
addEventListener("online", () => stream.retry());
whenUnauthorized(() => void enterKey(hasKey()));

let hiding = null;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => stream.pause(), HIDDEN_MAX);
  else stream.resume();
});

// The browser keeps a page that was left, for its back button. Its stream would occupy a connection.
addEventListener("pagehide", () => stream.pause());
addEventListener("pageshow", (event) => {
  if (event.persisted) stream.resume();
});

/** Follows a link inside of the page without loading the page again. */
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.defaultPrevented;
  if (!link || !isPlain || link.target || link.origin !== location.origin || link.pathname !== location.pathname) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  enter(parse(link.search));
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, select, textarea") || document.querySelector("dialog[open]");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && state.view === "list") {
    event.preventDefault();
    filters.focus();
  }
});

const theme = byId("theme");
const nameTheme = () => {
  const names = { auto: "as the system", light: "light", dark: "dark" };
  const chosen = document.documentElement.dataset.theme;
  theme.textContent = { auto: "◐", light: "☀", dark: "☾" }[chosen];
  theme.setAttribute("aria-label", `Theme: ${names[chosen]}. Change`);
  theme.title = `Theme: ${names[chosen]}`;
};
theme.addEventListener("click", () => {
  window.nextTheme();
  nameTheme();
});
nameTheme();

byId("forget-key").addEventListener("click", () => {
  setKey(null);
  say("The key was forgotten.");
  location.reload();
});

setInterval(() => {
  if (document.hidden) return;
  table.tick();
  detail.show(model, false);
  if (connection.name === "retrying") queue();
}, 1000);

apply();
void stream.run();
