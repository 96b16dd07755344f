//! Fault rules: the calls that they match, how often they apply, and their effect.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::table::Subject;
use crate::calls::Verb;
use crate::resource::Resource;

/// Matches calls. A field that is `None` matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// The verb.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<Verb>,
    /// Whether only calls that change something are meant, whatever their verb.
    pub writes_only: bool,
    /// The plural; `pods` does not match `pods/status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The namespace in the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// How the object's name starts. A call without a name does not match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_prefix: Option<String>,
}

/// How often a rule applies, counted in calls that match it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Timing {
    /// Every time.
    #[default]
    Always,
    /// Only at the n-th matching call from now, counted from 1.
    Nth(u64),
    /// At the n-th matching call from now, counted from 1, and all later ones.
    From(u64),
    /// At the next k matching calls.
    Next(u64),
    /// At this share of the matching calls, 0.0 to 1.0, drawn from a generator with this seed.
    Share {
        /// The share, 0.0 to 1.0.
        share: f64,
        /// The seed; equal seeds select the same calls.
        #[serde(default)]
        seed: u64,
    },
}

/// The effect of a rule on a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Answer with this and change nothing.
    Refuse(Refusal),
    /// Wait first. Goes together with the effect of another rule.
    Delay(#[serde(with = "crate::duration")] Duration),
    /// Change the object that a create or a patch sends by this JSON merge patch (RFC 7396), as a mutating admission
    /// webhook does. Other calls stay as they are.
    Mutate(Value),
    /// Drop the connection before anything took effect.
    DropBefore,
    /// Carry the call out, then drop the connection instead of answering.
    DropAnswer,
    /// Carry the call out, but never answer.
    HangAnswer,
    /// Carry the call out, and break the connection after this many bytes of the body of the answer.
    CutBody(u64),
    /// Do not carry the call out, and never answer.
    Silent,
    /// A call that reads is answered by a server that has stopped at the state there was when the rule was made, as a
    /// replica that lags behind. A watch hears nothing from it. On a call that writes it does nothing.
    StaleRead,
    /// A watch opens and then fails. Has no effect on other calls.
    Watch(WatchFault),
}

/// The failure of an open watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum WatchFault {
    /// It stays open and silent: no events, no bookmarks, no end.
    Stall,
    /// The connection breaks after this many events.
    CutAfter(u64),
    /// It says at once that the version is too old (410 as an ERROR event).
    Expired,
    /// Each event comes this much late.
    Late(#[serde(with = "crate::duration")] Duration),
    /// Each event comes twice.
    Double,
    /// Every n-th event is left out (n of at least 1).
    Lossy(u64),
    /// This share of the events is left out.
    LossyShare {
        /// The share, in thousandths.
        per_mille: u16,
        /// The seed; each watch that the rule applies to loses the same places.
        #[serde(default)]
        seed: u64,
    },
    /// Events wait a second for company and then come in another order, shuffled among so many neighbours.
    Reorder {
        /// How many neighbours, at least 2.
        among: u16,
        /// The seed.
        #[serde(default)]
        seed: u64,
    },
    /// It goes silent after this many events, and stays open.
    StallAfter(u64),
    /// After this many events it says that the version is too old (410 as an ERROR event), and ends.
    ExpireAfter(u64),
}

/// An answer that refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Refusal {
    /// 429 as the API server's priority and fairness answers it: plain text, `Retry-After: 1`.
    TooManyRequests,
    /// 500 with the message `etcdserver: request timed out`.
    EtcdTimeout,
    /// 503 with reason `ServiceUnavailable`.
    Unavailable,
    /// 403 as RBAC answers it.
    Forbidden,
    /// 401.
    Unauthorized,
    /// Any other status, with a reason and a message.
    Other {
        /// The status code; one that is none becomes 500.
        code: u16,
        /// The `reason` of the Status.
        reason: Cow<'static, str>,
        /// The `message` of the Status.
        message: String,
    },
}

