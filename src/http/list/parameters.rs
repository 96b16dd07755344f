//! The parameters of a list.

use std::{collections::BTreeSet, num::IntErrorKind};

use lifecycle::{
    ids::{
        ClusterName, PROFILE_NAME_PATTERN, ProfileName, SandboxId, THREAD_ID_PATTERN, ThreadId,
        USER_ID_PATTERN, UserId,
    },
    observed::Status,
    phase::Phase,
    selector::Selector,
};

use super::token;
use crate::http::{
    errors::ApiError,
    query::{Query, Reader},
    request::Problem,
};

/// The names of all parameters.
const NAMES: [&str; 9] =
    ["status", "reason", "user_id", "thread_id", "profile", "cluster", "label", "limit", "continue"];

/// The parameters of a list. A sandbox must match all that are given.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    status: AnyOf,
    reason: AnyOf,
    user_id: AnyOf,
    thread_id: AnyOf,
    profile: AnyOf,
    cluster: AnyOf,
    selector: Selector,
    /// The largest number of sandboxes in the answer.
    pub(super) limit: Option<usize>,
    /// The last sandbox of the page before.
    pub(super) after: Option<SandboxId>,
}

/// The values of a parameter of which one must match; `None` if it is not given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct AnyOf(Option<BTreeSet<String>>);

// === impl Parameters ===

impl Parameters {
    /// Returns whether a query has one of the parameters. Other ones are ignored, as FastAPI ignores them.
    pub(super) fn are_in(query: &str) -> bool {
        Query(query).has_any(&NAMES)
    }

    /// Parses the parameters of a query. These are the clusters that it can select: a list of a cluster that does not exist
    /// would look like that of a cluster without sandboxes.
    ///
    /// # Errors
    /// A 422 with each invalid value.
    pub(super) fn parse(query: &str, clusters: &[ClusterName]) -> Result<Self, ApiError> {
        let mut reader = Reader::new(query);
        let clusters: Vec<_> = clusters.iter().map(ClusterName::as_str).collect();
        let pattern = |pattern| Problem::pattern(pattern, None);
        let parameters = Self {
            status: reader.any_of("status", |status| {
                Phase::parse(status).map(drop).ok_or_else(|| Problem::one_of(&Phase::NAMES))
            }),
            reason: reader
                .any_of("reason", |reason| (!reason.is_empty()).then_some(()).ok_or(Problem::TOO_SHORT)),
            user_id: reader
                .any_of("user_id", |id| UserId::parse(id).map(drop).ok_or_else(|| pattern(USER_ID_PATTERN))),
            thread_id: reader.any_of("thread_id", |id| {
                ThreadId::parse(id).map(drop).ok_or_else(|| pattern(THREAD_ID_PATTERN))
            }),
            profile: reader.any_of("profile", |name| {
                ProfileName::parse(name).map(drop).ok_or_else(|| pattern(PROFILE_NAME_PATTERN))
            }),
            cluster: reader.any_of("cluster", |name| {
                clusters.contains(&name).then_some(()).ok_or_else(|| Problem::one_of(&clusters))
            }),
            selector: reader.selector(),
            limit: reader.last("limit", limit),
            after: reader.last("continue", |text| {
                let problem = "the token is not one that a list has returned; list again without it";
                token::parse(text).ok_or_else(|| Problem::value_error(problem))
            }),
        };
        reader.finish(parameters)
    }

    /// Returns whether the list shows this sandbox.
    pub(super) fn match_sandbox(&self, status: &Status) -> bool {
        let (spec, origin) = (&status.spec, &status.spec.origin);
        self.status.accepts(Some(status.phase.name()))
            && self.reason.accepts(status.reason.as_ref().map(|reason| &*reason.name))
            && self.user_id.accepts(origin.user_id.as_ref().map(UserId::as_str))
            && self.thread_id.accepts(origin.thread_id.as_ref().map(ThreadId::as_str))
            && self.profile.accepts(spec.profile.as_ref().map(ProfileName::as_str))
            && self.includes(&status.cluster)
            && self.selector.matches(&origin.labels)
    }

    /// Returns whether the list shows sandboxes of this cluster.
    pub(super) fn includes(&self, cluster: &ClusterName) -> bool {
        self.cluster.accepts(Some(cluster.as_str()))
    }
}

fn limit(text: &str) -> Result<usize, Problem> {
    match text.parse::<i64>() {
        Ok(..=0) => Err(Problem::greater_than(0)),
        Ok(limit) => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => Ok(usize::MAX),
            IntErrorKind::NegOverflow => Err(Problem::greater_than(0)),
            _ => Err(Problem::INT_PARSING),
        },
    }
}

// === impl AnyOf ===

impl AnyOf {
    fn accepts(&self, value: Option<&str>) -> bool {
        self.0.as_ref().is_none_or(|values| value.is_some_and(|value| values.contains(value)))
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// Reads a parameter that may be repeated, and whose values may be separated by commas.
    fn any_of(&mut self, name: &'static str, check: impl Fn(&str) -> Result<(), Problem>) -> AnyOf {
        let mut values: Option<BTreeSet<String>> = None;
        for text in self.query.all(name) {
            for value in text.split(',') {
                if let Err(problem) = check(value) {
                    self.report(name, problem, value.to_owned());
                    // One error is enough to find the others.
                    return AnyOf::default();
                }
                values.get_or_insert_default().insert(value.to_owned());
            }
        }
        AnyOf(values)
    }

    /// Reads the label selectors, which must all hold.
    fn selector(&mut self) -> Selector {
        let mut all = Selector::default();
        for text in self.query.all("label") {
            match Selector::parse(&text).and_then(|selector| all.clone().and(selector)) {
                Ok(both) => all = both,
                Err(error) => {
                    let problem = Problem::value_error(&format!("this is not a label selector: {error}"));
                    self.report("label", problem, text);
                    return all;
                }
            }
        }
        all
    }
}

mod described;
#[cfg(test)]
mod tests;

pub(super) use self::described::{failures, parameters as described};
