import { isFiltered, parse, unfiltered, write } from "../../../src/http/ui/address.js";
import { equal, test } from "./harness.js";

test("the default state has no query", () => {
  equal(write(parse("")), "");
  equal(isFiltered(parse("").filters), false);
});

test("a state is written and read", () => {
  const state = { view: "list", filters: { ...unfiltered(), q: "a & b=c#d", status: "Running", ready: "no", reason: "-" }, sort: "expires", descending: true, id: "abc" };
  const query = write(state);
  equal(query, "?q=a+%26+b%3Dc%23d&status=Running&ready=no&reason=-&sort=-expires&id=abc");
  equal(parse(query), state);
  equal(isFiltered(state.filters), true);
});

test("each column is written and read in both directions", () => {
  for (const sort of ["id", "status", "ready", "reason", "age", "idle", "expires", "profile", "owner", "cluster"]) {
    for (const descending of [false, true]) {
      const found = parse(write({ ...parse(""), sort, descending }));
      equal([found.sort, found.descending], [sort, descending]);
    }
  }
});

test("unknown and odd values are ignored", () => {
  for (const query of ["?sort=nothing", "?sort=-", "?sort=-nothing", "?ready=perhaps", "?view=x", "?id=", "?api_key=k", "?%", "?q"]) {
    equal(write(parse(query)), "", query);
  }
});