/// A fault rule.
///
/// As JSON, in the control endpoint:
///
/// ```
/// use simcluster::{Effect, Refusal, Rule, Verb};
/// let json = r#"{"when": {"verb": "create", "resource": "pods"}, "timing": {"next": 3},
///                "effect": {"refuse": "too-many-requests"}}"#;
/// let rule: Rule = serde_json::from_str(json).unwrap();
/// let same = Rule::new(Effect::Refuse(Refusal::TooManyRequests)).verb(Verb::Create).resource("pods").times(3);
/// assert_eq!(rule, same);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The calls that it matches; all by default.
    #[serde(default)]
    pub when: Matcher,
    /// How often it applies; always by default.
    #[serde(default)]
    pub timing: Timing,
    /// The effect on a call.
    pub effect: Effect,
}

/// An invalid rule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// No such kind is served.
    #[error("unknown resource {0:?}: expected a plural, or a path that begins with a slash")]
    UnknownResource(String),
    /// A share is not between 0 and 1.
    #[error("a share must be between 0 and 1, not {0}")]
    Share(f64),
    /// As [`RuleError::Share`], in thousandths.
    #[error("a share of events must be between 0 and 1000 thousandths, not {0}")]
    PerMille(u16),
    /// Calls are counted from 1.
    #[error("{what} must be at least {least}")]
    TooSmall {
        /// The number that is too small.
        what: &'static str,
        /// The least value that it may have.
        least: u64,
    },
    /// The status would not refuse anything.
    #[error("the status of a refusal must be 400 to 599, not {0}")]
    Status(u16),
}

// === impl Rule ===

impl Rule {
    /// A rule for every call.
    #[must_use]
    pub fn new(effect: Effect) -> Self {
        Self { when: Matcher::default(), timing: Timing::Always, effect }
    }

    /// Only for this verb.
    #[must_use]
    pub fn verb(mut self, verb: Verb) -> Self {
        self.when.verb = Some(verb);
        self
    }

    /// Only for calls that change something.
    #[must_use]
    pub fn writes(mut self) -> Self {
        self.when.writes_only = true;
        self
    }

    /// Only for this resource.
    #[must_use]
    pub fn resource(mut self, plural: &str) -> Self {
        self.when.resource = Some(plural.to_owned());
        self
    }

    /// Only in this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.when.namespace = Some(namespace.to_owned());
        self
    }

    /// Only for objects whose name starts so.
    #[must_use]
    pub fn named(mut self, prefix: &str) -> Self {
        self.when.name_prefix = Some(prefix.to_owned());
        self
    }

    /// Only at the n-th matching call from now, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.timing = Timing::Nth(n);
        self
    }

    /// Only from the n-th matching call from now on, counted from 1.
    #[must_use]
    pub fn from_nth(mut self, n: u64) -> Self {
        self.timing = Timing::From(n);
        self
    }

    /// Only at the next k matching calls.
    #[must_use]
    pub fn times(mut self, k: u64) -> Self {
        self.timing = Timing::Next(k);
        self
    }

    /// Only at this share (0.0 to 1.0) of the matching calls.
    #[must_use]
    pub fn share(mut self, share: f64, seed: u64) -> Self {
        self.timing = Timing::Share { share, seed };
        self
    }
}

