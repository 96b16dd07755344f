//! Merges file, environment and flags: for each setting the last given value, as text.

use std::collections::BTreeMap;

use super::{
    environment::Environment,
    keys::Key,
    problem::{Origin, Problem},
    rules,
};

/// A value as it was written, with its origin.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw {
    /// The text; empty if an optional setting was cleared.
    pub text: String,
    /// Its origin.
    pub origin: Origin,
}

/// The values of the command line, which contain no secret.
#[derive(Debug, Clone, Default)]
pub struct FlagValues(pub BTreeMap<Key, String>);

/// The effective values, including defaults; a setting that is absent here is not set.
#[derive(Clone)]
pub struct Layers(BTreeMap<Key, Raw>);

// === impl Layers ===

impl Layers {
    /// Merges the layers, where a later one overrides, and adds invalid values to the problems.
    #[must_use]
    pub fn new(file: Vec<(Key, Raw)>, environment: &Environment, flags: &FlagValues) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut values = BTreeMap::new();
        for key in Key::all() {
            if let Some(default) = key.spec().default {
                values.insert(key, Raw { text: default.to_owned(), origin: Origin::Default });
            }
        }
        values.extend(file);
        for key in Key::all() {
            let variable = key.spec().variable;
            let Some(value) = environment.get(variable) else { continue };
            let origin = Origin::Variable(variable);
            match value.to_str() {
                Some("") if !key.empty_variable_counts() => {}
                Some(text) => {
                    values.insert(key, Raw { text: text.to_owned(), origin });
                }
                None => problems.push(Problem::NotText { key, origin }),
            }
        }
        for (key, text) in &flags.0 {
            let origin = Origin::Flag(key.spec().flag.unwrap_or_default());
            values.insert(*key, Raw { text: text.clone(), origin });
        }
        let mut layers = Self(values);
        layers.choose_key(&mut problems);
        layers.follow_embedded();
        (layers, problems)
    }

    /// The effective value, unless the setting is not set or was cleared.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&Raw> {
        self.0.get(&key).filter(|raw| !raw.text.is_empty() || !key.may_be_cleared())
    }

    /// The origin of the effective value; that of the default if the setting is not set.
    #[must_use]
    pub fn origin(&self, key: Key) -> Origin {
        self.0.get(&key).map_or(Origin::Default, |raw| raw.origin.clone())
    }

    /// The API key and the file with the API key are two forms of one setting: the later layer overrides.
    fn choose_key(&mut self, problems: &mut Vec<Problem>) {
        let (Some(key), Some(file)) = (self.get(Key::ApiKey), self.get(Key::ApiKeyFile)) else { return };
        match key.origin.layer().cmp(&file.origin.layer()) {
            std::cmp::Ordering::Less => {
                self.0.remove(&Key::ApiKey);
            }
            std::cmp::Ordering::Greater => {
                self.0.remove(&Key::ApiKeyFile);
            }
            std::cmp::Ordering::Equal => {
                problems.push(Problem::TwoKeys { key: key.origin.clone(), file: file.origin.clone() });
            }
        }
    }

    /// On the embedded cluster the default host name does not resolve, so the default is the address on which the
    /// simulated sandboxes listen.
    fn follow_embedded(&mut self) {
        let embedded = self.get(Key::Embedded).is_some_and(|raw| rules::switch(&raw.text) == Some(true));
        if !embedded || self.origin(Key::NodeHost) != Origin::Default {
            return;
        }
        let Some(bind) = self.get(Key::EmbeddedBind).and_then(|raw| raw.text.parse().ok()) else { return };
        let text = rules::reachable(bind).to_string();
        self.0.insert(Key::NodeHost, Raw { text, origin: Origin::DefaultFor(Key::Embedded) });
    }
}
