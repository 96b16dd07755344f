//! A process that ends at each write of a spill-over, of a replacement and of a move, before and after its effect.

use std::time::Duration;

use fleet::backend::Backend;
use lifecycle::{error::ClusterErrorKind, ids::SandboxId, request::CreateRequest};
use tokio::time::Instant;

use crate::fake::{Death, LOSS, Mode, World, id_for, name, pass};

/// The most writes that a scenario can have.
const WRITES_MAX: u64 = 40;

/// Lets the world of each kill point run, with its name. `prepare` makes the world and the id, and `act` is what the
/// process does when it ends. Returns how many kill points there are.
async fn at_each_write(
    prepare: impl AsyncFn() -> (World, SandboxId),
    act: impl AsyncFn(&World, &SandboxId),
    check: impl AsyncFn(&mut World, &SandboxId, &str),
) -> u64 {
    let mut points = 0;
    for write in 1..=WRITES_MAX {
        for death in [Death::Before, Death::After] {
            let (mut world, id) = prepare().await;
            world.die_at(write, death);
            let has_died = tokio::select! {
                biased;
                () = world.died() => true,
                () = act(&world, &id) => false,
            };
            if !has_died {
                assert!(write > 1, "the scenario writes nothing");
                return points;
            }
            points += 1;
            world.restart().await;
            check(&mut world, &id, &format!("killed {death:?} write {write}")).await;
        }
    }
    panic!("the scenario does not end");
}

/// Asserts that a POST that is repeated leads to exactly one sandbox, which a GET shows, and that nothing else is left.
async fn assert_one(world: &World, id: &SandboxId, what: &str) {
    let mut made = world.create(id).await;
    // An orphan of the earlier process may be in the way until its grace is over.
    for _ in 0..20 {
        if made.is_ok() {
            break;
        }
        pass(5).await;
        made = world.create(id).await;
    }
    let made = made.unwrap_or_else(|error| panic!("{what}: {error}"));
    pass(3).await;
    assert_eq!(world.holders(id), [made.cluster.as_str()], "{what}");
    let shown = world.fleet().get(id).await.unwrap().unwrap();
    assert_eq!((&shown.pod, &shown.cluster), (&made.pod, &made.cluster), "{what}");
    pass(180).await;
    assert_eq!(world.holders(id).len(), 1, "{what}");
    world.assert_no_orphans(what);
}

/// Guards that a process that ends during a spill-over leaves no second sandbox: a later POST finds or makes exactly one.
#[tokio::test(start_paused = true)]
async fn a_spill_over_can_end_at_any_write() {
    let prepare = async || {
        let world = World::start().await;
        world.cluster("west").refuse("create_service", ClusterErrorKind::NodePortsExhausted);
        (world, id_for(&["west", "north"]))
    };
    let act = async |world: &World, id: &SandboxId| {
        assert_eq!(world.create(id).await.unwrap().cluster, name("north"));
    };
    let at_once = at_each_write(prepare, act, async |world, id, what| {
        pass(2).await;
        assert_one(world, id, what).await;
    })
    .await;
    let later = at_each_write(prepare, act, async |world, id, what| {
        pass(180).await;
        world.assert_no_orphans(what);
        assert!(world.holders(id).len() <= 1, "{what}");
        assert_one(world, id, what).await;
    })
    .await;
    assert_eq!((at_once, later), (8, 8), "Pod, undo, Pod and Service, each before and after its effect");
}

/// Guards that a process that ends while it replaces a lost sandbox, or while it deletes the twin after the return, leaves
/// exactly one sandbox in the end.
#[tokio::test(start_paused = true)]
async fn a_replacement_can_end_at_any_write() {
    let prepare = async || {
        let world = World::start().await;
        let id = id_for(&["west", "east"]);
        world.create(&id).await.unwrap();
        world.set_mode("west", Mode::Down);
        pass(LOSS.as_secs() + 5).await;
        (world, id)
    };
    let act = async |world: &World, id: &SandboxId| {
        assert_eq!(world.create(id).await.unwrap().cluster, name("east"));
        world.set_mode("west", Mode::Up);
        pass(60).await;
    };
    let points = at_each_write(prepare, act, async |world, id, what| {
        world.set_mode("west", Mode::Up);
        pass(180).await;
        assert_eq!(world.holders(id).len(), 1, "{what}");
        assert_one(world, id, what).await;
    })
    .await;
    assert_eq!(points, 8, "two creates and two deletes, each before and after its effect");
}

/// Guards the same for a process that stays away from the lost cluster after its restart: the replacement is found again.
#[tokio::test(start_paused = true)]
async fn a_replacement_is_found_again_while_the_cluster_is_away() {
    let prepare = async || {
        let world = World::start().await;
        let id = id_for(&["west", "east"]);
        world.create(&id).await.unwrap();
        world.set_mode("west", Mode::Down);
        pass(LOSS.as_secs() + 5).await;
        (world, id)
    };
    let act = async |world: &World, id: &SandboxId| {
        world.create(id).await.unwrap();
    };
    let points = at_each_write(prepare, act, async |world, id, what| {
        pass(LOSS.as_secs() + 5).await;
        let made = world.create(id).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        world.set_mode("west", Mode::Up);
        pass(180).await;
        assert_eq!(world.holders(id), [made.cluster.as_str()], "{what}");
        world.assert_no_orphans(what);
    })
    .await;
    assert_eq!(points, 4);
}

/// Guards that a process that ends during a move loses no sandbox and leaves no second one.
#[tokio::test(start_paused = true)]
async fn a_move_can_end_at_any_write() {
    let prepare = async || {
        let world = World::start().await;
        let id = id_for(&["west"]);
        world.create(&id).await.unwrap();
        (world, id)
    };
    let act = async |world: &World, id: &SandboxId| {
        let until = Instant::now() + Duration::from_secs(20);
        world.fleet().move_sandbox(id.clone(), &name("east"), until).await.unwrap();
        pass(5).await;
    };
    let points = at_each_write(prepare, act, async |world, id, what| {
        pass(2).await;
        assert!(world.fleet().get(id).await.unwrap().is_some(), "{what}: a GET shows it all the time");
        pass(180).await;
        assert_eq!(world.holders(id).len(), 1, "{what}");
        assert_one(world, id, what).await;
    })
    .await;
    assert_eq!(points, 8, "two creates and two deletes, each before and after its effect");
}

/// Guards that a move whose process has ended is undone if the new sandbox never becomes ready.
#[tokio::test(start_paused = true)]
async fn an_abandoned_move_is_undone() {
    let mut world = World::start().await;
    let id = id_for(&["west"]);
    let old = world.create(&id).await.unwrap();
    world.cluster("east").state().makes_unready = true;
    let until = Instant::now() + Duration::from_secs(20);
    world.fleet().move_sandbox(id.clone(), &name("east"), until).await.unwrap();
    world.restart().await;
    pass(600).await;
    assert_eq!(world.holders(&id), ["east", "west"]);
    assert_eq!(world.fleet().get(&id).await.unwrap().unwrap().pod, old.pod);
    pass(900).await;
    assert_eq!(world.holders(&id), ["west"]);
    assert_eq!(world.fleet().create(CreateRequest::new(id)).await.unwrap().pod, old.pod);
    world.assert_no_orphans("after the undo");
}
