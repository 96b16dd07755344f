import { counts, Model } from "../../../src/http/ui/model.js";
import { equal, test } from "./harness.js";

const of = (id, more = {}) => ({ sandbox_id: id, status: "Running", ready: true, ...more });

function fed(...events) {
  const model = new Model();
  model.begin(false);
  const changed = new Set();
  let isAll = false;
  for (const [name, data = {}] of events) isAll = model.apply({ name, data }, changed, 1000) || isAll;
  return { model, changed: [...changed], isAll, ids: [...model.rows.keys()] };
}

test("the present state is shown when it is complete, and is not a change", () => {
  equal(fed(["added", of("a")], ["ready", of("b")]).ids, []);
  const { ids, changed, isAll, model } = fed(["added", of("a")], ["ready", of("b")], ["synced"]);
  equal([ids, changed, isAll, model.complete, model.changes.size], [["a", "b"], [], true, true, 0]);
});

test("each later event changes one row", () => {
  const { ids, changed, model } = fed(["added", of("a")], ["synced"], ["added", of("b")], ["status", of("a", { status: "Terminating" })]);
  equal([ids, changed], [["a", "b"], ["b", "a"]]);
  equal(model.rows.get("a").status, "Terminating");
  equal(model.changes.get("a").map(({ name, status }) => [name, status]), [["status", "Terminating"]]);
});

test("a deleted sandbox is kept with its reason, until it exists again", () => {
  const gone = { sandbox_id: "a", status: "NotFound", reaped: { reason: "TTLExpired", message: "m" } };
  const { ids, model } = fed(["added", of("a")], ["synced"], ["reaped", gone]);
  equal([ids, model.gone.get("a").data.reaped.reason], [[], "TTLExpired"]);
  model.apply({ name: "added", data: of("a") }, new Set(), 2000);
  equal([[...model.rows.keys()], model.gone.size], [["a"], 0]);
});

test("a reset replaces all rows at once", () => {
  const { model } = fed(["added", of("a")], ["synced"]);
  const step = (name, data = {}) => model.apply({ name, data }, new Set(), 1) && [...model.rows.keys()];
  equal(step("reset"), false);
  equal(step("added", of("b")), false);
  equal([...model.rows.keys()], ["a"]);
  equal(step("synced"), ["b"]);
});

test("a stale state ends with fresh, and with a new stream", () => {
  const { model } = fed(["synced"], ["stale", { detail: "old" }]);
  equal(model.stale, "old");
  model.apply({ name: "fresh", data: {} }, new Set(), 1);
  equal(model.stale, null);
  model.apply({ name: "stale", data: {} }, new Set(), 1);
  model.begin(false);
  equal(model.stale, null);
});

test("each cluster that is away is named until it is back, or until a stream begins", () => {
  const { model } = fed(["synced"], ["stale", { detail: "east is away", cluster: "east" }], ["stale", { detail: "west is away", cluster: "west" }]);
  equal(model.stale, "east is away; west is away");
  model.apply({ name: "fresh", data: { cluster: "east" } }, new Set(), 1);
  model.apply({ name: "synced", data: {} }, new Set(), 1);
  equal(model.stale, "west is away");
  model.begin(true);
  equal(model.stale, null);
});

test("a cluster that is away keeps its sandboxes over a reset, until its state is sent", () => {
  const [east, west] = ["east", "west"].map((cluster) => (id) => ["added", of(id, { cluster })]);
  const { model } = fed(east("a"), east("b"), west("c"), west("d"), west("e"), ["synced"]);
  const step = (name, data = {}) => model.apply({ name, data }, new Set(), 1) && [...model.rows.keys()].sort();
  step("reset");
  step("stale", { cluster: "west" });
  for (const event of [east("a"), east("e")]) step(...event);
  equal(step("synced"), ["a", "c", "d", "e"]);
  model.begin(true);
  step("stale", { cluster: "west" });
  equal(step("synced"), false);
  equal(step(...west("c")), false);
  equal(step("fresh", { cluster: "west" }), ["a", "c", "e"]);
  equal(step("synced"), false);
});

test("a cluster that is back before the present state is complete loses nothing", () => {
  const west = of("a", { cluster: "west" });
  const { model } = fed(["added", west], ["synced"]);
  const step = (name, data = {}) => model.apply({ name, data }, new Set(), 1) && [...model.rows.keys()];
  step("reset");
  step("stale", { cluster: "west" });
  equal(step("fresh", { cluster: "west" }), false);
  step("added", west);
  equal(step("synced"), ["a"]);
});

test("an unreadable sandbox keeps what is known of it", () => {
  const { model } = fed(["added", of("a", { profile: "p" })], ["synced"], ["unreadable", { sandbox_id: "a", detail: "d", reason: "R" }]);
  const row = model.rows.get("a");
  equal([row.status, row.ready, row.reason, row.profile, row.data.message], ["Unknown", false, "R", "p", "d"]);
});

test("unknown events and odd data are ignored", () => {
  const { ids, changed } = fed(["synced"], ["invented", of("a")], ["added", {}], ["added", { sandbox_id: 7 }]);
  equal([ids, changed], [[], []]);
});

test("what is kept is bounded", () => {
  const events = [["synced"]];
  for (let n = 0; n < 500; n++) events.push(["added", of(`s${n}`)], ["deleted", of(`s${n}`)]);
  for (let n = 0; n < 50; n++) events.push(["limits", of("a")]);
  const { model } = fed(...events);
  equal([model.gone.size, model.changes.get("a").length, model.changes.size], [200, 20, 201]);
});

test("counts are sorted", () => {
  equal(counts([{ v: "b" }, { v: "a" }, { v: "c" }, { v: "c" }], ({ v }) => v), [["c", 2], ["a", 1], ["b", 1]]);
});
