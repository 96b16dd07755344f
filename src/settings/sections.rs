//! The list of all settings.

use std::sync::LazyLock;

use super::{
    embedded, http, kubernetes, lark, lifetimes, log, network, probing, reaping, sandbox,
    setting::{Section, Spec},
    volumes,
};

/// The sections, in the order of every listing.
const SECTIONS: [&Section; 11] = [
    &http::SECTION,
    &kubernetes::SECTION,
    &sandbox::SECTION,
    &lifetimes::SECTION,
    &probing::SECTION,
    &reaping::SECTION,
    &volumes::SECTION,
    &network::SECTION,
    &lark::SECTION,
    &embedded::SECTION,
    &log::SECTION,
];

/// All settings.
pub static SETTINGS: LazyLock<Vec<Spec>> = LazyLock::new(|| {
    let specs = |section: &Section| {
        let heading = section.heading;
        section.settings.iter().map(move |setting| setting.spec(heading)).collect::<Vec<_>>()
    };
    SECTIONS.into_iter().flat_map(specs).collect()
});
