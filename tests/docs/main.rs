//! Checks of the repository itself: documents name tests and functions that exist, prose is plain, and import circles are
//! small.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod config;
mod imports;
mod monitoring;
mod prose;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The directories with tests.
const TESTS: [&str; 15] = [
    "tests",
    "src",
    "doctor/src",
    "doctor/tests",
    "actors/src",
    "actors/tests",
    "client/src",
    "otlp/src",
    "otlp/tests",
    "client/tests",
    "kubernetes/src",
    "kubernetes/tests",
    "lifecycle/src",
    "lifecycle/tests",
    "fleet/tests",
];

/// A lower bound on the named tests. Fewer mean that the tables of the page were not parsed.
const AT_LEAST: usize = 60;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the Rust files and documents in a directory and below it, or the file itself.
fn texts(path: &Path) -> Vec<(PathBuf, String)> {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        return entries.filter(|path| !path.ends_with("target")).flat_map(|path| texts(&path)).collect();
    }
    let is_text = path.extension().is_some_and(|extension| extension == "rs" || extension == "md");
    if is_text { vec![(path.to_owned(), fs::read_to_string(path).unwrap())] } else { vec![] }
}

/// Returns whether the text contains a test with this name.
fn has_test(text: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let lines: Vec<_> = text.lines().collect();
    lines.iter().enumerate().any(|(at, line)| {
        let above = lines[..at].iter().rev().take_while(|line| line.trim_start().starts_with(['#', '/']));
        line.contains(&function) && above.into_iter().any(|line| line.contains("test"))
    })
}

/// Guards that every test that the page names, as `…::module::name`, exists in that module.
#[test]
fn named_tests_exist() {
    let files: Vec<_> = TESTS.iter().flat_map(|directory| texts(&root().join(directory))).collect();
    let page = fs::read_to_string(root().join("docs/failure-modes.md")).unwrap();
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

/// Guards that each row of a table names a test.
#[test]
fn each_fault_has_its_test() {
    let page = fs::read_to_string(root().join("docs/failure-modes.md")).unwrap();
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
    let page = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let named: Vec<_> = page.split('`').skip(1).step_by(2).filter(|code| code.contains(".rs")).collect();
    assert!(named.len() >= 30, "{} files are named", named.len());
    for code in named {
        let (file, function) = code.split_once(": ").map_or((code, None), |(file, name)| (file, Some(name)));
        let text =
            fs::read_to_string(root().join(file)).unwrap_or_else(|_| panic!("{code}: there is no such file"));
        let has = |name: &str| text.contains(&format!("fn {name}(")) || text.contains(&format!("fn {name}<"));
        assert!(function.is_none_or(has), "{code}: there is no such function");
    }
}
