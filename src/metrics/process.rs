//! The metrics of the process, with the names of Prometheus' other clients. Only on Linux, which shows them in `/proc`.

use prometheus_client::registry::Registry;

/// Adds them to a registry.
pub(super) fn register(registry: &mut Registry) {
    #[cfg(target_os = "linux")]
    registry.register_collector(Box::new(linux::Process));
    #[cfg(not(target_os = "linux"))]
    let _ = registry;
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fmt;

    use procfs::{
        WithCurrentSystemInfo,
        process::{LimitValue, Process as Procfs},
    };
    use prometheus_client::{
        collector::Collector,
        encoding::{DescriptorEncoder, EncodeMetric},
        metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
        registry::Unit,
    };

    #[derive(Debug)]
    pub(super) struct Process;

    /// The values of one scrape.
    struct Usage {
        cpu_seconds: f64,
        started_at: Option<f64>,
        resident_bytes: u64,
        virtual_bytes: u64,
        threads: i64,
        open_fds: Option<usize>,
        max_fds: Option<u64>,
    }

    impl Collector for Process {
        fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
            // A process that cannot read its own state has no such metrics.
            let Some(usage) = usage() else { return Ok(()) };
            let cpu = encoder.encode_descriptor(
                "process_cpu",
                "Processor time that the process has used",
                Some(&Unit::Seconds),
                MetricType::Counter,
            )?;
            ConstCounter::new(usage.cpu_seconds).encode(cpu)?;
            let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: f64| {
                ConstGauge::new(value).encode(encoder.encode_descriptor(
                    name,
                    help,
                    unit,
                    MetricType::Gauge,
                )?)
            };
            if let Some(at) = usage.started_at {
                let help = "Start of the process since the Unix epoch";
                gauge("process_start_time", help, Some(&Unit::Seconds), at)?;
            }
            let bytes = Some(&Unit::Bytes);
            gauge("process_resident_memory", "Memory of the process", bytes, float(usage.resident_bytes))?;
            gauge(
                "process_virtual_memory",
                "Address space of the process",
                bytes,
                float(usage.virtual_bytes),
            )?;
            gauge("process_threads", "Threads of the process", None, float(usage.threads.unsigned_abs()))?;
            if let Some(open) = usage.open_fds {
                gauge("process_open_fds", "Open file descriptors", None, float(open as u64))?;
            }
            if let Some(max) = usage.max_fds {
                gauge("process_max_fds", "Largest number of file descriptors", None, float(max))?;
            }
            Ok(())
        }
    }

    fn usage() -> Option<Usage> {
        let process = Procfs::myself().ok()?;
        let stat = process.stat().ok()?;
        let max_fds = process.limits().ok().and_then(|limits| match limits.max_open_files.soft_limit {
            LimitValue::Value(max) => Some(max),
            LimitValue::Unlimited => None,
        });
        Some(Usage {
            cpu_seconds: float(stat.utime + stat.stime) / float(procfs::ticks_per_second()),
            started_at: started_at(&stat),
            resident_bytes: stat.rss_bytes().get(),
            virtual_bytes: stat.vsize,
            threads: stat.num_threads,
            open_fds: process.fd_count().ok(),
            max_fds,
        })
    }

    /// Returns when the process was started, in seconds since the Unix epoch.
    fn started_at(stat: &procfs::process::Stat) -> Option<f64> {
        let booted = procfs::boot_time_secs().ok()?;
        Some(float(booted) + float(stat.starttime) / float(procfs::ticks_per_second()))
    }

    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    fn float(value: u64) -> f64 {
        value as f64
    }
}
