// Which sandboxes are shown, and in which order.

/** The value by which each column sorts. Null and the empty text come last in both directions. */
export const KEYS = {
  id: (row) => row.id,
  status: (row) => row.status,
  // A sandbox that is not ready needs attention, so it comes first.
  ready: (row) => (row.ready ? 1 : 0),
  reason: (row) => row.reason,
  // The youngest has the smallest age.
  age: (row) => (row.created === null ? null : -row.created),
  idle: (row) => (row.idle === null ? null : -row.idle),
  expires: (row) => row.expires,
  profile: (row) => row.profile,
  owner: (row) => row.owner,
  cluster: (row) => row.cluster,
};

const isAbsent = (value) => value === null || value === "";
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** Returns the function that compares two rows. Equal rows are in the order of their ids. */
export function comparator(sort, descending) {
  const key = KEYS[sort] ?? KEYS.id;
  const sign = descending ? -1 : 1;
  return (a, b) => {
    const [one, other] = [key(a), key(b)];
    if (isAbsent(one) || isAbsent(other)) {
      return isAbsent(one) - isAbsent(other) || compare(a.id, b.id);
    }
    return sign * compare(one, other) || compare(a.id, b.id);
  };
}

/** Returns the function that says whether a row passes the filters. */
export function predicate({ q = "", status = "", ready = "", reason = "", profile = "", cluster = "" }) {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const is = (wanted, value) => wanted === "" || wanted === (value === "" ? "-" : value);
  return (row) =>
    is(status, row.status) &&
    (ready === "" || (ready === "yes") === row.ready) &&
    is(reason, row.reason) &&
    is(profile, row.profile) &&
    is(cluster, row.cluster) &&
    (words.length === 0 || words.every((word) => searched(row).includes(word)));
}

function searched(row) {
  return `${row.id} ${row.status} ${row.reason} ${row.profile} ${row.owner} ${row.cluster} ${row.data.message ?? ""} ${labels(row.data)}`.toLowerCase();
}

const labels = ({ labels }) => (labels ? Object.entries(labels).map((pair) => pair.join("=")).join(" ") : "");

/** The ids that are shown, in order. */
export class Order {
  ids = [];
  #passes = () => true;
  #compare = comparator("id", false);

  /** Sets the filters and the order, and sorts all rows. */
  set(rows, filters, sort, descending) {
    this.#passes = predicate(filters);
    this.#compare = comparator(sort, descending);
    this.rebuild(rows);
  }

  /** Sorts all rows. */
  rebuild(rows) {
    const shown = [];
    for (const row of rows.values()) if (this.#passes(row)) shown.push(row);
    this.ids = shown.sort(this.#compare).map((row) => row.id);
  }

  /** Moves the changed rows to their places. Few changes among many rows cost little more than a copy of the ids. */
  update(rows, changed) {
    if (changed.size * 4 > rows.size) {
      this.rebuild(rows);
      return;
    }
    const moved = [];
    for (const id of changed) {
      const row = rows.get(id);
      if (row && this.#passes(row)) moved.push(row);
    }
    moved.sort(this.#compare);
    const merged = [];
    let next = 0;
    for (const id of this.ids) {
      if (changed.has(id)) continue;
      const row = rows.get(id);
      while (next < moved.length && this.#compare(moved[next], row) < 0) merged.push(moved[next++].id);
      merged.push(id);
    }
    while (next < moved.length) merged.push(moved[next++].id);
    this.ids = merged;
  }
}
