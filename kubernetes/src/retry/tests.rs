use lifecycle::error::ClusterError;
use proptest::prelude::*;

use super::*;

const KINDS: [ClusterErrorKind; 17] = [
    ClusterErrorKind::AlreadyExists,
    ClusterErrorKind::Terminating,
    ClusterErrorKind::Conflict,
    ClusterErrorKind::NotFound,
    ClusterErrorKind::NamespaceMissing,
    ClusterErrorKind::NamespaceTerminating,
    ClusterErrorKind::QuotaExceeded,
    ClusterErrorKind::NodePortsExhausted,
    ClusterErrorKind::Forbidden,
    ClusterErrorKind::Unauthorized,
    ClusterErrorKind::Invalid,
    ClusterErrorKind::Denied,
    ClusterErrorKind::TooManyRequests,
    ClusterErrorKind::Unreachable,
    ClusterErrorKind::ServerError,
    ClusterErrorKind::TimedOut,
    ClusterErrorKind::Other,
];

fn failed(kind: ClusterErrorKind, certainty: Certainty, retry_after: Option<Duration>) -> ClassifiedError {
    ClassifiedError { fault: ClusterError::new(kind, "").with_retry_after(retry_after), certainty }
}

fn first() -> Progress {
    Progress { tries: 1, elapsed: Duration::ZERO, deadline: Duration::from_secs(8), jitter: 0.0 }
}

/// Guards that only errors that pass within a call are retried, and that a create with an unknown outcome is not.
#[test]
fn only_errors_that_pass_soon_are_retried() {
    let again = |verb, kind, certainty| decide(verb, &failed(kind, certainty, None), first()) != Next::GiveUp;
    let passing = [
        ClusterErrorKind::Conflict,
        ClusterErrorKind::NamespaceMissing,
        ClusterErrorKind::TooManyRequests,
        ClusterErrorKind::Unreachable,
        ClusterErrorKind::ServerError,
        ClusterErrorKind::TimedOut,
    ];
    for kind in KINDS {
        for verb in [Verb::Create, Verb::Delete, Verb::Patch, Verb::Get] {
            assert_eq!(again(verb, kind, Certainty::NotDone), passing.contains(&kind), "{verb:?} {kind:?}");
        }
        assert!(!again(Verb::Create, kind, Certainty::Unknown), "{kind:?}");
        for verb in [Verb::Delete, Verb::Patch] {
            assert_eq!(again(verb, kind, Certainty::Unknown), passing.contains(&kind), "{verb:?} {kind:?}");
        }
    }
}

/// Guards that `Retry-After` is respected, and that there is no second call if it exceeds the deadline.
#[test]
fn retry_after_is_respected_within_the_deadline() {
    let asked = |seconds| {
        failed(ClusterErrorKind::TooManyRequests, Certainty::NotDone, Some(Duration::from_secs(seconds)))
    };
    assert_eq!(decide(Verb::Create, &asked(1), first()), Next::TryAfter(Duration::from_secs(1)));
    assert_eq!(decide(Verb::Create, &asked(60), first()), Next::GiveUp);
    let late = Progress { elapsed: Duration::from_millis(7_400), ..first() };
    assert_eq!(decide(Verb::Create, &asked(1), late), Next::GiveUp);
}

#[test]
fn waits_double() {
    let unreachable = failed(ClusterErrorKind::Unreachable, Certainty::NotDone, None);
    let second = Progress { tries: 2, ..first() };
    assert_eq!(decide(Verb::Get, &unreachable, first()), Next::TryAfter(FIRST_WAIT));
    assert_eq!(decide(Verb::Get, &unreachable, second), Next::TryAfter(FIRST_WAIT * 2));
}

proptest! {
    /// Guards that an operation makes at most three calls and ends within its deadline, whatever the errors are.
    #[test]
    fn a_storm_is_survived_within_bounds(
        faults in prop::collection::vec(
            (0..KINDS.len(), any::<bool>(), prop::option::of(0_u64..100), 0_u64..9_000, 0.0..=1.0_f64), 10,
        ),
        deadline in 0_u64..20_000,
    ) {
        let deadline = Duration::from_millis(deadline);
        let (mut elapsed, mut tries) = (Duration::ZERO, 0);
        for (kind, certain, asked, took, jitter) in faults {
            tries += 1;
            // A call ends at the deadline.
            elapsed = (elapsed + Duration::from_millis(took)).min(deadline);
            let certainty = if certain { Certainty::NotDone } else { Certainty::Unknown };
            let failed = failed(KINDS[kind], certainty, asked.map(Duration::from_secs));
            match decide(Verb::Delete, &failed, Progress { tries, elapsed, deadline, jitter }) {
                Next::GiveUp => break,
                Next::TryAfter(wait) => {
                    prop_assert!(wait >= failed.fault.retry_after.unwrap_or(FIRST_WAIT));
                    elapsed += wait;
                    prop_assert!(elapsed + TRY_MIN <= deadline);
                }
            }
        }
        prop_assert!(tries <= TRIES_MAX);
    }
}

/// Guards that the jitter is from 0 to 1, and not constant.
#[test]
fn jitter_is_a_fraction() {
    let drawn: Vec<f64> = (0..8).map(|_| jitter()).collect();
    assert!(drawn.iter().all(|c| (0.0..=1.0).contains(c)), "{drawn:?}");
    assert!(drawn.iter().any(|c| (c - drawn[0]).abs() > 0.0), "{drawn:?}");
}
