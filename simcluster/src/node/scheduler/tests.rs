use serde_json::json;

use super::*;
use crate::validate::quantity::Quantity;

fn amount(cpu: i64, memory: i64, pods: u64) -> Amount {
    Amount { cpu: Quantity::whole(cpu), memory: Quantity::whole(memory), pods }
}

/// Three nodes: two in zone a, one in zone b.
fn nodes() -> Vec<Value> {
    [("n1", "a"), ("n2", "a"), ("n3", "b")]
        .map(|(name, zone)| {
            json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": zone}}})
        })
        .to_vec()
}

/// Pods of the namespace `ns` with an app, a node and an affinity.
type Others<'a> = &'a [(&'a str, usize, Value)];

/// A name, a Pod, the Pods that are there, and the node or a part of the message.
type Case<'a> = (&'a str, &'a Value, Vec<(&'a str, usize, Value)>, Result<usize, String>);

/// Asks the scheduler about a Pod of the app `x`; `used` is the CPU in use on each node, of 64.
fn ask(pod: &Value, nodes: &[Value], used: &[i64], others: Others<'_>) -> Result<usize, String> {
    let infos: Vec<_> = nodes
        .iter()
        .zip(used)
        .map(|(node, used)| NodeInfo {
            node,
            capacity: amount(64, 256 << 30, 100),
            used: amount(*used, 0, 0),
            lost: false,
        })
        .collect();
    let app = |app: &str| Labels::new(json!({"app": app}).as_object());
    let labels: Vec<_> = others.iter().map(|(name, ..)| app(name)).collect();
    let placed: Vec<_> = others
        .iter()
        .zip(&labels)
        .map(|((_, node, affinity), labels)| Placed {
            namespace: "ns",
            labels,
            node: *node,
            affinity: Some(affinity).filter(|affinity| affinity.is_object()),
            terminating: false,
        })
        .collect();
    let namespace_labels = |_: &str| Labels::default();
    let cluster = Cluster { nodes: &infos, placed: &placed, namespace_labels: &namespace_labels };
    let volumes = PodVolumes::default();
    let own = app("x");
    let incoming = Incoming { pod, namespace: "ns", labels: &own, volumes: &volumes, course: Course::Normal };
    choose(&incoming, &cluster)
}

fn one(pod: &Value, used: i64) -> Result<usize, String> {
    ask(pod, &nodes()[..1], &[used], &[])
}

fn asks(key: &str, amount: &str) -> Value {
    json!({"spec": {"containers": [{"resources": {"requests": {key: amount}}}]}})
}

/// Guards the messages of a cluster with one node.
#[test]
fn what_asks_for_too_much_or_for_another_node_does_not_fit() {
    assert_eq!(one(&asks("memory", "1Gi"), 0), Ok(0));
    assert_eq!(
        one(&asks("memory", "900Ti"), 0).unwrap_err(),
        "0/1 nodes are available: 1 Insufficient memory. no new claims to deallocate, preemption: 0/1 nodes are \
         available: 1 Preemption is not helpful for scheduling."
    );
    assert_eq!(
        one(&asks("cpu", "2"), 63).unwrap_err(),
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are \
         available: 1 No preemption victims found for incoming pod."
    );
    let elsewhere = json!({"spec": {"nodeSelector": {"nope": "x"}}});
    let why = one(&elsewhere, 0).unwrap_err();
    assert!(why.contains("1 node(s) didn't match Pod's node affinity/selector."), "{why}");
    let mut modest = asks("cpu", "2");
    modest["spec"]["preemptionPolicy"] = "Never".into();
    let why = one(&modest, 63).unwrap_err();
    assert!(why.ends_with("preemption: not eligible due to preemptionPolicy=Never."), "{why}");
}

/// Guards that each node gives its first reason, that equal reasons are counted, and the order of the text.
#[test]
fn the_reasons_of_all_nodes_are_counted_and_sorted() {
    let mut nodes = nodes();
    nodes[0]["spec"]["taints"] = json!([{"key": "k", "effect": "NoSchedule"}]);
    nodes[1]["spec"]["unschedulable"] = true.into();
    let message = |used: &[i64], pod: &Value| ask(pod, &nodes, used, &[]).unwrap_err();
    assert_eq!(
        message(&[0, 0, 63], &asks("cpu", "2")),
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 1 node(s) were \
         unschedulable. no new claims to deallocate, preemption: 0/3 nodes are available: 1 No preemption victims \
         found for incoming pod, 2 Preemption is not helpful for scheduling."
    );
    let tolerant = json!({"spec": {"nodeSelector": {"zone": "c"}, "tolerations": [{"operator": "Exists"}]}});
    assert_eq!(
        message(&[0, 0, 0], &tolerant),
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, \
         preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    );
}

