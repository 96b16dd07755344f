import { row } from "../../../src/http/ui/model.js";
import { comparator, KEYS, Order, predicate } from "../../../src/http/ui/order.js";
import { equal, random, test } from "./harness.js";

const at = (second) => new Date(1_700_000_000_000 + second * 1000).toISOString();
const rows = (...list) => new Map(list.map((data) => [data.sandbox_id, row(data)]));
const ids = (map, sort, descending = false, filters = {}) => {
  const order = new Order();
  order.set(map, filters, sort, descending);
  return order.ids.join(" ");
};

test("the youngest has the smallest age, and rows without a value come last in both directions", () => {
  const map = rows({ sandbox_id: "old", created_at: at(1) }, { sandbox_id: "none" }, { sandbox_id: "new", created_at: at(9) });
  equal(ids(map, "age"), "new old none");
  equal(ids(map, "age", true), "old new none");
  const reasons = rows({ sandbox_id: "a" }, { sandbox_id: "b", reason: "OOMKilled" }, { sandbox_id: "c", reason: "Evicted" });
  equal(ids(reasons, "reason"), "c b a");
  equal(ids(reasons, "reason", true), "b c a");
});

test("equal rows are in the order of their ids, and an unknown column sorts by id", () => {
  const map = rows({ sandbox_id: "b", status: "Running" }, { sandbox_id: "a", status: "Running" });
  equal([ids(map, "status"), ids(map, "status", true), ids(map, "constructor")], ["a b", "a b", "a b"]);
});

test("filters combine", () => {
  const map = rows(
    { sandbox_id: "a", status: "Running", ready: true, profile: "big", user_id: "alice" },
    { sandbox_id: "b", status: "Pending", reason: "ErrImagePull", message: "No such IMAGE" },
    { sandbox_id: "c", status: "Pending", labels: { "example.com/team": "Chat" } });
  const found = (filters) => ids(map, "id", false, filters);
  equal(found({ status: "Pending" }), "b c");
  equal(found({ ready: "yes" }), "a");
  equal(found({ reason: "-" }), "a c");
  equal(found({ profile: "big" }), "a");
  equal(found({ q: "image no" }), "b");
  equal(found({ q: "ALICE" }), "a");
  equal(found({ q: "pending", reason: "-" }), "c");
  equal(found({ q: "team=chat" }), "c");
  equal(found({ q: "(" }), "");
});

test("an update of some rows gives the same order as sorting all", () => {
  const next = random(7);
  const pick = (list) => list[Math.floor(next() * list.length)];
  for (const sort of Object.keys(KEYS)) {
    const map = new Map();
    const order = new Order();
    const filters = { status: pick(["", "Running"]) };
    const descending = next() < 0.5;
    order.set(map, filters, sort, descending);
    for (let round = 0; round < 60; round++) {
      const changed = new Set();
      const count = round === 0 ? 100 : Math.floor(next() * 8);
      for (let n = 0; n < count; n++) {
        const id = `s${Math.floor(next() * 150)}`;
        changed.add(id);
        if (next() < 0.3) map.delete(id);
        else {
          map.set(id, row({
            sandbox_id: id, status: pick(["Running", "Pending"]), ready: next() < 0.5, reason: pick([undefined, "A", "B"]),
            created_at: pick([undefined, at(Math.floor(next() * 20))]), expires_at: pick([undefined, at(Math.floor(next() * 20))]),
          }));
        }
      }
      order.update(map, changed);
      const wanted = [...map.values()].filter(predicate(filters)).sort(comparator(sort, descending)).map(({ id }) => id);
      equal(order.ids, wanted, `${sort}, round ${round}:`);
    }
  }
});
