//! Finds the key that was probably meant, for the messages about unknown keys.

use super::setting::Spec;

/// The similarity, from 0 to 1, below which no key is suggested.
const LIKENESS: f64 = 0.8;

/// Returns a key as it is compared: in lower case, with underscores.
pub(super) fn normalized(key: &str) -> String {
    key.to_lowercase().replace('-', "_")
}

/// Returns how similar a setting is to a normalized key: by its variable, by a part of its name, or by similarity.
pub(super) fn likeness(wanted: &str, spec: &Spec) -> f64 {
    if spec.variable.eq_ignore_ascii_case(wanted) {
        1.0
    } else if wanted.len() > 3 && spec.name.ends_with(&format!("_{wanted}")) {
        0.99
    } else {
        strsim::jaro_winkler(wanted, &spec.name)
    }
}

/// Returns the candidate that is most similar to a normalized key, if one is similar enough.
pub(super) fn nearest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    best(candidates.map(|candidate| (strsim::jaro_winkler(wanted, candidate), candidate)))
}

/// Returns the first of the most similar candidates, if it is similar enough.
pub(super) fn best<T>(scored: impl Iterator<Item = (f64, T)>) -> Option<T> {
    let better = |best: (f64, T), other: (f64, T)| if other.0 > best.0 { other } else { best };
    scored.reduce(better).filter(|(likeness, _)| *likeness >= LIKENESS).map(|(_, candidate)| candidate)
}
