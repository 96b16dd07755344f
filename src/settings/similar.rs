//! Finds the key that was probably meant, for the messages about unknown keys.

/// The similarity, from 0 to 1, below which no key is suggested.
pub(super) const LIKENESS: f64 = 0.8;

/// Returns a key as it is compared: in lower case, with underscores.
pub(super) fn normalized(key: &str) -> String {
    key.to_lowercase().replace('-', "_")
}

/// Returns the candidate that is most similar to a normalized key, if one is similar enough.
pub(super) fn nearest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.map(|candidate| (strsim::jaro_winkler(wanted, candidate), candidate));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness >= LIKENESS).map(|(_, candidate)| candidate)
}
