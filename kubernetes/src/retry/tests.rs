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

/// Nothing that needs somebody else is repeated, and a create is never repeated blindly.
#[test]
fn only_what_passes_soon_is_repeated() {
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

/// What the server asks for is waited for, and one that asks for more than there is time gets no second call.
#[test]
fn the_servers_wish_is_honoured_within_the_deadline() {
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
    /// However a storm goes, an operation makes at most three calls and ends within its deadline.
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
            // A call never outlives the deadline: it is given what is left.
            elapsed = (elapsed + Duration::from_millis(took)).min(deadline);
            let certainty = if certain { Certainty::NotDone } else { Certainty::Unknown };
            let failed = failed(KINDS[kind], certainty, asked.map(Duration::from_secs));
            match decide(Verb::Delete, &failed, Progress { tries, elapsed, deadline, jitter }) {
                Next::GiveUp => break,
                Next::TryAfter(wait) => {
                    prop_assert!(wait >= failed.fault.retry_after.unwrap_or(FIRST_WAIT));
                    elapsed += wait;
                    prop_assert!(elapsed + ROOM_FOR_A_TRY <= deadline);
                }
            }
        }
        prop_assert!(tries <= TRIES_MAX);
    }
}

/// Chance is a number from 0 to 1, and not always the same.
#[test]
fn chance_is_a_fraction() {
    let drawn: Vec<f64> = (0..8).map(|_| chance()).collect();
    assert!(drawn.iter().all(|c| (0.0..=1.0).contains(c)), "{drawn:?}");
    assert!(drawn.iter().any(|c| (c - drawn[0]).abs() > 0.0), "{drawn:?}");
}
