//! Requests that change limits, resources or the owner, and their writes.

use super::*;

/// Guards that an owner is protected although its name could not be written.
#[tokio::test(start_paused = true)]
async fn an_owner_that_cannot_be_written() {
    let owner = |name: &str| Some(Owner::parse(name).unwrap());
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(request("a")).await.unwrap();
    fake.refuse("write_annotations a", ClusterErrorKind::Forbidden);
    fake.sandboxes.touch(id("a"), owner("one")).await.unwrap().unwrap();
    assert!(fake.sandboxes.delete(id("a"), owner("two")).await.is_err());
    fake.allow("write_annotations a");
    sleep(seconds(70)).await;
    let fake = fake.restart(Policy::default(), loose()).await;
    assert!(fake.sandboxes.delete(id("a"), owner("two")).await.is_err(), "a restart begins a new lease");
    sleep(seconds(301)).await;
    fake.sandboxes.delete(id("a"), owner("two")).await.unwrap();
}

/// Guards that the DELETE of another owner is refused until the lease ends.
#[tokio::test(start_paused = true)]
async fn a_lease_keeps_others_off() {
    let owner = |name: &str| Some(Owner::parse(name).unwrap());
    let fake = start(Policy { owner_lease: seconds(60), ..Policy::default() }).await;
    let mine = CreateRequest { owner: owner("one"), ..request("a") };
    fake.sandboxes.create(mine).await.unwrap();
    let refused = fake.sandboxes.delete(id("a"), owner("two")).await;
    assert!(matches!(refused, Err(SandboxError::Owned { .. })), "{refused:?}");
    sleep(seconds(50)).await;
    fake.sandboxes.touch(id("a"), owner("one")).await.unwrap().unwrap();
    sleep(seconds(50)).await;
    assert!(fake.sandboxes.delete(id("a"), owner("two")).await.is_err(), "the touch has renewed it");
    sleep(seconds(11)).await;
    fake.sandboxes.delete(id("a"), owner("two")).await.unwrap();

    fake.sandboxes.create(CreateRequest { owner: owner("one"), ..request("b") }).await.unwrap();
    fake.sandboxes.delete(id("b"), None).await.expect("who gives no name is not asked");
    fake.sandboxes.create(CreateRequest { owner: owner("one"), ..request("c") }).await.unwrap();
    fake.sandboxes.delete(id("c"), owner("one")).await.expect("its own");
}

/// Guards that thousands of touches cost one write for each tenth of the idle timeout, and nothing else.
#[tokio::test(start_paused = true)]
async fn touches_are_cheap() {
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", None, Some(100))).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < seconds(100) {
        for _ in 0..20 {
            fake.sandboxes.touch(id("a"), None).await.unwrap().unwrap();
        }
        sleep(seconds(1)).await;
    }
    assert!((9..=10).contains(&fake.count("write_annotations")), "{}", fake.count("write_annotations"));
}

/// Guards a change of limits and resources at once: both are checked before anything is written, a refused resize leaves the
/// limits, and a failure after the resize says that it is done.
#[tokio::test(start_paused = true)]
async fn limits_and_resources_change_together() {
    let max = Limits { ttl: Some(seconds(600)), idle_timeout: None };
    let fake = start(Policy { max, ..Policy::default() }).await;
    fake.sandboxes.create(with("a", Some(60), None)).await.unwrap();
    let cpu = |cpu: &str| Resources { cpu: Some(cpu.to_owned()), ..Resources::NONE };
    let ttl = |ttl| LimitsPatch { ttl: Some(Some(seconds(ttl))), idle_timeout: None };
    let both = |ttl_seconds, resources| {
        fake.sandboxes.change(id("a"), Change { limits: ttl(ttl_seconds), resources }, None)
    };
    let calls = fake.calls().len();
    let beyond = Resources { ephemeral_storage: Some("1Gi".to_owned()), ..Resources::NONE };
    for refused in [both(601, cpu("2")).await, both(120, beyond).await] {
        assert!(matches!(refused, Err(SandboxError::BadRequest(_))), "{refused:?}");
    }
    assert_eq!(fake.calls().len(), calls);

    let changed = both(120, cpu("2")).await.unwrap().unwrap();
    assert_eq!(changed.spec.resources.cpu.as_deref(), Some("2"));
    let names: Vec<_> = fake.calls().split_off(calls);
    assert_eq!(names[0], "resize a 2");
    assert!(names[1].starts_with("write_annotations a"), "{names:?}");

    fake.delay("write_annotations a", seconds(30));
    let late = both(180, cpu("3")).await.unwrap_err();
    let SandboxError::AfterResize(error) = &late else { panic!("{late:?}") };
    assert!(matches!(**error, SandboxError::TimedOut { operation: Operation::ChangeLimits, .. }), "{late}");
    assert!(late.to_string().starts_with("the sandbox was resized, but its limits were not changed: "));
}

/// Guards that resizes of one sandbox go through its actor: they queue with each other and with a DELETE, one refused by the
/// profile makes no call, and a missing sandbox starts no actor.
#[tokio::test(start_paused = true)]
async fn resizes_of_one_sandbox_queue() {
    let fake = start(Policy::default()).await;
    fake.sandboxes.create(with("a", None, None)).await.unwrap();
    let cpu = |cpu: &str| Resources { cpu: Some(cpu.to_owned()), ..Resources::NONE };
    let calls = fake.calls().len();
    let refused = Resources { ephemeral_storage: Some("1Gi".to_owned()), ..Resources::NONE };
    let refused = fake.sandboxes.change(id("a"), refused.into(), None).await;
    assert_eq!(refused, Err(SandboxError::BadRequest("beyond the bounds".to_owned())));
    assert_eq!(fake.sandboxes.change(id("none"), cpu("1").into(), None).await, Ok(None));
    assert_eq!(fake.calls().len(), calls);

    fake.delay("resize a 2", seconds(2));
    let resize = |amount| fake.sandboxes.change(id("a"), cpu(amount).into(), None);
    let (first, second) = tokio::join!(resize("2"), async {
        sleep(seconds(1)).await;
        resize("3").await
    });
    assert_eq!(first.unwrap().unwrap().spec.resources.cpu.as_deref(), Some("2"));
    assert_eq!(second.unwrap().unwrap().spec.resources.cpu.as_deref(), Some("3"));
    let (resized, deleted) = tokio::join!(resize("2"), async {
        sleep(seconds(1)).await;
        fake.sandboxes.delete(id("a"), None).await
    });
    assert!(resized.unwrap().is_some());
    assert_eq!(deleted, Ok(()));
    let order: Vec<_> = fake.calls().into_iter().skip(calls).collect();
    assert_eq!(order[..3], ["resize a 2", "resize a 3", "resize a 2"]);
    assert!(order[3].starts_with("delete_pod a"), "{order:?}");
}
