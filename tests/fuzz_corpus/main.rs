//! The corpus of the fuzz targets, each input through its target's own property: what fuzzing has found once counts
//! on every run, without a fuzzer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

#[path = "../../fuzz/properties/mod.rs"]
mod properties;

/// Tells which input it was.
struct Naming<'a>(&'a Path);

impl Drop for Naming<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the input is {}", self.0.display());
        }
    }
}

fn inputs(kind: &str, target: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target);
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Every input in the repository passes: of the corpus, and of what once failed.
#[test]
fn the_corpus_passes() {
    for (target, property) in properties::ALL {
        let corpus = inputs("corpus", target);
        assert!(corpus.len() >= 10, "the corpus of {target} is there");
        for path in corpus.iter().chain(&inputs("regressions", target)) {
            let input = fs::read(path).unwrap();
            let naming = Naming(path);
            property(&input);
            drop(naming);
        }
    }
}

/// Every target has its fuzz target, and every corpus its target: none is forgotten when one is renamed.
#[test]
fn targets_and_corpora_go_together() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |directory: &str| {
        let entries = fs::read_dir(fuzz.join(directory)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let targets = properties::ALL.map(|(name, _)| name.to_owned());
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}