/// Guards required and preferred node affinity, taints, and that of equal nodes the emptier one is taken.
#[test]
fn nodes_are_chosen_by_affinity_taints_and_room() {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let zone =
        |zone: &str| json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]});
    let with = |affinity: Value| json!({"spec": {"affinity": {"nodeAffinity": affinity}}});
    let must = with(json!({required: {"nodeSelectorTerms": [zone("b")]}}));
    let may = with(json!({preferred: [{"weight": 10, "preference": zone("b")}]}));
    let mut tainted = nodes();
    tainted[2]["spec"]["taints"] = json!([{"key": "k", "effect": "PreferNoSchedule"}]);
    let plain = json!({});
    for (name, pod, nodes, used, expected) in [
        ("required", &must, nodes(), [0, 0, 50], 2),
        ("preferred", &may, nodes(), [0, 0, 20], 2),
        ("preferred, but tainted and full", &may, tainted.clone(), [0, 1, 60], 0),
        ("emptier", &plain, nodes(), [2, 1, 3], 1),
        ("first of equals", &plain, nodes(), [0, 0, 0], 0),
        ("not the tainted one", &plain, tainted, [9, 9, 0], 0),
    ] {
        assert_eq!(ask(pod, &nodes, &used, &[]), Ok(expected), "{name}");
    }
}

fn term(app: &str, key: &str) -> Value {
    json!({"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key})
}

/// Guards affinity and anti-affinity between Pods, in both directions, with their messages.
#[test]
fn pods_are_put_near_to_or_away_from_others() {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let (host, none) = ("kubernetes.io/hostname", Value::Null);
    let with = |kind: &str, when: &str, terms: Value| json!({"spec": {"affinity": {kind: {when: terms}}}});
    let weighted = |term: Value| json!([{"weight": 1, "podAffinityTerm": term}]);
    let near = with("podAffinity", required, json!([term("db", "zone")]));
    let near_own = with("podAffinity", required, json!([term("x", "zone")]));
    let apart = with("podAntiAffinity", required, json!([term("x", host)]));
    let zones_apart = with("podAntiAffinity", required, json!([term("x", "zone")]));
    let rather_near = with("podAffinity", preferred, weighted(term("db", host)));
    let rather_apart = with("podAntiAffinity", preferred, weighted(term("x", host)));
    let shy = json!({"podAntiAffinity": {required: [term("x", "zone")]}});
    let affinity = "didn't match pod affinity rules";
    let anti = "didn't match pod anti-affinity rules";
    let existing = "didn't satisfy existing pods anti-affinity rules";
    let plain = json!({});
    let cases: Vec<Case<'_>> = vec![
        ("near", &near, vec![("db", 2, none.clone())], Ok(2)),
        ("nobody to be near to", &near, vec![], Err(format!("3 node(s) {affinity}"))),
        ("first of its own group", &near_own, vec![], Ok(0)),
        ("next of its own group", &near_own, vec![("x", 2, none.clone())], Ok(2)),
        ("apart", &apart, vec![("x", 0, none.clone())], Ok(1)),
        (
            "apart, all taken",
            &apart,
            vec![("x", 0, none.clone()), ("x", 1, none.clone()), ("x", 2, none.clone())],
            Err(format!("3 node(s) {anti}")),
        ),
        ("zones apart", &zones_apart, vec![("x", 1, none.clone())], Ok(2)),
        ("rather near", &rather_near, vec![("db", 1, none.clone())], Ok(1)),
        ("rather apart", &rather_apart, vec![("x", 0, none.clone()), ("x", 1, none)], Ok(2)),
        ("the other is shy", &plain, vec![("y", 0, shy.clone())], Ok(2)),
        (
            "the others are shy",
            &plain,
            vec![("y", 0, shy.clone()), ("y", 2, shy)],
            Err(format!("3 node(s) {existing}")),
        ),
    ];
    for (name, pod, others, expected) in cases {
        match (ask(pod, &nodes(), &[0, 0, 0], &others), expected) {
            (Err(found), Err(expected)) => assert!(found.contains(&expected), "{name}: {found}"),
            (found, expected) => assert_eq!(found, expected, "{name}"),
        }
    }
}

/// Guards hard and soft spread constraints.
#[test]
fn pods_are_spread_over_zones() {
    let constraint = |key: &str, when: &str| {
        json!({
            "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": when,
            "labelSelector": {"matchLabels": {"app": "x"}},
        })
    };
    let with = |constraint: Value| json!({"spec": {"topologySpreadConstraints": [constraint]}});
    let hard = with(constraint("zone", "DoNotSchedule"));
    let soft = with(constraint("zone", "ScheduleAnyway"));
    let unknown = with(constraint("rack", "DoNotSchedule"));
    let mut keyed = constraint("zone", "DoNotSchedule");
    keyed["minDomains"] = 3.into();
    let many = with(keyed);
    let x = |node: usize| ("x", node, Value::Null);
    assert_eq!(ask(&hard, &nodes(), &[0, 0, 0], &[x(0)]), Ok(2));
    assert_eq!(ask(&soft, &nodes(), &[0, 0, 0], &[x(0)]), Ok(2));
    assert_eq!(ask(&hard, &nodes(), &[0, 0, 0], &[x(0), x(2)]), Ok(0));
    let mut asking = hard.clone();
    asking["spec"]["containers"] = asks("cpu", "1")["spec"]["containers"].clone();
    let why = ask(&asking, &nodes(), &[0, 0, 64], &[x(0)]).unwrap_err();
    assert!(
        why.starts_with(
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't match pod topology spread constraints."
        ),
        "{why}"
    );
    let why = ask(&unknown, &nodes(), &[0, 0, 0], &[]).unwrap_err();
    assert!(why.contains("(missing required label). no new claims"), "{why}");
    let why = ask(&many, &nodes(), &[0, 0, 0], &[x(0), x(2)]).unwrap_err();
    assert!(why.contains("3 node(s) didn't match pod topology spread constraints."), "{why}");
}
