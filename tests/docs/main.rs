//! Documents that name tests: the tests are there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where tests are.
const ROOMS: [&str; 8] = [
    "tests",
    "src",
    "actors/src",
    "actors/tests",
    "kubernetes/src",
    "kubernetes/tests",
    "lifecycle/src",
    "lifecycle/tests",
];

/// More than the page would keep if its tables were read wrongly.
const AT_LEAST: usize = 60;

/// All Rust files in or below a folder.
fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

/// Whether this text has a test of this name: a function whose attributes say so.
fn has_test(text: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let lines: Vec<_> = text.lines().collect();
    lines.iter().enumerate().any(|(at, line)| {
        let above = lines[..at].iter().rev().take_while(|line| line.trim_start().starts_with(['#', '/']));
        line.contains(&function) && above.into_iter().any(|line| line.contains("test"))
    })
}

/// Every test that a page names, as `room::module::name`, is in a file of that module.
#[test]
fn named_tests_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![];
    for room in ROOMS {
        sources(&root.join(room), &mut files);
    }
    let page = fs::read_to_string(root.join("docs/failure-modes.md")).unwrap();
    let named: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.contains("::") && !code.ends_with("::"))
        .collect();
    assert!(named.len() >= AT_LEAST, "{} tests are named", named.len());
    for path in named {
        let (module, name) = path.rsplit_once("::").unwrap();
        let module = module.rsplit("::").next().unwrap();
        let found = files.iter().any(|(file, text)| {
            let file = if file.ends_with("main.rs") { file.parent().unwrap() } else { file };
            file.file_stem().is_some_and(|stem| stem == module) && has_test(text, name)
        });
        assert!(found, "docs/failure-modes.md names {path}, but the module {module} has no such test");
    }
}

/// Each row of a table ends with a test.
#[test]
fn each_fault_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/failure-modes.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let faults: Vec<_> =
        rows.filter(|row| !row.starts_with("| Fault ") && !row.starts_with("| --- ")).collect();
    assert!(faults.len() >= 40, "{} rows", faults.len());
    for row in faults {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 5, "{row}");
        assert!(cells[4].contains("::"), "no test: {row}");
    }
}

/// Guards that each `file: function` of the architecture page exists.
#[test]
fn architecture_names_functions_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
    let named: Vec<_> = page.split('`').skip(1).step_by(2).filter(|code| code.contains(".rs")).collect();
    assert!(named.len() >= 30, "{} files are named", named.len());
    for code in named {
        let (file, function) = code.split_once(": ").map_or((code, None), |(file, name)| (file, Some(name)));
        let text =
            fs::read_to_string(root.join(file)).unwrap_or_else(|_| panic!("{code}: there is no such file"));
        let has = |name: &str| text.contains(&format!("fn {name}(")) || text.contains(&format!("fn {name}<"));
        assert!(function.is_none_or(has), "{code}: there is no such function");
    }
}
