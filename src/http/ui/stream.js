// The stream of events: connects, reads, and connects again.
//
// `EventSource` cannot send the key, so the stream is read with `fetch`.

import { error, hasKey, send } from "./api.js";
import { failed, refused, SILENCE_MAX } from "./connection.js";
import { Parser } from "./sse.js";

/** A stream that stayed for this long was a good one: the next attempts begin with short pauses. */
const GOOD = 5000;

export class Stream {
  #parser = new Parser();
  #attempt = 0;
  #abort = null;
  #wake = null;
  #isPaused = false;
  #onState;
  #onStart;
  #onEvents;

  /** `onStart` is called with whether the stream continues an earlier one, before its first events. */
  constructor({ onState, onStart, onEvents }) {
    this.#onState = onState;
    this.#onStart = onStart;
    this.#onEvents = onEvents;
  }

  /** Connects, and connects again, for as long as the page is open. */
  async run() {
    for (;;) {
      const state = this.#isPaused ? { name: "paused" } : await this.#connect();
      this.#onState(state);
      await this.#until(state);
    }
  }

  /** Connects now, after a pause or with another key. */
  retry() {
    this.#attempt = 0;
    this.#abort?.abort("retry");
    this.#wake?.();
  }

  /** Ends the stream while the page is hidden. It continues where it was. */
  pause() {
    this.#isPaused = true;
    this.#abort?.abort("pause");
    this.#wake?.();
  }

  resume() {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.retry();
  }

  /** Waits until the next attempt. */
  async #until(state) {
    if (state.name === "connecting") return;
    await new Promise((resolve) => {
      this.#wake = resolve;
      if (state.name === "retrying") setTimeout(resolve, Math.max(0, state.at - Date.now()));
    });
    this.#wake = null;
  }

  /** Reads one stream to its end. Returns the state after it. */
  async #connect() {
    this.#onState({ name: "connecting" });
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const started = Date.now();
    let silence;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => this.#abort?.abort("silence"), SILENCE_MAX);
    };
    heard();
    let why = "it does not answer";
    try {
      const { lastId } = this.#parser;
      const headers = { Accept: "text/event-stream" };
      if (lastId !== null) headers["Last-Event-ID"] = lastId;
      const response = await send("api/events", { headers, signal });
      if (!response.ok) {
        const { status, message, retryAfter } = await error(response);
        return refused({ status, detail: message, retryAfter, hasKey: hasKey(), ...this.#next() });
      }
      this.#parser.restart();
      this.#onStart(lastId !== null);
      this.#onState({ name: "live" });
      await this.#read(response.body, heard);
      why = "it has ended the connection";
    } catch (reason) {
      if (signal.reason === "pause") return { name: "paused" };
      if (signal.reason === "retry") return { name: "connecting" };
      if (signal.reason === "silence") why = "it has sent nothing for 20 s";
    } finally {
      clearTimeout(silence);
      this.#abort = null;
      if (Date.now() - started > GOOD) this.#attempt = 0;
    }
    return failed({ why, ...this.#next() });
  }

  async #read(body, heard) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const events = [];
      for (const { name, data } of this.#parser.push(value)) {
        try {
          events.push({ name, data: JSON.parse(data) });
        } catch {
          console.warn("an event is not JSON", name);
        }
      }
      if (events.length > 0) this.#onEvents(events);
    }
  }

  #next() {
    return { attempt: this.#attempt++, random: Math.random(), now: Date.now() };
  }
}
