//! Selectors in objects: of Pods and namespaces by their labels, and of nodes. Pure.

use serde_json::Value;

use crate::fields::items;
use crate::store::text_at;

/// Whether a `LabelSelector` selects an object with these labels. An absent one selects nothing, an empty one everything.
pub(crate) fn selects<'a>(selector: &Value, label: impl Fn(&str) -> Option<&'a str>) -> bool {
    let mut pairs = selector["matchLabels"].as_object().into_iter().flatten();
    selector.is_object()
        && pairs.all(|(key, value)| label(key) == value.as_str())
        && items(&selector["matchExpressions"]).all(|requirement| is_met(requirement, &label))
}

/// Whether a node matches a `NodeSelector`: one of its terms does.
pub(crate) fn matches(selector: &Value, node: &Value) -> bool {
    items(&selector["nodeSelectorTerms"]).any(|term| term_matches(term, node))
}

/// Whether a node matches all requirements of a term. An empty term matches no node.
pub(crate) fn term_matches(term: &Value, node: &Value) -> bool {
    let labels = |key: &str| node["metadata"]["labels"].get(key).and_then(Value::as_str);
    // The only field is the name.
    let fields = |key: &str| (key == "metadata.name").then(|| text_at(node, &["metadata", "name"]));
    let (mut expressions, mut on_fields) = (items(&term["matchExpressions"]), items(&term["matchFields"]));
    let empty = expressions.len() + on_fields.len() == 0;
    !empty
        && expressions.all(|requirement| is_met(requirement, labels))
        && on_fields.all(|requirement| is_met(requirement, fields))
}

/// Whether the value of a requirement's key is as required.
fn is_met<'a>(requirement: &Value, value: impl Fn(&str) -> Option<&'a str>) -> bool {
    let value = value(text_at(requirement, &["key"]));
    let values = &requirement["values"];
    let named = || value.is_some_and(|value| items(values).any(|one| one == value));
    let number = |text: &str| text.parse::<i64>().ok();
    let compared = |holds: fn(i64, i64) -> bool| {
        let bound = values[0].as_str().and_then(number);
        value.and_then(number).zip(bound).is_some_and(|(value, bound)| holds(value, bound))
    };
    match text_at(requirement, &["operator"]) {
        "In" => named(),
        "NotIn" => !named(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared(|value, bound| value > bound),
        "Lt" => compared(|value, bound| value < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::Labels;

    /// Guards that an absent selector selects nothing and an empty one everything.
    #[test]
    fn a_label_selector_is_a_conjunction() {
        let labels = Labels::new(json!({"app": "x", "tier": "a"}).as_object());
        let expression = json!({"key": "tier", "operator": "NotIn", "values": ["a"]});
        for (selector, expected) in [
            (Value::Null, false),
            (json!({}), true),
            (json!({"matchLabels": {"app": "x"}}), true),
            (json!({"matchLabels": {"app": "y"}}), false),
            (json!({"matchLabels": {"app": "x"}, "matchExpressions": [expression]}), false),
        ] {
            assert_eq!(selects(&selector, |key| labels.get(key)), expected, "{selector}");
        }
    }

    /// Guards every operator of a requirement, with a label that is there and one that is not.
    #[test]
    fn every_operator_compares_as_kubernetes_does() {
        let node = json!({"metadata": {"name": "n", "labels": {"zone": "a", "cores": "8"}}});
        for (key, operator, values, expected) in [
            ("zone", "In", json!(["b", "a"]), true),
            ("zone", "In", json!(["b"]), false),
            ("none", "In", json!(["a"]), false),
            ("zone", "NotIn", json!(["a"]), false),
            ("zone", "NotIn", json!(["b"]), true),
            ("none", "NotIn", json!(["a"]), true),
            ("zone", "Exists", json!([]), true),
            ("none", "Exists", json!([]), false),
            ("zone", "DoesNotExist", json!([]), false),
            ("none", "DoesNotExist", json!([]), true),
            ("cores", "Gt", json!(["7"]), true),
            ("cores", "Gt", json!(["8"]), false),
            ("cores", "Lt", json!(["9"]), true),
            ("zone", "Lt", json!(["9"]), false),
            ("none", "Gt", json!(["0"]), false),
        ] {
            let term = json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
            assert_eq!(term_matches(&term, &node), expected, "{term}");
        }
        let name = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]});
        assert!(term_matches(&name, &node));
        assert!(!term_matches(&json!({}), &node));
        assert!(matches(&json!({"nodeSelectorTerms": [{}, name]}), &node));
        assert!(!matches(&json!({"nodeSelectorTerms": []}), &node));
    }
}
