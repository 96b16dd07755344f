//! The checks of the clusters' objects.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use testkit::{Answer, NAMESPACE};
use tokio::time::Instant;

use super::{Oracle, RETURN, Truth, home, incomplete, listed};
use crate::clusters::{
    clients::{IDS, profile_of},
    world::{NAMES, World},
};

/// How long two URLs of a sandbox may live after their clusters have returned: until the comparison of the clusters, and a
/// deletion.
const TWINS_MAX: Duration = Duration::from_secs(60);

impl Oracle {
    /// Checks that two URLs that callers have do not both live for long while their clusters are well (invariant 1).
    pub fn check_urls(&mut self, world: &World) {
        let now = Instant::now();
        let is_settled =
            world.daemon.is_up() && self.started.is_some_and(|started| started.elapsed() > RETURN);
        for (id, recorded) in &mut self.sandboxes {
            let live: Vec<_> = recorded.urls.iter().filter(|home| is_live(world, id, home)).collect();
            let is_well = is_settled && live.iter().all(|(n, _)| !self.faults[*n].is_on());
            recorded.twins_since = (live.len() > 1 && is_well).then(|| recorded.twins_since.unwrap_or(now));
            let long = recorded.twins_since.map(|since| now - since).unwrap_or_default();
            assert!(long < TWINS_MAX, "invariant 1: two URLs of {id} live for {long:?}: {live:?}");
        }
    }

    /// Checks after a create that the workspace is on the cluster of the sandbox alone. One on a cluster that is lost does not
    /// count.
    pub(super) fn check_workspace(&mut self, world: &World, id: &str, answer: Option<&Answer>) {
        let is_lost = self.faults.iter().any(super::Fault::is_long);
        let recorded = self.sandboxes.get_mut(id).unwrap();
        recorded.has_lost_workspace |= is_lost;
        if let Some(answer) = answer.filter(|answer| answer.status == 200 && !recorded.has_lost_workspace) {
            let (n, url) = home(&answer.body);
            let others = (0..NAMES.len()).filter(|other| *other != n && world.has_claim(*other, id));
            let others: Vec<_> = others.map(|other| NAMES[other]).collect();
            assert!(others.is_empty(), "{id} was given at {url}, and its workspace is on {others:?}");
        }
    }

    /// Checks that no workspace is on two clusters.
    fn check_workspaces(&self, world: &World) {
        for id in IDS.into_iter().filter(|id| profile_of(id).is_some()) {
            let homes: Vec<_> = (0..NAMES.len()).filter(|n| world.has_claim(*n, id)).collect();
            let is_excused = self.sandboxes.get(id).is_some_and(|recorded| recorded.has_lost_workspace);
            assert!(homes.len() <= 1 || is_excused, "the workspace of {id} is on {homes:?}");
        }
    }

    /// Checks the state a while after all faults have ended: each sandbox is whole and on one cluster, the list has exactly
    /// those, and none is lost or back.
    pub fn check_final_state(&mut self, world: &World, list: &Value) {
        assert!(incomplete(list).is_empty(), "{list}");
        self.check_workspaces(world);
        let listed = listed(list);
        let mut found = BTreeMap::new();
        for (n, cluster) in NAMES.iter().enumerate() {
            let names = |resource: &str| {
                let of = world.objects(n, resource).into_iter();
                of.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            let services = names("services").into_iter();
            let services: Vec<_> =
                services.filter_map(|name| Some(name.strip_suffix("-svc")?.to_owned())).collect();
            let pods = names("pods");
            assert_eq!(pods, services, "orphans on {cluster}");
            for pod in pods {
                let id = pod.strip_prefix("sandbox-").unwrap().to_owned();
                let other = found.insert(id.clone(), n);
                assert_eq!(other, None, "{id} is on {cluster} too");
            }
        }
        let of_list: BTreeMap<_, _> = listed.iter().map(|(id, (n, _))| (id.clone(), *n)).collect();
        assert_eq!(of_list, found, "the list has the sandboxes of the clusters");
        for (id, recorded) in &mut self.sandboxes {
            match (&mut recorded.certain, listed.get(id)) {
                (Some(Truth::There(homes)), Some(home)) => homes.check(id, home.clone()),
                (Some(Truth::There(homes)), None) => panic!("{id} is lost: {homes:?}"),
                (Some(Truth::Gone), Some(home)) => panic!("{id} is back on {home:?}"),
                (Some(Truth::Gone) | None, _) => {}
            }
        }
    }
}

/// Checks that both objects of a sandbox that was given to a caller exist.
pub(super) fn check_pair(world: &World, id: &str, (n, url): &(usize, String)) {
    let object = |resource, name: String| world.clusters[*n].object(resource, NAMESPACE, &name);
    let pod = object("pods", format!("sandbox-{id}"));
    assert!(pod.is_some(), "{id} was given at {url} without a Pod");
    let service = object("services", format!("sandbox-{id}-svc"));
    let service = service.unwrap_or_else(|| panic!("{id} was given at {url} without a Service"));
    let port = service["spec"]["ports"][0]["nodePort"].to_string();
    assert!(url.ends_with(&format!("://{}.example:{port}", NAMES[*n])), "{id} was given {url}");
}

/// Returns whether both objects of a sandbox exist behind this URL, and none is being deleted.
pub(super) fn is_live(world: &World, id: &str, (n, url): &(usize, String)) -> bool {
    let object = |resource, name: String| {
        let object = world.clusters[*n].object(resource, NAMESPACE, &name);
        object.filter(|object| object["metadata"]["deletionTimestamp"].is_null())
    };
    let port = |service: Value| service["spec"]["ports"][0]["nodePort"].to_string();
    let service = object("services", format!("sandbox-{id}-svc"));
    let is_of_url = service.is_some_and(|service| url.ends_with(&format!(":{}", port(service))));
    is_of_url && object("pods", format!("sandbox-{id}")).is_some()
}
