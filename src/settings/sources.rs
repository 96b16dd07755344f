//! Merges file, environment and flags: for each setting the last given value, as text.

use std::{collections::BTreeMap, ffi::OsString};

use super::{
    problem::{Origin, Problem},
    setting::{Setting, Spec},
};

/// A value as it was written, with its origin.
#[derive(Clone, PartialEq, Eq)]
pub struct RawValue {
    /// The text; empty if an optional setting was unset.
    pub text: String,
    /// Its origin.
    pub origin: Origin,
}

/// The values of the command line, which contain no secret, by the variables of their settings.
#[derive(Debug, Clone, Default)]
pub struct FlagValues(pub BTreeMap<&'static str, String>);

/// The effective values, including defaults, by the variables of their settings. A setting that is absent here is not
/// set.
#[derive(Clone)]
pub struct Sources(BTreeMap<&'static str, RawValue>);

// === impl Sources ===

impl Sources {
    /// Merges the sources, where a later one overrides, and adds variables that are not Unicode to the problems.
    pub(super) fn new<'e>(
        settings: &'static [Spec],
        file: Vec<(&'static str, RawValue)>,
        environment: impl Fn(&str) -> Option<&'e OsString>,
        flags: &FlagValues,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let default = |spec: &Spec| {
            let text = spec.default.clone()?;
            Some((spec.variable, RawValue { text, origin: Origin::Default }))
        };
        let mut values: BTreeMap<_, _> = settings.iter().filter_map(default).collect();
        values.extend(file);
        for spec in settings {
            if let Some(value) = environment(spec.variable) {
                let origin = Origin::Variable(spec.variable);
                match value.to_str() {
                    Some("") if !spec.empty_variable_counts() => {}
                    Some(text) => {
                        values.insert(spec.variable, RawValue { text: text.to_owned(), origin });
                    }
                    None => {
                        let what = format!("a value from {origin} that is not Unicode is not allowed");
                        problems.push(Problem::not_allowed(spec, &what));
                    }
                }
            }
            if let (Some(text), Some(flag)) = (flags.0.get(spec.variable), &spec.flag) {
                values.insert(spec.variable, RawValue { text: text.clone(), origin: Origin::Flag(flag) });
            }
        }
        Self(values)
    }

    /// Returns the value of a setting by its variable. It may be empty.
    pub(super) fn find(&self, variable: &str) -> Option<&RawValue> {
        self.0.get(variable)
    }

    /// Returns the value, unless the setting is not set or is empty.
    pub(super) fn get<F>(&self, setting: &Setting<F>) -> Option<&RawValue> {
        self.find(setting.variable).filter(|raw| !raw.text.is_empty())
    }

    /// Returns the origin of the value; that of the default if the setting is not set.
    pub(super) fn origin<F>(&self, setting: &Setting<F>) -> Origin {
        self.find(setting.variable).map_or(Origin::Default, |raw| raw.origin.clone())
    }

    /// Returns these values with others in their place.
    pub(super) fn with(&self, values: impl IntoIterator<Item = (&'static str, RawValue)>) -> Self {
        let mut all = self.clone();
        all.0.extend(values);
        all
    }

    /// Replaces a value.
    pub(super) fn set<F>(&mut self, setting: &Setting<F>, value: RawValue) {
        self.0.insert(setting.variable, value);
    }

    /// Removes a value.
    pub(super) fn unset<F>(&mut self, setting: &Setting<F>) {
        self.0.remove(setting.variable);
    }
}
