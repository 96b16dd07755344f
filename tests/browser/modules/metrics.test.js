import { histogram, parse, quantile, value } from "../../../src/http/ui/metrics.js";
import { equal, test } from "./harness.js";

const TEXT = `# HELP x y
# TYPE sandbox_provisioner_d_seconds histogram
sandbox_provisioner_d_seconds_bucket{stage="a",le="0.1"} 5
sandbox_provisioner_d_seconds_bucket{stage="a",le="1.0"} 9
sandbox_provisioner_d_seconds_bucket{stage="a",le="+Inf"} 10
sandbox_provisioner_d_seconds_count{stage="a"} 10
sandbox_provisioner_d_seconds_sum{stage="a"} 12.5
sandbox_provisioner_d_seconds_bucket{stage="b",le="0.1"} 1
sandbox_provisioner_d_seconds_count{stage="b"} 1
sandbox_provisioner_ready 1
sandbox_provisioner_s{status="Running",profile="a\\"b\\\\c,d}"} 3 1700000000
# EOF
`;

test("samples are read with their labels", () => {
  const samples = parse(TEXT);
  equal(samples.length, 9);
  equal(value(samples, "ready"), 1);
  equal(value(samples, "s", { profile: 'a"b\\c,d}' }), 3);
  equal([value(samples, "s", { status: "x" }), value(samples, "none")], [null, null]);
  equal(parse("<html>\nnot metrics"), []);
});

test("quantiles are interpolated, and beyond the last bound they exceed it", () => {
  const a = histogram(parse(TEXT), "d_seconds", { stage: "a" });
  equal([a.count, a.sum], [10, 12.5]);
  equal(quantile(a, 0.25), { seconds: 0.05, exceeds: false });
  equal(quantile(a, 0.9), { seconds: 1, exceeds: false });
  equal(quantile(a, 0.99), { seconds: 1, exceeds: true });
  equal(histogram(parse(TEXT), "d_seconds").count, 11);
  equal(quantile(histogram([], "d_seconds"), 0.5), null);
});
