//! Checks of `config/monitoring/`: the metrics and labels in expressions exist, and each alert has its runbook entry and its
//! tests. `docs/metrics.md` has all metrics, which a test of the whole daemon guards.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;

use super::root;

/// Labels that Prometheus adds.
const ADDED: [&str; 3] = ["le", "job", "instance"];

/// The first words of the names of metrics.
const FAMILIES: [&str; 3] = ["sandbox_provisioner_", "rest_client_", "process_"];

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn rules() -> Vec<Value> {
    let parsed: Value = serde_saphyr::from_str(&read("config/monitoring/rules.yaml")).unwrap();
    let groups = parsed["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
}

fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| rule.get("alert").is_some()).collect()
}

/// Returns the labels of each metric of the page.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = read("docs/metrics.md");
    let rows =
        page.lines().filter(|line| FAMILIES.iter().any(|name| line.starts_with(&format!("| `{name}"))));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        // The metrics of the process have no column for labels.
        let labels = if cells.len() > 4 { words(cells[2]) } else { Vec::new() };
        (words(cells[1])[0].clone(), labels.into_iter().collect())
    })
    .collect()
}

/// Returns the metrics of an expression, each with the labels in its braces, and the labels of all `by` and `on`.
fn used(expression: &str) -> (Vec<(String, Vec<String>)>, BTreeSet<String>) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut metrics = Vec::new();
    let mut grouped = BTreeSet::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        rest = &rest[start..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if ["by", "on"].contains(&word) {
            let list = after.trim_start().strip_prefix('(').unwrap().split(')').next().unwrap();
            grouped.extend(list.split(',').map(|label| label.trim().to_owned()));
            rest = &after[after.find(')').unwrap()..];
        } else if FAMILIES.iter().any(|family| word.starts_with(family)) {
            let matchers =
                after.strip_prefix('{').and_then(|inside| inside.split('}').next()).unwrap_or_default();
            let labels = matchers.split(',').filter_map(|matcher| matcher.split(['=', '!']).next());
            let labels = labels.map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned).collect();
            metrics.push((word.to_owned(), labels));
            rest = &after[if matchers.is_empty() { 0 } else { matchers.len() + 2 }..];
        }
    }
    (metrics, grouped)
}

/// Returns the problems of an expression.
fn problems(expression: &str) -> Vec<String> {
    let documented = documented();
    let (metrics, grouped) = used(expression);
    let mut problems = Vec::new();
    let mut known: BTreeSet<String> = ADDED.map(str::to_owned).into();
    for (metric, labels) in &metrics {
        let bare = ["_bucket", "_count", "_sum"].iter().find_map(|part| metric.strip_suffix(part));
        let Some(own) = documented.get(metric).or_else(|| documented.get(bare?)) else {
            problems.push(format!("{metric} does not exist"));
            continue;
        };
        known.extend(own.iter().cloned());
        let unknown = labels.iter().filter(|label| !own.contains(*label) && !ADDED.contains(&label.as_str()));
        problems.extend(unknown.map(|label| format!("{metric} has no label {label}")));
    }
    problems.extend(grouped.difference(&known).map(|label| format!("no metric has the label {label}")));
    problems
}

/// Guards that the check below finds what is wrong.
#[test]
fn a_wrong_expression_is_found() {
    for (expression, wanted) in [
        ("sum by (reason) (rate(sandbox_provisioner_reaps_total[5m]))", vec![]),
        ("sandbox_provisioner_reaps > 0", vec!["sandbox_provisioner_reaps does not exist"]),
        (
            "rest_client_requests_total{status=\"429\",job=~\"$job\"}",
            vec!["rest_client_requests_total has no label status"],
        ),
        ("sum by (le, route) (sandbox_provisioner_orphans)", vec!["no metric has the label route"]),
    ] {
        assert_eq!(problems(expression), wanted, "{expression}");
    }
}

/// Guards that the rules and the dashboard name only metrics and labels that `/metrics` has.
#[test]
fn expressions_name_metrics_that_exist() {
    let dashboard: Value = serde_json::from_str(&read("config/monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions: Vec<_> = rules()
        .iter()
        .chain(targets)
        .map(|rule| rule["expr"].as_str().unwrap().to_owned())
        // A recorded expression is a metric with colons, which another rule uses.
        .map(|expression| expression.replace("sandbox_provisioner:", "recorded:"))
        .collect();
    assert!(expressions.len() > 50, "{}", expressions.len());
    for expression in expressions {
        assert_eq!(problems(&expression), Vec::<String>::new(), "{expression}");
    }
}

/// Guards that each alert has an entry in the runbook, to which it links, and that the runbook has no other.
#[test]
fn each_alert_is_in_the_runbook() {
    let page = read("docs/runbook.md");
    let entries: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = alerts();
    let names: BTreeSet<_> = alerts.iter().map(|alert| alert["alert"].as_str().unwrap()).collect();
    assert_eq!(entries, names);
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        let link = format!("docs/runbook.md#{}", name.to_lowercase());
        assert_eq!(alert["annotations"]["runbook_url"], link.as_str());
    }
}

/// Guards that each alert has a case in which it fires and one in which it does not. `./dev monitoring` runs them.
#[test]
fn each_alert_is_tested() {
    let tests: Value = serde_saphyr::from_str(&read("config/monitoring/rules-test.yaml")).unwrap();
    let cases = tests["tests"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|test| test["alert_rule_test"].as_array().unwrap());
    let mut fires = BTreeMap::<_, BTreeSet<bool>>::new();
    for case in cases {
        let name = case["alertname"].as_str().unwrap().to_owned();
        fires.entry(name).or_default().insert(!case["exp_alerts"].as_array().unwrap().is_empty());
    }
    let both: BTreeSet<_> = [false, true].into();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert_eq!(fires.get(name), Some(&both), "{name}");
    }
}
