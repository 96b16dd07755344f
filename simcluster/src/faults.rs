//! Fault switches: rules that make chosen calls fail in chosen ways.
//!
//! A [`Rule`] says which calls it is about ([`Matcher`]), how often it strikes ([`Timing`]) and what then happens
//! ([`Effect`]). Deciding is pure ([`FaultTable::strike`]); the server in front of the handlers carries it out.

use std::time::Duration;

use crate::calls::Verb;
use crate::random::Random;

/// Which calls a rule is about; what is `None` matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matcher {
    /// The verb.
    pub verb: Option<Verb>,
    /// Whether only calls that change something are meant, whatever their verb.
    pub writes_only: bool,
    /// The plural; `pods` does not match `pods/status`.
    pub resource: Option<String>,
    /// The namespace in the path.
    pub namespace: Option<String>,
    /// How the object's name starts. A call without a name does not match.
    pub name_prefix: Option<String>,
}

/// How often a rule strikes, counted in calls that match it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Timing {
    /// Every time.
    Always,
    /// Only at the n-th matching call from now, counted from 1.
    Nth(u64),
    /// At the next k matching calls.
    Next(u64),
    /// At this share of the matching calls, 0.0 to 1.0, drawn from a generator with this seed.
    Share {
        /// The share, 0.0 to 1.0.
        share: f64,
        /// The seed; equal seeds strike the same calls.
        seed: u64,
    },
}

/// What a rule does to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Answer with this and change nothing.
    Refuse(Refusal),
    /// Wait first. Goes together with the effect of another rule.
    Delay(Duration),
    /// Drop the connection before anything took effect.
    DropBefore,
    /// Carry the call out, then drop the connection instead of answering.
    DropAnswer,
    /// Carry the call out, but never answer.
    HangAnswer,
    /// Neither carry the call out nor ever answer.
    Silent,
    /// A watch opens and then goes wrong. On any other call it does nothing.
    Watch(WatchFault),
}

/// How an opened watch goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchFault {
    /// It stays open and silent: no events, no bookmarks, no end.
    Stall,
    /// The connection breaks after this many events.
    CutAfter(u64),
    /// It says at once that the version is too old (410 as an ERROR event).
    Expired,
    /// Each event comes this much late.
    Late(Duration),
    /// Each event comes twice.
    Double,
    /// Every n-th event is left out (n of at least 1).
    Lossy(u64),
}

/// An answer that refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        reason: &'static str,
        /// The `message` of the Status.
        message: String,
    },
}

/// A fault rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Which calls.
    pub when: Matcher,
    /// How often.
    pub timing: Timing,
    /// What happens.
    pub effect: Effect,
}

/// Names a rule, to take it away again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleId(u64);

/// What the rules make of one call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Strike {
    pub delay: Duration,
    /// The first effect, other than a delay, of a rule that strikes.
    pub effect: Option<Effect>,
}

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub verb: Verb,
    pub resource: &'a str,
    pub namespace: Option<&'a str>,
    pub name: Option<&'a str>,
}

/// The rules in force, oldest first.
#[derive(Debug, Default)]
pub(crate) struct FaultTable {
    rules: Vec<Active>,
    next: u64,
}

#[derive(Debug)]
struct Active {
    id: RuleId,
    rule: Rule,
    /// How many calls have matched so far.
    seen: u64,
    random: Random,
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

// === impl Matcher ===

impl Matcher {
    fn matches(&self, subject: Subject<'_>) -> bool {
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

// === impl FaultTable ===

impl FaultTable {
    pub fn add(&mut self, rule: Rule) -> RuleId {
        let id = RuleId(self.next);
        self.next += 1;
        let seed = if let Timing::Share { seed, .. } = rule.timing { seed } else { 0 };
        self.rules.push(Active { id, rule, seen: 0, random: Random::seeded(seed) });
        id
    }

    pub fn remove(&mut self, id: RuleId) {
        self.rules.retain(|active| active.id != id);
    }

    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// Counts the call with every rule that matches it and says what is to become of it.
    pub fn strike(&mut self, subject: Subject<'_>) -> Strike {
        let mut strike = Strike::default();
        for active in &mut self.rules {
            if !active.rule.when.matches(subject) || !active.strikes() {
                continue;
            }
            match &active.rule.effect {
                Effect::Delay(more) => strike.delay += *more,
                Effect::Watch(_) if subject.verb != Verb::Watch => {}
                effect if strike.effect.is_none() => strike.effect = Some(effect.clone()),
                _ => {}
            }
        }
        strike
    }
}

// === impl Active ===

impl Active {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are plenty for a share")]
    fn strikes(&mut self) -> bool {
        self.seen += 1;
        match self.rule.timing {
            Timing::Always => true,
            Timing::Nth(n) => self.seen == n,
            Timing::Next(k) => self.seen <= k,
            Timing::Share { share, .. } => ((self.random.next() >> 11) as f64 / (1_u64 << 53) as f64) < share,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: Subject<'_> =
        Subject { verb: Verb::Create, resource: "pods", namespace: Some("ns"), name: Some("sandbox-a") };

    fn hits(rule: Rule, calls: usize) -> Vec<bool> {
        let mut table = FaultTable::default();
        table.add(rule);
        (0..calls).map(|_| table.strike(CREATE).effect.is_some()).collect()
    }

    #[test]
    fn a_rule_strikes_only_what_it_names() {
        let rule = || Rule::new(Effect::Silent);
        let cases = [
            (rule(), true),
            (rule().verb(Verb::Create), true),
            (rule().verb(Verb::Delete), false),
            (rule().writes(), true),
            (rule().resource("pods"), true),
            (rule().resource("services"), false),
            (rule().namespace("other"), false),
            (rule().named("sandbox-"), true),
            (rule().named("x"), false),
            (Rule::new(Effect::Watch(WatchFault::Stall)), false),
        ];
        for (rule, expected) in cases {
            assert_eq!(hits(rule.clone(), 1), [expected], "{rule:?}");
        }
    }

    #[test]
    fn timings_count_matching_calls_only() {
        assert_eq!(hits(Rule::new(Effect::Silent).nth(2), 3), [false, true, false]);
        assert_eq!(hits(Rule::new(Effect::Silent).times(2), 3), [true, true, false]);
        let share = Rule::new(Effect::Silent).share(0.3, 7);
        let struck = hits(share.clone(), 1000);
        assert_eq!(struck, hits(share, 1000));
        let count = struck.iter().filter(|hit| **hit).count();
        assert!((230..370).contains(&count), "{count}");
    }

    #[test]
    fn delays_add_up_and_the_first_other_effect_wins() {
        let mut table = FaultTable::default();
        table.add(Rule::new(Effect::Delay(Duration::from_secs(1))));
        let dropped = table.add(Rule::new(Effect::DropAnswer));
        table.add(Rule::new(Effect::Delay(Duration::from_secs(2))));
        table.add(Rule::new(Effect::Silent));
        let strike = table.strike(CREATE);
        assert_eq!(strike, Strike { delay: Duration::from_secs(3), effect: Some(Effect::DropAnswer) });
        table.remove(dropped);
        assert_eq!(table.strike(CREATE).effect, Some(Effect::Silent));
        table.clear();
        assert_eq!(table.strike(CREATE), Strike::default());
    }
}
