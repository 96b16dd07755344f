//! The list of all settings.

use std::sync::LazyLock;

use super::{
    clusters, embedded, http, kubernetes, lark, lifetimes, log, network, probing, reaping, sandbox,
    setting::{Section, Spec},
    volumes,
};

/// The sections, in the order of every listing.
const SECTIONS: [&Section; 12] = [
    &http::SECTION,
    &kubernetes::SECTION,
    &sandbox::SECTION,
    &lifetimes::SECTION,
    &probing::SECTION,
    &reaping::SECTION,
    &volumes::SECTION,
    &network::SECTION,
    &lark::SECTION,
    &clusters::SECTION,
    &embedded::SECTION,
    &log::SECTION,
];

/// All settings.
pub static SETTINGS: LazyLock<Vec<Spec>> = LazyLock::new(|| {
    let specs = |section: &Section| {
        section.settings.iter().map(move |setting| setting.spec(section)).collect::<Vec<_>>()
    };
    SECTIONS.into_iter().flat_map(specs).collect()
});
