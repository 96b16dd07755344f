import { banner, failed, label, pause, PAUSE_MAX, refused } from "../../../src/http/ui/connection.js";
import { equal, test } from "./harness.js";

test("pauses double up to a maximum, and are spread", () => {
  equal([0, 1, 2, 3, 4, 5, 50].map((attempt) => pause(attempt, 0.5)), [500, 1000, 2000, 4000, 8000, 15_000, PAUSE_MAX]);
  equal([pause(1, 0), pause(1, 1)], [750, 1250]);
});

test("an answer decides what follows", () => {
  const of = (more) => refused({ detail: "d", retryAfter: null, hasKey: false, attempt: 0, random: 0.5, now: 1000, ...more });
  equal(of({ status: 401 }), { name: "unauthorized", wasRefused: false });
  equal(of({ status: 401, hasKey: true }), { name: "unauthorized", wasRefused: true });
  equal(of({ status: 503 }), { name: "retrying", why: "d", at: 1500, isGone: false });
  equal(of({ status: 503, retryAfter: 5 }).at, 6000);
  equal(of({ status: 404 }).why, "the daemon answered 404: d");
  equal(failed({ why: "w", attempt: 2, random: 0.5, now: 0 }), { name: "retrying", why: "w", at: 2000, isGone: true });
});

test("each state is said", () => {
  const said = (state, more = {}) => banner(state, { stale: null, isComplete: true, since: "10:00:00", now: 0, ...more })?.text ?? null;
  equal(said({ name: "live" }), null);
  equal(said({ name: "connecting" }), null);
  equal(said({ name: "live" }, { stale: "s" }), "The daemon has lost the cluster: s. The table shows the state of 10:00:00. It continues by itself.");
  equal(said({ name: "retrying", why: "w", at: 4100, isGone: true }), "No connection to the daemon: w. The table shows the state of 10:00:00. Next attempt in 5 s.");
  equal(said({ name: "retrying", why: "w", at: 0, isGone: false }, { isComplete: false }), "The daemon sends no events now: w. Trying now.");
  equal(said({ name: "unauthorized", wasRefused: true }, { isComplete: false }), "The daemon refused the API key.");
  for (const [state, stale, text] of [
    [{ name: "live" }, null, "Live"], [{ name: "live" }, "s", "Out of date"], [{ name: "connecting" }, null, "Connecting"],
    [{ name: "retrying", isGone: true }, null, "Disconnected"], [{ name: "retrying", isGone: false }, null, "Waiting"],
    [{ name: "unauthorized" }, null, "Key needed"], [{ name: "paused" }, null, "Paused"],
  ]) equal(label(state, stale).text, text);
});
