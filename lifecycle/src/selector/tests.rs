//! The syntax and the meaning of selectors.

use proptest::prelude::*;

use super::*;

fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
    Selector::parse(selector).unwrap().matches(&Labels::new(labels.iter().copied()))
}

/// Guards which labels each operator selects.
#[test]
fn each_operator_selects_as_in_kubernetes() {
    let large = [("tier", "large"), ("cpus", "4"), ("example.com/draft", "")];
    for (selector, with, without) in [
        ("", true, true),
        ("  ", true, true),
        ("tier=large", true, false),
        ("tier==large", true, false),
        (" tier = large ", true, false),
        ("tier=small", false, false),
        ("tier!=large", false, true),
        ("tier != small", true, true),
        ("tier in (large)", true, false),
        ("tier in (small, large)", true, false),
        ("tier in(small,large)", true, false),
        ("tier in (small)", false, false),
        ("tier notin (small)", true, true),
        ("tier notin (large,small)", false, true),
        ("tier", true, false),
        ("!tier", false, true),
        ("! tier", false, true),
        ("cpus>3", true, false),
        ("cpus>4", false, false),
        ("cpus < 5", true, false),
        ("cpus<4", false, false),
        ("tier>1", false, false),
        ("example.com/draft", true, false),
        ("example.com/draft=", true, false),
        ("example.com/draft=,tier=large", true, false),
        ("example.com/draft!=", false, true),
        ("example.com/draft in (x,)", true, false),
        ("example.com/draft in (,)", true, false),
        ("tier=large,cpus>3", true, false),
        ("tier=large,cpus>4", false, false),
        ("tier in (large),!owner", true, false),
        ("in", false, false),
        ("in in (in)", false, false),
        ("tier in (in, notin)", false, false),
        ("notin!=in", true, true),
    ] {
        assert_eq!(selects(selector, &large), with, "{selector}");
        assert_eq!(selects(selector, &[]), without, "{selector}, without labels");
    }
    assert!(selects("in in (in)", &[("in", "in")]));
}

/// Guards that an invalid selector is refused with its problem.
#[test]
fn invalid_selectors_are_refused() {
    for (selector, problem) in [
        (",", "found \",\", expected a label key, '!' or the end"),
        ("tier=large,", "found the end, expected a label key, '!' or the end"),
        ("tier=a=b", "found \"=\", expected ',' or the end"),
        ("tier=a b", "found \"b\", expected ',' or the end"),
        ("tier a", "found \"a\", expected '=', '==', '!=', 'in', 'notin', '<', '>', ',' or the end"),
        ("!tier=a", "found \"=\", expected ',' or the end"),
        ("!", "found the end, expected a label key"),
        ("=a", "found \"=\", expected a label key, '!' or the end"),
        ("tier=(a)", "found \"(\", expected a label value"),
        ("tier in a", "found \"a\", expected '('"),
        ("tier in (a", "found the end, expected ',' or ')'"),
        ("tier in (a b)", "found \"b\", expected ',' or ')'"),
        ("tier in ()", "the list of values of \"in\" is empty"),
        ("cpus>x", "\"x\" is not an integer, which '<' and '>' compare"),
        ("cpus>", "\"\" is not an integer, which '<' and '>' compare"),
        ("-tier", "\"-tier\" is not a label key such as \"tier\" or \"example.com/tier\""),
        (
            "Example.com/tier=a",
            "\"Example.com/tier\" is not a label key such as \"tier\" or \"example.com/tier\"",
        ),
    ] {
        assert_eq!(Selector::parse(selector).unwrap_err().to_string(), problem, "{selector}");
    }
    assert_eq!(Selector::parse("tier=a/b"), Err(SelectorError::Value("a/b".to_owned())));
    assert_eq!(Selector::parse("tier in (a, é)"), Err(SelectorError::Value("é".to_owned())));
}

/// Guards that the work for one request is bounded, also when a request has several selectors.
#[test]
fn the_number_of_requirements_is_bounded() {
    let many = |count: usize| vec!["a"; count].join(",");
    let max = Selector::REQUIREMENTS_MAX;
    assert_eq!(Selector::parse(&many(max + 1)), Err(SelectorError::TooMany));
    let most = Selector::parse(&many(max)).unwrap();
    let both = most.clone().and(Selector::parse("b").unwrap());
    assert_eq!(both, Err(SelectorError::TooMany));
    assert!(most.and(Selector::default()).is_ok());
}

proptest! {
    /// Guards that every text is parsed or refused.
    #[test]
    fn any_text_is_parsed_or_refused(text in "[a-z=!<>(), /.é\"-]{0,40}") {
        let _ = Selector::parse(&text);
    }

    /// Guards that a selector and its negation share no object, and together select every object.
    #[test]
    fn a_negation_selects_the_rest(
        value in "[a-c]{0,2}",
        listed in proptest::collection::vec("[a-c]{1,2}", 1..4),
        exists: bool,
    ) {
        let labels: &[_] = if exists { &[("k", value.as_str())] } else { &[] };
        let list = listed.join(",");
        prop_assert_ne!(
            selects(&format!("k in ({list})"), labels),
            selects(&format!("k notin ({list})"), labels)
        );
        prop_assert_ne!(selects("k", labels), selects("!k", labels));
        let one = &listed[0];
        prop_assert_ne!(selects(&format!("k={one}"), labels), selects(&format!("k!={one}"), labels));
    }
}
