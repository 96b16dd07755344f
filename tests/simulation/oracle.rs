//! What the clients were told, held against what the cluster holds.

use std::collections::HashMap;

use lifecycle::{failure::Failure, ids::SandboxId, seen::Status};
use serde_json::Value;
use simcluster::Cluster;

use super::world::NAMESPACE;

/// What is known of each sandbox from the answers alone.
#[derive(Default)]
pub struct Oracle {
    told: HashMap<SandboxId, Told>,
}

#[derive(Default)]
struct Told {
    /// How many creates and deletes were begun.
    begun: u64,
    /// How many of them are not answered.
    open: u64,
    /// What has to be true, where that can be told: the last answer, if nothing else was under way beside it
    /// or since.
    certain: Option<Truth>,
}

#[derive(Clone)]
enum Truth {
    /// It is there, under this URL.
    There(String),
    /// It is gone, or going.
    Gone,
}

/// A create or a delete that was begun.
pub struct Turn {
    number: u64,
    alone: bool,
}

impl Oracle {
    /// A create or a delete begins: until it is answered nothing is certain.
    pub fn begin(&mut self, id: &SandboxId) -> Turn {
        let told = self.told.entry(id.clone()).or_default();
        told.begun += 1;
        told.open += 1;
        told.certain = None;
        Turn { number: told.begun, alone: told.open == 1 }
    }

    /// A create was answered. Invariant 2: a 200 means that both exist, and that the URL is that sandbox's.
    pub fn created(
        &mut self,
        cluster: &Cluster,
        id: &SandboxId,
        turn: &Turn,
        answer: Result<Status, Failure>,
    ) {
        let certain = self.end(id, turn);
        if let (Ok(status), true) = (answer, certain) {
            let object = |resource, name: String| cluster.object(resource, NAMESPACE, &name);
            let pod = object("pods", format!("sandbox-{id}"));
            let pod = pod.unwrap_or_else(|| panic!("invariant 2: {id} was given without a Pod"));
            assert!(
                pod["metadata"]["deletionTimestamp"].is_null(),
                "invariant 4: {id} was given a dying Pod"
            );
            let service = object("services", format!("sandbox-{id}-svc"));
            let service = service.unwrap_or_else(|| panic!("invariant 2: {id} was given without a Service"));
            let port = service["spec"]["ports"][0]["nodePort"].to_string();
            assert!(status.url.ends_with(&format!(":{port}")), "invariant 2: {id} was given {}", status.url);
            self.told.get_mut(id).unwrap().certain = Some(Truth::There(status.url.to_string()));
        }
    }

    /// A delete was answered.
    pub fn deleted(&mut self, id: &SandboxId, turn: &Turn, answer: &Result<(), Failure>) {
        let certain = self.end(id, turn);
        if answer.is_ok() && certain {
            self.told.get_mut(id).unwrap().certain = Some(Truth::Gone);
        }
    }

    /// Whether nothing else was under way during the turn.
    fn end(&mut self, id: &SandboxId, turn: &Turn) -> bool {
        let told = self.told.get_mut(id).unwrap();
        told.open -= 1;
        turn.alone && told.open == 0 && told.begun == turn.number
    }

    /// A GET was answered. Invariant 6: never a wrong 404, and nothing that was acknowledged to be gone.
    pub fn got(&self, id: &SandboxId, answer: Result<Option<Status>, Failure>) {
        let Ok(answer) = answer else { return };
        match (self.told.get(id).and_then(|told| told.certain.clone()), answer) {
            (Some(Truth::There(url)), Some(status)) => assert_eq!(&*status.url, url, "{id} has another URL"),
            (Some(Truth::There(_)), None) => panic!("invariant 6: a wrong 404 for {id}"),
            (Some(Truth::Gone), Some(status)) => panic!("invariant 4: {id} is back: {status:?}"),
            (Some(Truth::Gone), None) | (None, _) => {}
        }
    }

    /// A LIST was answered: it lacks nothing that was given, and has nothing that is gone.
    pub fn listed(&self, listed: &[(SandboxId, Status)]) {
        for (id, told) in &self.told {
            let there = listed.iter().any(|(listed, _)| listed == id);
            match told.certain {
                Some(Truth::There(_)) => assert!(there, "invariant 6: {id} is missing from a list"),
                Some(Truth::Gone) => assert!(!there, "invariant 4: {id} is listed"),
                None => {}
            }
        }
    }

    /// With all well again for a while: what the clients were told is so, and every Pod has its Service
    /// (invariants 3 and 4).
    pub fn judge_the_end(&self, cluster: &Cluster, listed: &[(SandboxId, Status)]) {
        let names = |resource: &str| -> Vec<String> {
            let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
            cluster.objects(resource, Some(NAMESPACE)).iter().map(name).collect()
        };
        let pods = names("pods");
        let services = names("services");
        let pods_of_services: Vec<_> =
            services.iter().map(|name| name.strip_suffix("-svc").unwrap().to_owned()).collect();
        assert_eq!(pods, pods_of_services, "invariant 3: orphans");
        let ids: Vec<_> = listed.iter().map(|(id, _)| format!("sandbox-{id}")).collect();
        assert_eq!(ids, pods, "what is listed is what there is");
        self.listed(listed);
    }
}
