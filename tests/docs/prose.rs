//! Patterns of bad prose in comments and documents, of which a few may remain.

use std::path::Path;

use crate::{root, texts};

/// The parts of the repository, with the number of matches that may remain. Lower a number when you can; never raise it.
const PARTS: [(&[&str], usize); 3] = [
    (&["src", "lifecycle", "actors", "kubernetes", "fleet", "client", "otlp", "doctor"], 3),
    (&["simcluster"], 1),
    (&["fakecluster", "testkit", "tests", "benches", "fuzz", "docs", "README.md", "CONTRIBUTING.md"], 7),
];

/// Phrases by the kind of bad prose. `*` stands for any word, `.` for the start of a sentence.
const PATTERNS: [(&str, &[&str]); 9] = [
    (
        "a clause where a noun exists",
        &[". what", ". who", ". whom", ". whoever", ". whatever", ". which", "whoever"],
    ),
    (
        "\"of\" in front of the subject",
        &[". of what", ". of those", ". of these", ". of all", ". of each", ". of two", ". of a", ". of the"],
    ),
    ("\"is no\" instead of \"is not a\"", &["is no", "are no", "was no", "were no"]),
    ("old words", &["anew", "all the same", "for want of", "by halves", "nor", "shall", "lately", "begun"]),
    (
        "\"as it has them\"",
        &["as * has it", "as * has them", "as * have it", "as * have them", "as * * has it"],
    ),
    (
        "a euphemism for a plain operation",
        &["let go", "is told", "are told", "was told", "were told", "is heard", "goes away", "sent away"],
    ),
    (
        "a paraphrase of a technical term",
        &[
            "only goes forward",
            "wall's clock",
            "length of time",
            "thousandths of a core",
            "binary form",
            "half a pair",
        ],
    ),
    (
        "a person or a metaphor in place of a thing",
        &[
            "obituary",
            "ailment",
            "befell",
            "furnished",
            "loudspeaker",
            "meddle",
            "crowd",
            "stranger",
            "strangers",
            "nobody",
            "somebody",
            "belt",
        ],
    ),
    (
        "a chain of pronouns",
        &["that which", "those which", "those who", "what it", "what they", "what is there", "what was"],
    ),
];

/// Guards that comments and documents stay in plain English.
#[test]
fn bad_prose_does_not_come_back() {
    for (parts, limit) in PARTS {
        let mut found = vec![];
        for part in parts {
            for (file, text) in texts(&root().join(part)) {
                let is_code = file.extension().is_some_and(|extension| extension == "rs");
                for (at, line) in text.lines().enumerate() {
                    let prose = if is_code { comment(line) } else { Some(line) };
                    let kinds = prose.map(kinds).unwrap_or_default();
                    found.extend(
                        kinds.iter().map(|kind| format!("{}:{}: {kind}: {line}", shown(&file), at + 1)),
                    );
                }
            }
        }
        println!("{parts:?}: {} of at most {limit}", found.len());
        assert!(found.len() <= limit, "{} of at most {limit}:\n{}", found.len(), found.join("\n"));
    }
}

/// Returns the text of a line that is a comment.
fn comment(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("//").map(|text| text.trim_start_matches(['/', '!']))
}

/// Returns the kinds of bad prose in a line, once for each match.
fn kinds(line: &str) -> Vec<&'static str> {
    let line = line.to_lowercase().replace(". ", " . ").replace(": ", " . ").replace("; ", " . ");
    // These are plain English.
    let line = ["there is", "there are", "there was", "no longer"]
        .iter()
        .fold(line, |line, good| line.replace(good, ""));
    let is_mark = |letter: char| !letter.is_alphanumeric() && letter != '.' && letter != '\'';
    let words = line.split(is_mark).filter(|word| !word.is_empty());
    let words: Vec<_> = std::iter::once(".").chain(words).collect();
    let matches = |phrase: &str| {
        let phrase: Vec<_> = phrase.split(' ').collect();
        let equal =
            |window: &[&str]| phrase.iter().zip(window).all(|(one, other)| *one == "*" || one == other);
        words.windows(phrase.len()).filter(|window| equal(window)).count()
    };
    let of_kind = |(kind, phrases): &(&'static str, &[&str])| {
        vec![*kind; phrases.iter().map(|phrase| matches(phrase)).sum()]
    };
    PATTERNS.iter().flat_map(of_kind).collect()
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

/// Guards that each kind of pattern matches.
#[test]
fn the_patterns_match() {
    for line in
        ["What is there.", "So it is. Of all, one.", "It is no list.", "as Kubernetes has them", "BEGUN anew"]
    {
        assert!(!kinds(line).is_empty(), "{line}");
    }
    assert_eq!(kinds("Returns the list. It is not empty."), [""; 0]);
}
