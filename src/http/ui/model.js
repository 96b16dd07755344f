// The copy of all sandboxes, made from the events of the stream.

/** How many changes of one sandbox are kept. */
const CHANGES_MAX = 20;
/** How many sandboxes that no longer exist are kept, for a detail view that is open. */
const GONE_MAX = 200;

const time = (text) => {
  const at = text === undefined ? NaN : Date.parse(text);
  return Number.isNaN(at) ? null : at;
};

/** Returns a row: the sandbox as the API describes it, with its times as numbers. */
export function row(data) {
  return {
    id: String(data.sandbox_id),
    data,
    status: String(data.status ?? "Unknown"),
    ready: data.ready === true,
    reason: data.reason === undefined ? "" : String(data.reason),
    created: time(data.created_at),
    idle: time(data.idle_since),
    expires: time(data.expires_at),
    profile: data.profile === undefined ? "" : String(data.profile),
    cluster: data.cluster === undefined ? "" : String(data.cluster),
    owner: [data.owner, data.user_id, data.thread_id].filter((part) => part != null).join(" / "),
  };
}

/** Returns the row of a sandbox that exists, but whose state is not known. */
function unreadable(id, data, before) {
  const known = before ? before.data : {};
  const { reason, detail } = data;
  return row({ ...known, sandbox_id: id, status: "Unknown", ready: false, reason: reason ?? "Unreadable", message: detail });
}

export class Model {
  /** The sandboxes by id. */
  rows = new Map();
  /** Sandboxes that ended while this page was open, by id: the data of their last event. */
  gone = new Map();
  /** The last changes of each sandbox, by id, the newest last. */
  changes = new Map();
  /** Whether all events of the present state have arrived at least once. */
  complete = false;
  /** Why the daemon says that the state of a cluster is out of date, by the cluster. */
  #away = new Map();
  /** The rows of the present state while it arrives, which then replace the others. */
  #incoming = null;
  /** The ids of the rows that no event has named since a reset. Those of a cluster that is away stay until its state is sent. */
  #unconfirmed = new Set();

  /** Why the daemon says that the state is out of date; null if it is current. */
  get stale() {
    return this.#away.size === 0 ? null : [...this.#away.values()].join("; ");
  }

  /** Notes that a stream begins. If it is not the continuation of an earlier one, the present state follows. */
  begin(isResumed) {
    this.#away.clear();
    if (!isResumed) this.#restart();
  }

  /**
   * Applies an event, and adds the ids of the rows that it changes to `changed`. Returns whether all rows may have
   * changed. `now` is when the event arrived.
   */
  apply({ name, data }, changed, now) {
    switch (name) {
      case "synced":
        this.complete = true;
        if (!this.#incoming) return this.#removeMissing();
        for (const id of this.#unconfirmed) this.#incoming.set(id, this.rows.get(id));
        this.rows = this.#incoming;
        this.#incoming = null;
        this.#removeMissing();
        return true;
      case "reset":
        this.#restart();
        return false;
      case "stale":
        this.#away.set(data.cluster, String(data.detail ?? "the daemon has lost the cluster"));
        return false;
      case "fresh":
        this.#away.delete(data.cluster);
        // The present state of the cluster has been sent, unless `synced` follows.
        return this.#incoming ? false : this.#removeMissing();
      default:
        return this.#applyToOne(name, data, changed, now);
    }
  }

  #restart() {
    this.#incoming = new Map();
    this.#unconfirmed = new Set(this.rows.keys());
  }

  /** Removes the rows that are missing from the present state, but for those of clusters that are away. Returns whether there were any. */
  #removeMissing() {
    const gone = [...this.#unconfirmed].filter((id) => !this.#away.has(this.rows.get(id).data.cluster));
    for (const id of gone) {
      this.#unconfirmed.delete(id);
      this.rows.delete(id);
    }
    return gone.length > 0;
  }

  #applyToOne(name, data, changed, now) {
    if (!KNOWN.has(name) || typeof data.sandbox_id !== "string") return false;
    const id = data.sandbox_id;
    this.#unconfirmed.delete(id);
    const rows = this.#incoming ?? this.rows;
    const isFirst = this.#incoming !== null;
    if (name === "deleted" || name === "reaped") {
      rows.delete(id);
      this.gone.delete(id);
      this.gone.set(id, { data, at: now });
      if (this.gone.size > GONE_MAX) {
        const oldest = this.gone.keys().next().value;
        this.gone.delete(oldest);
        this.changes.delete(oldest);
      }
    } else {
      rows.set(id, name === "unreadable" ? unreadable(id, data, rows.get(id)) : row(data));
      this.gone.delete(id);
    }
    // The present state at the beginning of a stream is not a change.
    if (!isFirst) {
      this.#note(id, name, data, now);
      changed.add(id);
    }
    return false;
  }

  #note(id, name, data, now) {
    const list = this.changes.get(id) ?? [];
    const reason = data.reaped?.reason ?? data.reason;
    list.push({ name, at: now, status: data.status, reason });
    if (list.length > CHANGES_MAX) list.shift();
    this.changes.set(id, list);
  }
}

/** The events about one sandbox. Others are ignored, as the API asks. */
const KNOWN = new Set([
  "added", "deleted", "reaped", "unreadable", "replaced", "ready", "unready", "status", "url", "reason", "limits",
  "changed",
]);

/** Returns how many rows have each value of a field, the most frequent first. */
export function counts(rows, field) {
  const found = new Map();
  for (const row of rows) {
    const value = field(row);
    found.set(value, (found.get(value) ?? 0) + 1);
  }
  return [...found].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
}
