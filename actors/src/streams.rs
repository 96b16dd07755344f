//! The open streams of events and of logs.

use std::{fmt, sync::Arc};

use lifecycle::error::SandboxError;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Registry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{metrics::gauges::gauge, view::STALE_RETRY};

/// The limit of the number of open streams. Clones share it: a daemon has one, because one stream can be about several
/// clusters.
#[derive(Debug, Clone)]
pub struct Streams {
    permits: Arc<Semaphore>,
    max: usize,
}

// === impl Streams ===

impl Streams {
    /// Allows so many streams.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(max)), max }
    }

    /// Takes a permit for a stream, which counts as open until the permit is dropped.
    pub(crate) fn permit(&self) -> Result<OwnedSemaphorePermit, SandboxError> {
        self.permits.clone().try_acquire_owned().map_err(|_| {
            let what = format!("{} streams are open, which is the maximum", self.max);
            SandboxError::Overloaded { what, retry_after: STALE_RETRY }
        })
    }

    /// Returns the number of open streams.
    fn open(&self) -> usize {
        self.max.saturating_sub(self.permits.available_permits())
    }

    /// Adds the number of open streams and its limit to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }
}

impl Collector for Streams {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let (open, max) = (number(self.open()), number(self.max));
        gauge(&mut encoder, "event_streams", "Open streams of events and of logs", open)?;
        gauge(&mut encoder, "event_streams_max", "The largest number of open streams", max)
    }
}
