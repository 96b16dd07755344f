//! The watch: how the views learn of the objects.

use std::{mem, sync::Arc, time::Duration};

use actors::{sandboxes::Sandboxes, view::View};
use lifecycle::{
    observed::ResourceVersion,
    traits::{ClaimSink as _, Kind, WatchEvent, WatchSink as _},
};
use tokio::{task::JoinHandle, time::sleep};

use crate::{FakeCluster, Mode, claims};

impl FakeCluster {
    /// Starts the watch of the process. It lists, and reports every second that it is up to date.
    pub fn watch(self: &Arc<Self>) -> JoinHandle<()> {
        self.report();
        let cluster = self.clone();
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(1)).await;
                cluster.report();
            }
        })
    }

    /// Reports once to the view that it is up to date, after a list if it has missed a change.
    pub fn report(&self) {
        let (objects, claims, version) = {
            let mut state = self.state();
            if state.mode != Mode::Up {
                state.has_missed = true;
                return;
            }
            let lists = mem::take(&mut state.has_missed);
            let objects = lists.then(|| state.objects.clone());
            (objects, state.claims.clone(), ResourceVersion(state.version))
        };
        let sandboxes = self.process();
        let view = sandboxes.view();
        if let Some(objects) = objects {
            view.relist_started(Kind::Pod);
            view.relist_started(Kind::Service);
            let pods = objects.iter().filter_map(|(id, seen)| Some((id.clone(), seen.pod.clone()?)));
            view.pods(WatchEvent::Listed { objects: pods.collect(), unreadable: vec![], version });
            let services = objects.iter().filter_map(|(id, seen)| Some((id.clone(), seen.service.clone()?)));
            view.services(WatchEvent::Listed { objects: services.collect(), unreadable: vec![], version });
            let claims = claims.into_iter().map(|id| (id, claims::claim()));
            sandboxes.workspaces().unwrap().claims_listed(claims.collect());
        }
        view.synced(Kind::Pod);
        view.synced(Kind::Service);
    }

    /// Reports a change to the view. A watch that is away lists later instead.
    pub(crate) fn tell(&self, tell: impl FnOnce(&View)) {
        if self.state().mode == Mode::Up && !self.writes.is_dead() {
            tell(self.process().view());
        } else {
            self.state().has_missed = true;
        }
    }

    fn process(&self) -> Sandboxes {
        self.sandboxes.lock().clone().unwrap()
    }
}
