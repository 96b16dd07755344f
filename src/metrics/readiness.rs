//! The checks of `/readyz` as metrics.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

use crate::admin::ReadinessChecks;

/// Runs the checks at each scrape.
pub(super) struct Readiness(pub(super) ReadinessChecks);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    check: &'static str,
    /// Empty for a check of the daemon itself, which is the same as no label.
    cluster: String,
}

// === impl Readiness ===

impl Collector for Readiness {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let readiness = (self.0)();
        let help = "1 while /readyz answers 200";
        let gauge = encoder.encode_descriptor("ready", help, None, MetricType::Gauge)?;
        ConstGauge::new(u64::from(readiness.is_ready())).encode(gauge)?;
        let help = "1 for each check of /readyz that passes, 0 for one that fails";
        let mut family = encoder.encode_descriptor("ready_check", help, None, MetricType::Gauge)?;
        for named in readiness.named() {
            let value = u64::from(named.check.outcome.is_ok());
            let cluster = named.cluster.map_or_else(String::new, ToString::to_string);
            let labels = CheckLabels { check: named.check.name, cluster };
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readiness")
    }
}
