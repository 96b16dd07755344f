//! The forms of a report, and the choice of checks.

use doctor::{Entry, Finding, Fixed, Format, Outcome, Report, Selection, Verdict, find};
use lifecycle::ids::ClusterName;
use serde_json::Value;

use crate::fixture::{connect, report, subject, template};

fn entry(code: &str, outcome: Outcome) -> Entry {
    Entry { check: find(code).unwrap(), cluster: None, outcome, blocked_by: None }
}

fn skipped(code: &str, why: &str) -> Entry {
    Entry { blocked_by: Some("SP0202"), ..entry(code, Outcome::Skipped(why.to_owned())) }
}

fn example() -> Report {
    let finding = |found: &str| Finding {
        found: found.to_owned(),
        cause: "a cause".to_owned(),
        action: "an action".to_owned(),
    };
    Report {
        entries: vec![
            entry("SP0201", Outcome::Passed(String::new())),
            entry("SP0202", Outcome::Failed(finding("a\nb\u{1b}[0m"))),
            skipped("SP0203", "needs SP0202"),
            skipped("SP0204", "needs SP0202"),
            entry("SP0801", Outcome::Warned(finding("x"))),
            entry("SP0804", Outcome::Skipped("unused".to_owned())),
        ],
    }
}

/// Guards the table: a line for each check, one for skipped neighbours, and no control character of the cluster.
#[test]
fn the_table_explains_faults() {
    let wanted = "kubeconfig
  ok    SP0201  the kubeconfig exists
  FAIL  SP0202  the kubeconfig is a file
        found: a b [0m
        cause: a cause
        do:    an action
        see:   docs/doctor.md#sp0202
  skip  SP0203 to SP0204  2 checks (needs SP0202)

network
  WARN  SP0801  NODE_HOST has an address
        found: x
        cause: a cause
        do:    an action
        see:   docs/doctor.md#sp0801
  skip  SP0804  the network policies are as the settings say (unused)

1 passed, 1 failed, 1 warning, 3 skipped
";
    assert_eq!(Format::Table.show(&example(), None), wanted);
}

/// Guards that with several clusters each line about one names it, and that the settings and the daemon are shown once.
#[test]
fn each_line_names_its_cluster() {
    let of = |outcome: Outcome| Report {
        entries: vec![
            entry("SP0101", Outcome::Passed(String::new())),
            entry("SP0201", Outcome::Passed(String::new())),
            entry("SP0202", outcome),
            skipped("SP0203", "needs SP0202"),
            skipped("SP0204", "needs SP0202"),
            entry("SP1301", Outcome::Passed(String::new())),
            entry("SP1307", Outcome::Passed("1 listed".to_owned())),
        ],
    };
    let finding =
        Finding { found: "x".to_owned(), cause: "a cause".to_owned(), action: "an action".to_owned() };
    let [east, west] = ["east", "west"].map(|name| ClusterName::parse(name).unwrap());
    let report = Report::of_clusters([
        (east, of(Outcome::Passed(String::new()))),
        (west, of(Outcome::Failed(finding))),
    ]);
    let wanted = "settings
  ok    SP0101  the daemon starts with the settings

kubeconfig of east
  ok    SP0201  east: the kubeconfig exists
  ok    SP0202  east: the kubeconfig is a file
  skip  SP0203 to SP0204  east: 2 checks (needs SP0202)

daemon of east
  ok    SP1307  east: the daemon sees the sandboxes of the cluster (1 listed)

kubeconfig of west
  ok    SP0201  west: the kubeconfig exists
  FAIL  SP0202  west: the kubeconfig is a file
        found: x
        cause: a cause
        do:    an action
        see:   docs/doctor.md#sp0202
  skip  SP0203 to SP0204  west: 2 checks (needs SP0202)

daemon of west
  ok    SP1307  west: the daemon sees the sandboxes of the cluster (1 listed)

daemon
  ok    SP1301  the daemon answers

7 passed, 1 failed, 0 warnings, 4 skipped
";
    assert_eq!(Format::Table.show(&report, None), wanted);
    assert!(Format::Short.show(&report, None).starts_with("west SP0202 failed: x; an action\n"));
    let shown: Value = serde_json::from_str(&Format::Json.show(&report, None)).unwrap();
    assert_eq!(shown["checks"][1]["cluster"], "east");
    assert_eq!(shown["checks"][0].get("cluster"), None);
    assert_eq!(report.failures(), ["west SP0202"]);
}

/// Guards the short form: a line for each fault, and one for each orphan.
#[test]
fn the_short_form_has_a_line_for_each_fault() {
    let fixed = [Fixed { object: "Pod sandbox-a".to_owned(), result: Ok(()) }];
    let wanted = "SP0202 failed: a b [0m; an action
SP0801 warning: x; an action
deleted the orphan Pod sandbox-a
1 passed, 1 failed, 1 warning, 3 skipped
";
    assert_eq!(Format::Short.show(&example(), Some(&fixed)), wanted);
    assert!(Format::Short.show(&example(), Some(&[])).contains("there is no orphan to delete\n"));
}

/// Guards the fields of the JSON form.
#[test]
fn json_has_all_checks() {
    let fixed = [Fixed { object: "Pod sandbox-a".to_owned(), result: Err("no".to_owned()) }];
    let shown: Value = serde_json::from_str(&Format::Json.show(&example(), Some(&fixed))).unwrap();
    assert_eq!(shown["status"], "failed");
    assert_eq!(shown["checks"].as_array().unwrap().len(), 6);
    let failed = &shown["checks"][1];
    for (field, value) in [
        ("code", "SP0202"),
        ("group", "kubeconfig"),
        ("status", "failed"),
        ("found", "a\nb\u{1b}[0m"),
        ("cause", "a cause"),
        ("action", "an action"),
        ("doc", "docs/doctor.md#sp0202"),
    ] {
        assert_eq!(failed[field], value, "{field}");
    }
    assert_eq!(shown["checks"][2]["blocked_by"], "SP0202");
    assert_eq!((&shown["fixed"][0]["deleted"], &shown["fixed"][0]["message"]), (&false.into(), &"no".into()));
}

/// Guards that the worst outcome is the verdict.
#[test]
fn the_worst_outcome_counts() {
    let mut report = example();
    assert_eq!(report.verdict(), Verdict::Failed);
    report.entries.remove(1);
    assert_eq!(report.verdict(), Verdict::Warned);
    report.entries.retain(|entry| !matches!(entry.outcome, Outcome::Warned(_)));
    assert_eq!(report.verdict(), Verdict::Passed);
}

/// Guards that checks are chosen by code and by group in any case, and that unknown names are refused.
#[test]
fn checks_are_chosen() {
    let parse = |names: &[&str], slow| {
        Selection::parse(&names.iter().map(ToString::to_string).collect::<Vec<_>>(), slow)
    };
    let shown = |selection: &Selection| doctor::all().filter(|check| selection.shows(check)).count();
    assert_eq!(shown(&parse(&[], false).unwrap()), doctor::all().count());
    assert_eq!(shown(&parse(&["sp0201", "Certificate"], false).unwrap()), 7);
    let slow = find("SP0310").unwrap();
    for (names, all, runs) in [
        (&[][..], false, false),
        (&[], true, true),
        (&["SP0310"], false, true),
        (&["connection"], false, false),
    ] {
        assert_eq!(parse(names, all).unwrap().runs(slow), runs, "{names:?}");
    }
    for unknown in ["SP9999", "kube", "30s", ""] {
        assert!(parse(&[unknown], false).is_err(), "{unknown}");
    }
}

/// Guards that a chosen check whose need has failed shows that failure, so that nothing passes by being skipped.
#[tokio::test]
async fn a_failed_need_is_shown() {
    let subject = subject(template(), doctor::Cluster::Configured(connect("/nowhere")));
    let selection = Selection::parse(&["rights".to_owned()], false).unwrap();
    let report = report(&subject, &selection).await;
    assert_eq!(report.failures(), ["SP0201"]);
    assert!(
        report
            .entries
            .iter()
            .all(|entry| { entry.check.code == "SP0201" || entry.blocked_by == Some("SP0201") })
    );
}
