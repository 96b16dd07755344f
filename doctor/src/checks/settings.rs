//! Group 01: the settings. Invalid values never get here: the command line refuses them with exit status 2.

use crate::{
    check::{Check, Outcome, check},
    facts::Facts,
};

pub(super) const CHECKS: &[Check] = &[
    check("SP0101", "the daemon starts with the settings", &[], starts),
    check("SP0102", "an API key protects the daemon", &["SP0101"], has_key),
    check("SP0103", "a cluster offers each profile", &[], offers_profiles),
];

fn starts(facts: &Facts) -> Outcome {
    let problems = &facts.settings.problems;
    if problems.is_empty() {
        return Outcome::passed("");
    }
    Outcome::failed(
        problems.join("; "),
        "`serve` refuses this combination and ends with exit status 2",
        "correct the settings; `sandbox-provisioner serve --check` shows them with their origins",
    )
}

fn has_key(facts: &Facts) -> Outcome {
    let settings = &facts.settings;
    let Some(listen) = settings.listen.filter(|_| !settings.has_key) else {
        return Outcome::passed("");
    };
    if listen.ip().to_canonical().is_loopback() {
        return Outcome::passed("it listens on a loopback address and needs none");
    }
    Outcome::warned(
        format!("{listen} is not a loopback address, and there is no API key"),
        "PROVISIONER_AUTH=none switches the check of keys off",
        "set PROVISIONER_API_KEY_FILE, or make sure that only trusted clients reach the address",
    )
}

fn offers_profiles(facts: &Facts) -> Outcome {
    let unoffered = &facts.settings.unoffered_profiles;
    if unoffered.is_empty() {
        return Outcome::passed("");
    }
    Outcome::warned(
        unoffered.join("; "),
        "each cluster has a list of `profiles`, and none of the lists has it; a POST with it is refused",
        "add the profile to a list, or remove its table",
    )
}
