//! Tests of the effects of an answered POST: the owner, the last activity, and what is written of both.

use super::fixture::*;

const HOUR: Duration = Duration::from_secs(3600);

fn owner(name: &str) -> Owner {
    Owner::parse(name).unwrap()
}

fn post_by(fixture: &mut Fixture, name: &str, waiter: u32) -> Vec<Action<u32>> {
    let request = CreateRequest { owner: Some(owner(name)), ..CreateRequest::new(fixture.id.clone()) };
    fixture.request(request, waiter)
}

fn marked(last_activity: Timestamp) -> ObservedPod {
    let mut pod = pod("p");
    pod.annotations = LifetimeAnnotations {
        limits: Limits { ttl: None, idle_timeout: Some(HOUR) },
        last_activity: Some(last_activity),
        owner: Some(owner("one")),
    };
    pod
}

/// Guards that the caller for whom an orphan is completed becomes its owner, and that this is written before the
/// answer.
#[test]
fn what_is_completed_belongs_to_whom_it_is_given() {
    let mut fixture = Fixture::with(Some(marked(Timestamp::UNIX_EPOCH)), None);
    fixture.feed(Event::Resync);
    let actions = post_by(&mut fixture, "two", 1);
    assert!(
        matches!(&actions[..], [Action::Create { pod, service, .. }] if (pod.is_some(), service.is_some()) == (false, true))
    );
    fixture.seen.service = Some(service("s"));
    let actions = fixture.created(None, DONE);
    let [Action::Write { annotations, .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(annotations.owner, Some(owner("two")));
    let mut pod = marked(Timestamp::UNIX_EPOCH);
    pod.annotations = annotations.clone().applied_to(&pod.annotations);
    fixture.seen.pod = Some(pod);
    let actions = fixture.feed(Event::Written(Outcome::Done(())));
    assert!(matches!(actions[..], [Action::Answer(1, Ok(Reply::Made(_))), ..]), "{actions:?}");
}

/// Guards that the outcome of a required write decides the answer: a Pod that is gone is not returned although the
/// view shows it, but a sandbox that cannot be written to is.
#[test]
fn what_has_gone_unseen_is_not_given() {
    for (outcome, is_given) in [
        (refused(ClusterErrorKind::NotFound), false),
        (refused(ClusterErrorKind::Conflict), false),
        (refused(ClusterErrorKind::Forbidden), true),
        (unknown(), true),
        (DONE, true),
    ] {
        let mut fixture = Fixture::with(Some(marked(Timestamp::UNIX_EPOCH)), Some(service("s")));
        fixture.feed(Event::Resync);
        let touch = || Event::Touch { waiter: Some(1), owner: None };
        let post = fixture.post_event(CreateRequest::new(SandboxId::parse("a").unwrap()), 1);
        for event in [touch(), post] {
            fixture.after(HOUR / 2);
            let actions = fixture.feed(event);
            assert!(matches!(actions[..], [Action::Write { .. }]), "{actions:?}");
            let actions = fixture.feed(Event::Written(outcome.clone().unwrap()));
            let answer = matches!(actions[0], Action::Answer(1, Ok(Reply::Made(_))));
            assert_eq!(answer, is_given, "{outcome:?}: {actions:?}");
        }
    }
}

/// Guards that the last owner among waiting callers becomes the owner.
#[test]
fn the_last_of_those_who_wait_owns_it() {
    let mut fixture = Fixture::with(Some(dying("old")), None);
    post_by(&mut fixture, "one", 1);
    post_by(&mut fixture, "two", 2);
    fixture.seen = Observed::default();
    assert!(matches!(fixture.feed(Event::Resync)[..], [Action::Create { .. }]));
    fixture.seen = Observed { pod: Some(marked(Timestamp::UNIX_EPOCH)), service: Some(service("s")) };
    let actions = fixture.created(DONE, DONE);
    let written = actions.iter().find_map(|action| match action {
        Action::Write { annotations, .. } => annotations.owner.clone(),
        _ => None,
    });
    assert_eq!(written, Some(owner("two")));
}

/// Guards that the owner of a failed POST does not become the owner of a later sandbox.
#[test]
fn a_claim_ends_with_its_order() {
    let mut fixture = Fixture::new();
    post_by(&mut fixture, "one", 1);
    fixture.created(refused(ClusterErrorKind::Forbidden), refused(ClusterErrorKind::Forbidden));
    fixture.post(2);
    fixture.seen = Observed { pod: Some(pod("p")), service: Some(service("s")) };
    let actions = fixture.created(DONE, DONE);
    assert_eq!(actions, [made(2)]);
}

/// Guards that a new sandbox without an annotation is returned first and written afterwards: without an annotation
/// another process assumes that the last use was now.
#[test]
fn what_is_new_is_given_before_it_is_marked() {
    let mut fixture = Fixture::new();
    fixture.policy.default = Limits { ttl: None, idle_timeout: Some(HOUR) };
    fixture.post(1);
    fixture.seen = Observed { pod: Some(pod("p")), service: Some(service("s")) };
    let actions = fixture.created(DONE, DONE);
    assert!(matches!(actions[..], [Action::Answer(1, Ok(_)), Action::Write { .. }]), "{actions:?}");
}

/// Guards that the actor stops after a touch of a sandbox that does not exist.
#[test]
fn a_touch_of_nothing_retires() {
    let mut fixture = Fixture::new();
    let actions = fixture.feed(Event::Touch { waiter: Some(1), owner: None });
    assert_eq!(actions, [gone(1), Action::Stop]);
}

/// Guards that a change of the limits of an incomplete sandbox is not acknowledged, because they cannot be kept.
#[test]
fn half_a_sandbox_keeps_no_limits() {
    let mut fixture = Fixture::with(None, Some(service("s")));
    fixture.feed(Event::Resync);
    let change = LimitsPatch { ttl: Some(Some(HOUR)), idle_timeout: None };
    let actions = fixture.feed(Event::Change { change, waiter: 1, owner: None });
    assert!(actions.contains(&gone(1)), "{actions:?}");
}
