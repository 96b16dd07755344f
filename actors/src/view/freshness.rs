//! How old the view is: one clock for each of the two watches.

use std::{sync::Mutex, time::Duration};

use lifecycle::ports::Kind;
use tokio::{sync::watch, time::Instant};

/// When each watch was last known to be up to date, and what ails it.
#[derive(Debug)]
pub(super) struct Freshness {
    /// How long the view may be answered from without news.
    limit: Duration,
    pods: Mutex<Clock>,
    services: Mutex<Clock>,
    /// Whether both kinds have been listed once.
    listed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Clock {
    /// `None` until the first list.
    heard: Option<Instant>,
    trouble: Option<String>,
}

// === impl Freshness ===

impl Freshness {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, pods: Mutex::default(), services: Mutex::default(), listed: watch::Sender::new(false) }
    }

    fn clock(&self, kind: Kind) -> std::sync::MutexGuard<'_, Clock> {
        let clock = match kind {
            Kind::Pod => &self.pods,
            Kind::Service => &self.services,
        };
        clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The watch of this kind has told all that the cluster holds, as of now.
    pub(super) fn listed(&self, kind: Kind) {
        *self.clock(kind) = Clock { heard: Some(Instant::now()), trouble: None };
        if self.clock(Kind::Pod).heard.is_some() && self.clock(Kind::Service).heard.is_some() {
            self.listed.send_if_modified(|listed| !std::mem::replace(listed, true));
        }
    }

    /// The watch of this kind is up to date as of now; counts only after its first list.
    pub(super) fn heard(&self, kind: Kind) {
        let mut clock = self.clock(kind);
        if clock.heard.is_some() {
            *clock = Clock { heard: Some(Instant::now()), trouble: None };
        }
    }

    pub(super) fn trouble(&self, kind: Kind, why: &str) {
        self.clock(kind).trouble = Some(why.to_owned());
    }

    /// Whether the view may be answered from.
    pub(super) fn is_fresh(&self) -> bool {
        let now = Instant::now();
        [Kind::Pod, Kind::Service].into_iter().all(|kind| {
            self.clock(kind).heard.is_some_and(|heard| now.saturating_duration_since(heard) <= self.limit)
        })
    }

    /// What is wrong with the watch of this kind; `None` when it is fresh and well.
    pub(super) fn ailment(&self, kind: Kind) -> Option<String> {
        let clock = self.clock(kind);
        let because = clock.trouble.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        match clock.heard {
            None => Some(format!("not listed yet{because}")),
            Some(heard) => {
                let age = Instant::now().saturating_duration_since(heard);
                (age > self.limit).then(|| format!("no news for {} s{because}", age.as_secs()))
            }
        }
    }

    /// Waits until both kinds have been listed once, but not longer than this.
    pub(super) async fn first_list(&self, patience: Duration) {
        let mut listed = self.listed.subscribe();
        if !*listed.borrow() {
            let _ = tokio::time::timeout(patience, listed.wait_for(|listed| *listed)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Invariant 6: fresh means that both kinds were listed and both were heard of within the limit.
    #[tokio::test(start_paused = true)]
    async fn both_kinds_have_to_be_fresh() {
        let freshness = Freshness::new(Duration::from_secs(60));
        freshness.heard(Kind::Pod);
        assert!(!freshness.is_fresh(), "news without a list prove nothing");
        freshness.listed(Kind::Pod);
        assert!(!freshness.is_fresh(), "Services are not known yet");
        freshness.listed(Kind::Service);
        assert!(freshness.is_fresh());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(freshness.is_fresh());
        freshness.heard(Kind::Pod);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!freshness.is_fresh(), "Services are too old");
        freshness.trouble(Kind::Service, "connection refused");
        assert_eq!(freshness.ailment(Kind::Service).unwrap(), "no news for 60 s: connection refused");
        assert_eq!(freshness.ailment(Kind::Pod), None);
        freshness.heard(Kind::Service);
        assert!(freshness.is_fresh());
    }

    /// A caller in the first moments waits for the first list, not for ever.
    #[tokio::test(start_paused = true)]
    async fn the_first_list_is_waited_for_with_a_bound() {
        let freshness = Freshness::new(Duration::from_secs(60));
        let start = Instant::now();
        freshness.first_list(Duration::from_secs(5)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        freshness.listed(Kind::Pod);
        freshness.listed(Kind::Service);
        freshness.first_list(Duration::from_secs(5)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
