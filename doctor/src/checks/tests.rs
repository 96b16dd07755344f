//! Tests of the table of checks, and of its documentation.

use std::collections::BTreeSet;

use super::{all, find};
use crate::group::Group;

/// Guards that codes are unique, in order, and begin with the number of their group.
#[test]
fn codes_are_stable_and_ordered() {
    let codes: Vec<_> = all().map(|check| check.code).collect();
    assert!(codes.is_sorted_by(|one, other| one < other), "{codes:?}");
    for check in all() {
        let group = Group::ALL.iter().position(|group| *group == check.group).unwrap() + 1;
        assert!(check.code.starts_with(&format!("SP{group:02}")), "{}", check.code);
        assert_eq!(check.code.len(), 6);
    }
    assert!(codes.len() > 60);
}

/// Guards that the needed checks exist, and that no check needs itself, directly or through others.
#[test]
fn needs_are_a_tree() {
    fn reach(code: &'static str, path: &mut Vec<&'static str>) {
        assert!(!path.contains(&code), "{path:?} {code}");
        path.push(code);
        for needed in find(code).unwrap_or_else(|| panic!("{code}")).needs {
            reach(needed, path);
        }
        path.pop();
    }
    for check in all() {
        reach(check.code, &mut Vec::new());
    }
}

/// Guards that the page explains each code, and no other.
#[test]
fn each_code_has_its_documentation() {
    let page = include_str!("../../../docs/doctor.md");
    let anchors: BTreeSet<_> = page
        .split("<a id=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_uppercase)
        .collect();
    let codes: BTreeSet<_> = all().map(|check| check.code.to_owned()).collect();
    assert_eq!(anchors, codes);
    for check in all() {
        let row = page.lines().find(|line| line.contains(&format!("</a>{} ", check.code))).unwrap();
        assert!(row.contains(check.title), "{} is {:?}, and the page says {row}", check.code, check.title);
    }
}
