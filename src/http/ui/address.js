// The state of the page as the query of its address.

const FILTERS = ["q", "status", "ready", "reason", "profile", "cluster"];
const SORTS = ["id", "status", "ready", "reason", "age", "idle", "expires", "profile", "owner", "cluster"];

/** Reads the state from a query. Unknown parameters and values are ignored. */
export function parse(query) {
  const given = new URLSearchParams(query);
  const filters = {};
  for (const name of FILTERS) filters[name] = given.get(name) ?? "";
  if (!["", "yes", "no"].includes(filters.ready)) filters.ready = "";
  const written = given.get("sort") ?? "";
  const descending = written.startsWith("-");
  const sort = descending ? written.slice(1) : written;
  const isKnown = SORTS.includes(sort);
  return {
    view: given.get("view") === "overview" ? "overview" : "list",
    filters,
    sort: isKnown ? sort : "age",
    descending: isKnown && descending,
    id: given.get("id") || null,
  };
}

/** Returns the query of a state, without the values that are the default. */
export function write({ view, filters, sort, descending, id }) {
  const query = new URLSearchParams();
  if (view === "overview") query.set("view", view);
  for (const name of FILTERS) if (filters[name]) query.set(name, filters[name]);
  if (sort !== "age" || descending) query.set("sort", (descending ? "-" : "") + sort);
  if (id) query.set("id", id);
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** Returns whether any filter is set. */
export const isFiltered = (filters) => FILTERS.some((name) => filters[name]);

/** Returns the state without filters. */
export const unfiltered = () => Object.fromEntries(FILTERS.map((name) => [name, ""]));
