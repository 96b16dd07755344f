//! Reads typed values, and collects all problems.

use super::{
    format::Format,
    problem::Problem,
    setting::{Setting, Spec},
    sources::Sources,
};

/// Reads the values of settings whose texts were checked.
pub struct Reader<'a> {
    /// The values as text.
    pub sources: &'a Sources,
    /// Whether the daemon will listen: a public address then requires an API key.
    pub serving: bool,
    problems: Vec<Problem>,
}

/// A value is invalid; its problem was reported.
#[derive(Debug)]
pub struct Reported;

// === impl Reader ===

impl<'a> Reader<'a> {
    /// Checks every value of these settings, so that all problems are reported and not only the first of a section.
    pub fn new<'s>(sources: &'a Sources, settings: impl Iterator<Item = &'s Spec>, serving: bool) -> Self {
        let check = |spec: &Spec| {
            let raw = sources.find(spec.variable)?;
            let invalid = spec.declaration.check(&raw.text).err()?;
            Some(Problem::invalid(spec, &raw.text, &raw.origin, &invalid))
        };
        Self { sources, serving, problems: settings.filter_map(check).collect() }
    }

    /// Returns the value of a setting. The empty text stands for a setting that is not set.
    pub fn get<F: Format>(&self, setting: &Setting<F>) -> Result<F::Value, Reported> {
        let text = self.sources.get(setting).map_or("", |raw| &raw.text);
        setting.format.parse(text).map_err(|_| Reported)
    }

    /// Adds a problem that concerns several settings.
    pub fn report(&mut self, problem: Problem) -> Reported {
        self.problems.push(problem);
        Reported
    }

    /// Returns all problems.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}
