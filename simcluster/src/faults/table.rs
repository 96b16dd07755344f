//! The rules in force, and the effect on each call. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rule::{Effect, Rule, Timing};
use crate::calls::Verb;
use crate::random::Random;

/// Names a rule, to take it away again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(pub(crate) u64);

/// A rule in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActiveRule {
    /// Its number.
    pub id: RuleId,
    /// The rule.
    pub rule: Rule,
    /// How many calls matched it, whether it applied to them or not.
    pub matched: u64,
}

/// The faults of one call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CallFaults {
    pub delay: Duration,
    /// The first effect, other than a delay, of a rule that applies.
    pub effect: Option<Effect>,
    /// The rule with that effect.
    pub rule: Option<RuleId>,
}

/// The properties of a call that rules match.
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
    rule: ActiveRule,
    random: Random,
}

// === impl FaultTable ===

impl FaultTable {
    pub fn add(&mut self, rule: Rule) -> RuleId {
        let id = RuleId(self.next);
        self.next += 1;
        let seed = if let Timing::Share { seed, .. } = rule.timing { seed } else { 0 };
        self.rules.push(Active { rule: ActiveRule { id, rule, matched: 0 }, random: Random::seeded(seed) });
        id
    }

    /// False if there is no such rule.
    pub fn remove(&mut self, id: RuleId) -> bool {
        let before = self.rules.len();
        self.rules.retain(|active| active.rule.id != id);
        self.rules.len() < before
    }

    /// The rules in force, with how many calls each has matched.
    pub fn list(&self) -> Vec<ActiveRule> {
        self.rules.iter().map(|active| active.rule.clone()).collect()
    }

    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// Counts the call with every rule that matches it, and returns its faults.
    pub fn apply(&mut self, subject: Subject<'_>) -> CallFaults {
        let mut faults = CallFaults::default();
        for active in &mut self.rules {
            if !active.rule.rule.when.matches(subject) || !active.applies() {
                continue;
            }
            match &active.rule.rule.effect {
                Effect::Delay(more) => faults.delay += *more,
                Effect::Watch(_) if subject.verb != Verb::Watch => {}
                Effect::StaleRead if subject.verb.writes() => {}
                Effect::Mutate(_) if !matches!(subject.verb, Verb::Create | Verb::Patch) => {}
                effect if faults.effect.is_none() => {
                    faults.effect = Some(effect.clone());
                    faults.rule = Some(active.rule.id);
                }
                _ => {}
            }
        }
        faults
    }
}

// === impl Active ===

impl Active {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are plenty for a share")]
    fn applies(&mut self) -> bool {
        self.rule.matched += 1;
        let seen = self.rule.matched;
        match self.rule.rule.timing {
            Timing::Always => true,
            Timing::Nth(n) => seen == n,
            Timing::From(n) => seen >= n,
            Timing::Next(k) => seen <= k,
            Timing::Share { share, .. } => ((self.random.next() >> 11) as f64 / (1_u64 << 53) as f64) < share,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::WatchFault;
    use super::*;

    const CREATE: Subject<'_> =
        Subject { verb: Verb::Create, resource: "pods", namespace: Some("ns"), name: Some("sandbox-a") };

    fn hits(rule: Rule, calls: usize) -> Vec<bool> {
        let mut table = FaultTable::default();
        table.add(rule);
        (0..calls).map(|_| table.apply(CREATE).effect.is_some()).collect()
    }

    #[test]
    fn a_rule_applies_only_to_the_calls_it_names() {
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
            (Rule::new(Effect::StaleRead), false),
        ];
        for (rule, expected) in cases {
            assert_eq!(hits(rule.clone(), 1), [expected], "{rule:?}");
        }
    }

    #[test]
    fn timings_count_matching_calls_only() {
        assert_eq!(hits(Rule::new(Effect::Silent).nth(2), 3), [false, true, false]);
        assert_eq!(hits(Rule::new(Effect::Silent).from_nth(2), 3), [false, true, true]);
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
        let faults = table.apply(CREATE);
        assert_eq!((faults.delay, faults.effect), (Duration::from_secs(3), Some(Effect::DropAnswer)));
        assert_eq!(faults.rule, Some(dropped));
        table.remove(dropped);
        assert_eq!(table.apply(CREATE).effect, Some(Effect::Silent));
        table.clear();
        assert_eq!(table.apply(CREATE), CallFaults::default());
    }
}
