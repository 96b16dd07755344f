// Parses a stream of Server-Sent Events, piece by piece.

/** A parser. Feed it text as it arrives; it returns the complete events. */
export class Parser {
  #rest = "";
  #event = "";
  #data = [];
  /** The last id, with which a stream is resumed. Null before the first. */
  lastId = null;

  /** Returns the events that end in this text, as `{name, data}` with the data as text. */
  push(text) {
    const events = [];
    this.#rest += text;
    let start = 0;
    for (;;) {
      const end = this.#rest.indexOf("\n", start);
      if (end < 0) break;
      const line = this.#rest.slice(start, this.#rest[end - 1] === "\r" ? end - 1 : end);
      start = end + 1;
      const event = this.#line(line);
      if (event) events.push(event);
    }
    this.#rest = this.#rest.slice(start);
    return events;
  }

  /** Forgets an incomplete event: the next text is of a new stream. */
  restart() {
    this.#rest = "";
    this.#event = "";
    this.#data = [];
  }

  #line(line) {
    if (line === "") {
      const event = { name: this.#event || "message", data: this.#data.join("\n") };
      const isEvent = this.#data.length > 0;
      this.#event = "";
      this.#data = [];
      return isEvent ? event : null;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.lastId = value;
    return null;
  }
}
