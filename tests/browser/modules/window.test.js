import { shares, slowest } from "../../../src/http/ui/timeline.js";
import { moved, scrollFor, visible } from "../../../src/http/ui/window.js";
import { equal, test } from "./harness.js";

test("the rows in sight and some beyond are drawn", () => {
  const of = (more) => visible({ scrollTop: 0, height: 360, rowHeight: 36, count: 10_000, beyond: 5, ...more });
  equal(of({}), { first: 0, end: 15 });
  equal(of({ scrollTop: 36 * 100 + 1 }), { first: 95, end: 116 });
  equal(of({ scrollTop: 1e9 }), { first: 10_000, end: 10_000 });
  equal(of({ count: 3 }), { first: 0, end: 3 });
  equal(of({ count: 0 }), { first: 0, end: 0 });
  equal(of({ rowHeight: 0, scrollTop: -50 }).first, 0);
});

test("a row is scrolled into sight only if it is not", () => {
  const sight = { scrollTop: 360, height: 360, rowHeight: 36 };
  equal([scrollFor(9, sight), scrollFor(10, sight), scrollFor(19, sight), scrollFor(20, sight)], [324, null, null, 396]);
});

test("keys move between the first and the last row", () => {
  const to = (key, index) => moved(key, index, 100, 10);
  equal(["ArrowDown", "ArrowUp", "PageDown", "PageUp", "Home", "End", "x"].map((key) => to(key, 50)), [51, 49, 60, 40, 0, 99, null]);
  equal([to("ArrowDown", -1), to("ArrowUp", -1), to("PageDown", -1), to("ArrowDown", 99), to("PageUp", 3)], [0, 0, 10, 99, 0]);
  equal(moved("ArrowDown", -1, 0, 10), null);
});

const STEPS = [
  { step: "accepted", duration_ms: 0 }, { step: "pulling", duration_ms: 50 }, { step: "warning", duration_ms: 20 },
  { step: "pulled", duration_ms: 100 }, { step: "ready", duration_ms: 25 }, { step: "gone", duration_ms: 9e9 },
];

test("bars compare the intervals of the start", () => {
  equal(shares({ steps: STEPS, slowest: null }), [0, 50, null, 100, 25, null]);
  equal(shares({ steps: STEPS, slowest: { to: null, duration_ms: 1000 } }), [0, 5, null, 10, 2.5, null]);
  equal(shares({ steps: [], slowest: null }), []);
});

test("the slowest interval is a sentence", () => {
  const interval = { from: "pulling", to: "pulled", duration_ms: 11_003, image: "i" };
  equal(slowest({ slowest: interval, ready_after_ms: 13_324 }), "Ready after 13.3 s. The slowest part was “pulling” to “pulled”, 11 s, with the image i.");
  equal(slowest({ slowest: { from: "pod_created", to: null, duration_ms: 4000, reason: "Unschedulable" }, ready_after_ms: null }), "Not ready yet. It has been at “pod created” for 4 s (Unschedulable).");
  equal(slowest({ slowest: null, ready_after_ms: null }), null);
});
