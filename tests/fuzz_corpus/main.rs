//! Runs the property of each fuzz target on its corpus, without a fuzzer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

#[path = "../../fuzz/properties/mod.rs"]
mod properties;

/// Prints the input if the property panics.
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

/// Guards that every input of the corpus, and every input that once failed, passes.
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

/// Guards that properties, fuzz targets and corpora have the same names.
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
