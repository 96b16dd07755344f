//! The checks of `/readyz` as metrics.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

use crate::admin::Checks;

/// Runs the checks at each scrape.
pub(super) struct Readiness(pub(super) Checks);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabel {
    check: &'static str,
}

// === impl Readiness ===

impl Collector for Readiness {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let checks = (self.0)();
        let ready = checks.iter().all(|check| check.optional || check.outcome.is_ok());
        let help = "1 while /readyz answers 200";
        let gauge = encoder.encode_descriptor("ready", help, None, MetricType::Gauge)?;
        ConstGauge::new(u64::from(ready)).encode(gauge)?;
        let help = "1 for each check of /readyz that passes, 0 for one that fails";
        let mut family = encoder.encode_descriptor("ready_check", help, None, MetricType::Gauge)?;
        for check in &checks {
            let value = u64::from(check.outcome.is_ok());
            ConstGauge::new(value).encode(family.encode_family(&CheckLabel { check: check.name })?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readiness")
    }
}
