use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lifecycle::lifetime::OWNER_MAX;
use proptest::prelude::*;

use super::*;
use crate::{manifest, names};

fn annotated(pairs: &[(&str, &str)]) -> ObjectMeta {
    let annotations = pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Guards the exact texts of the annotations.
#[test]
fn limits_are_written_in_words() {
    let annotations = LifetimePatch {
        limits: Limits { ttl: Some(Duration::from_secs(9000)), idle_timeout: Some(Duration::from_secs(900)) }
            .into(),
        last_activity: Some(time("2026-11-21T04:20:13Z")),
        owner: Owner::parse("gateway-1"),
    };
    let lines: Vec<_> = texts(&annotations).iter().map(|(key, text)| format!("{key}: {text:?}")).collect();
    assert_eq!(
        lines,
        [
            "sandbox-provisioner/idle-timeout: Some(\"15m\")",
            "sandbox-provisioner/last-activity: Some(\"2026-11-21T04:20:13Z\")",
            "sandbox-provisioner/owner: Some(\"gateway-1\")",
            "sandbox-provisioner/ttl: Some(\"2h 30m\")",
        ]
    );
}

/// Guards that a change leaves out the other annotations, so that an operator's edit of them stays.
#[test]
fn a_change_names_only_what_it_changes() {
    let limits = LimitsPatch { ttl: Some(None), idle_timeout: None };
    assert_eq!(
        texts(&LifetimePatch { limits, ..LifetimePatch::default() }),
        [(LAST_ACTIVITY, None), (TTL, None)].into()
    );
    assert_eq!(texts(&LifetimePatch::default()), [(LAST_ACTIVITY, None)].into());
}

/// Guards that an invalid annotation never causes an early reap, and that the Pod is still read.
#[test]
fn what_cannot_be_read_is_absent() {
    for odd in ["", "soon", "0s", "-5m", "15", "1ms", "99999999999999999999y"] {
        assert_eq!(read(&annotated(&[(TTL, odd), (IDLE_TIMEOUT, odd)])).limits, Limits::default(), "{odd:?}");
    }
    assert_eq!(read(&annotated(&[(TTL, "50years")])).limits.ttl, Some(LIMIT_MAX));
    assert_eq!(read(&annotated(&[(LAST_ACTIVITY, "yesterday")])).last_activity, None);
    let long = "a".repeat(OWNER_MAX + 1);
    for odd in ["", "two words", "ü", long.as_str()] {
        assert_eq!(read(&annotated(&[(OWNER, odd)])).owner, None, "{odd:?}");
    }
}

/// Guards that the last activity of a Pod created with an idle timeout is its creation, until a later one is recorded.
/// For DeerFlow's Pods, and for Pods created without an idle timeout, it is unknown: a default timeout set later must
/// not treat them as idle since their creation.
#[test]
fn a_new_pod_was_active_at_its_creation() {
    let created = time("2026-11-21T04:20:13Z");
    let id = lifecycle::ids::SandboxId::parse("a").unwrap();
    let ours = |pairs: &[(&str, &str)]| ObjectMeta {
        labels: Some(names::labels(&id)),
        creation_timestamp: Some(Time(created)),
        ..annotated(pairs)
    };
    let idle = (IDLE_TIMEOUT, "15m");
    assert_eq!(read(&ours(&[idle])).last_activity, Some(created));
    assert_eq!(read(&ours(&[])).last_activity, None);
    assert_eq!(read(&ours(&[(TTL, "15m")])).last_activity, None);

    let written = "2026-11-21T05:00:00.5Z";
    assert_eq!(read(&ours(&[idle, (LAST_ACTIVITY, written)])).last_activity, Some(time(written)));
    assert_eq!(
        read(&ours(&[idle, (LAST_ACTIVITY, "yesterday")])).last_activity,
        None,
        "it is not known when"
    );

    let mut originals = ours(&[idle]);
    originals.labels.as_mut().unwrap().remove(names::MANAGED_BY);
    assert_eq!(read(&originals).last_activity, None);
}

/// Guards that a new Pod has the annotations that the request asks for and no others, and that its Service has none.
#[test]
fn manifests_carry_what_was_asked() {
    let template = manifest::Template::default();
    let mut request = CreateRequest::new(lifecycle::ids::SandboxId::parse("a").unwrap());
    let keys = |request: &CreateRequest| {
        let made = manifest::build(&template, request).unwrap();
        let of = |annotations: Option<BTreeMap<String, String>>| {
            let keys = annotations.unwrap_or_default().into_keys();
            keys.filter(|key| KEYS.contains(&key.as_str())).collect::<Vec<_>>()
        };
        assert!(of(made.service.metadata.annotations).is_empty());
        (of(made.pod.metadata.annotations.clone()), made.pod.metadata)
    };
    assert!(keys(&request).0.is_empty());
    request.limits.idle_timeout = Some(Duration::from_secs(900));
    request.owner = Owner::parse("gateway-1");
    let (written, metadata) = keys(&request);
    assert_eq!(written, [IDLE_TIMEOUT, OWNER]);
    assert_eq!(
        read(&metadata),
        LifetimeAnnotations { limits: request.limits, last_activity: None, owner: request.owner }
    );
}

prop_compose! {
    fn limits()(
        seconds in LIMIT_MIN.as_secs()..LIMIT_MAX.as_secs(), nanos in 0..1_000_000_000_u32,
    ) -> Duration {
        Duration::new(seconds, nanos)
    }
}

prop_compose! {
    fn any_annotations()(
        ttl in proptest::option::of(limits()),
        idle_timeout in proptest::option::of(limits()),
        active in proptest::option::of((0..4_000_000_000_i64, 0..1_000_000_000_i32)),
        owner in proptest::option::of("[!-~]{1,128}"),
    ) -> LifetimeAnnotations {
        LifetimeAnnotations {
            limits: Limits { ttl, idle_timeout },
            last_activity: active.map(|(seconds, nanos)| Timestamp::new(seconds, nanos).unwrap()),
            owner: owner.and_then(|text| Owner::parse(&text)),
        }
    }
}

proptest! {
    /// Guards that written annotations are read back, with nanoseconds.
    #[test]
    fn what_is_written_is_read(annotations in any_annotations()) {
        let patch = LifetimePatch {
            limits: annotations.limits.into(),
            last_activity: annotations.last_activity,
            owner: annotations.owner.clone(),
        };
        let written = texts(&patch).into_iter().filter_map(|(k, t)| Some((k.to_owned(), t?))).collect();
        let metadata = ObjectMeta { annotations: Some(written), ..ObjectMeta::default() };
        prop_assert_eq!(read(&metadata), annotations);
    }

    /// Guards that any text can be read, and that a limit is always within its bounds.
    #[test]
    fn any_text_is_read_within_bounds(text in "\\PC{0,40}|[0-9]{1,22} ?[a-z]{1,6}") {
        let annotations = read(&annotated(&KEYS.map(|key| (key, text.as_str()))));
        for limit in [annotations.limits.ttl, annotations.limits.idle_timeout].into_iter().flatten() {
            prop_assert!((LIMIT_MIN..=LIMIT_MAX).contains(&limit));
        }
    }
}