impl Rule {
    /// Checks the rule: its kind is served, its shares are between 0 and 1, and its counts can be reached.
    /// [`Cluster::fault`](crate::Cluster::fault) takes any rule; the control endpoint takes only valid ones.
    ///
    /// # Errors
    ///
    /// Returns the first error that is found.
    pub fn check(&self) -> Result<(), RuleError> {
        if let Some(resource) = &self.when.resource {
            let plural = resource.split('/').next().unwrap_or(resource);
            if !plural.is_empty() && Resource::by_plural(plural).is_none() {
                return Err(RuleError::UnknownResource(resource.clone()));
            }
        }
        match self.timing {
            Timing::Nth(0) => return Err(RuleError::TooSmall { what: "nth", least: 1 }),
            Timing::From(0) => return Err(RuleError::TooSmall { what: "from", least: 1 }),
            Timing::Next(0) => return Err(RuleError::TooSmall { what: "next", least: 1 }),
            Timing::Share { share, .. } if !(0.0..=1.0).contains(&share) => {
                return Err(RuleError::Share(share));
            }
            Timing::Always | Timing::Nth(_) | Timing::From(_) | Timing::Next(_) | Timing::Share { .. } => {}
        }
        match &self.effect {
            Effect::Refuse(Refusal::Other { code, .. }) if !(400..=599).contains(code) => {
                Err(RuleError::Status(*code))
            }
            Effect::Watch(WatchFault::Lossy(0)) => Err(RuleError::TooSmall { what: "lossy", least: 1 }),
            Effect::Watch(WatchFault::LossyShare { per_mille, .. }) if *per_mille > 1000 => {
                Err(RuleError::PerMille(*per_mille))
            }
            Effect::Watch(WatchFault::Reorder { among: 0 | 1, .. }) => {
                Err(RuleError::TooSmall { what: "among", least: 2 })
            }
            _ => Ok(()),
        }
    }
}

// === impl Matcher ===

impl Matcher {
    pub(super) fn matches(&self, subject: Subject<'_>) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        self.verb.is_none_or(|verb| verb == subject.verb)
            && (!self.writes_only || subject.verb.writes())
            && same(&self.resource, Some(subject.resource))
            && same(&self.namespace, subject.namespace)
            && self.name_prefix.as_deref().is_none_or(|p| subject.name.is_some_and(|n| n.starts_with(p)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_back_as_they_were_written() {
        let other = Refusal::Other { code: 418, reason: "Teapot".into(), message: "no".into() };
        let effects = [
            Effect::Refuse(other),
            Effect::Refuse(Refusal::EtcdTimeout),
            Effect::Delay(Duration::from_millis(1500)),
            Effect::Mutate(serde_json::json!({"metadata": {"labels": null}})),
            Effect::DropAnswer,
            Effect::CutBody(10),
            Effect::StaleRead,
            Effect::Watch(WatchFault::Stall),
            Effect::Watch(WatchFault::Late(Duration::from_secs(90))),
            Effect::Watch(WatchFault::Reorder { among: 4, seed: 7 }),
        ];
        for effect in effects {
            let rule = Rule::new(effect).verb(Verb::Watch).writes().named("a").share(0.5, 3);
            assert_eq!(rule.check(), Ok(()));
            let text = serde_json::to_string(&rule).unwrap();
            assert_eq!(serde_json::from_str::<Rule>(&text).unwrap(), rule, "{text}");
        }
    }

    #[test]
    fn an_invalid_rule_is_refused() {
        let silent = || Rule::new(Effect::Silent);
        let cases = [
            (silent().resource("pod"), "unknown resource \"pod\""),
            (silent().nth(0), "nth must be at least 1"),
            (silent().share(1.5, 0), "a share must be between 0 and 1, not 1.5"),
            (Rule::new(Effect::Watch(WatchFault::Lossy(0))), "lossy must be at least 1"),
            (Rule::new(Effect::Watch(WatchFault::Reorder { among: 1, seed: 0 })), "among must be at least 2"),
        ];
        for (rule, wanted) in cases {
            let error = rule.check().unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{error}");
        }
        assert_eq!(silent().resource("pods/status").check(), Ok(()));
        assert_eq!(silent().resource("/version").check(), Ok(()));
        let strict = serde_json::from_str::<Rule>(r#"{"effect": "silent", "when": {"verbs": "get"}}"#);
        assert!(strict.unwrap_err().to_string().contains("unknown field `verbs`"));
    }
}
