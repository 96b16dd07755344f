//! Applies a fault to the events of one watch. Pure, except that the watch waits as long as some faults take.

use std::collections::VecDeque;
use std::time::Duration;

use super::rule::WatchFault;
use crate::random::Random;

/// How long events wait for company before they are shuffled.
const COMPANY: Duration = Duration::from_secs(1);

/// The fault of one watch, with its counters.
#[derive(Debug)]
pub(crate) struct WatchDelivery {
    fault: Option<WatchFault>,
    /// Events that were to be sent.
    seen: u64,
    /// Events that went out.
    sent: u64,
    random: Random,
}

/// How to send lines that are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Send all.
    All,
    /// Send one, and ask again.
    One,
    /// Break the connection.
    Cut,
    /// Send nothing from now on.
    Stall,
    /// Report that the version is too old.
    Expire,
}

// === impl WatchDelivery ===

impl WatchDelivery {
    pub fn new(fault: Option<WatchFault>) -> Self {
        let seed = match fault {
            Some(WatchFault::LossyShare { seed, .. } | WatchFault::Reorder { seed, .. }) => seed,
            _ => 0,
        };
        Self { fault, seen: 0, sent: 0, random: Random::seeded(seed) }
    }

    /// Whether the watch expires as soon as it is opened.
    pub fn expires_at_once(&self) -> bool {
        self.fault == Some(WatchFault::Expired)
    }

    /// How often an event is sent: usually once.
    pub fn copies(&mut self) -> usize {
        self.seen += 1;
        match self.fault {
            Some(WatchFault::Lossy(every)) if self.seen.is_multiple_of(every.max(1)) => 0,
            Some(WatchFault::LossyShare { per_mille, .. })
                if self.random.below(1000) < u64::from(per_mille) =>
            {
                0
            }
            Some(WatchFault::Double) => 2,
            _ => 1,
        }
    }

    /// How long events wait before they go out.
    pub fn wait(&self) -> Option<Duration> {
        match self.fault {
            Some(WatchFault::Late(late)) => Some(late),
            Some(WatchFault::Reorder { .. }) => Some(COMPANY),
            _ => None,
        }
    }

    /// Brings lines that waited together into another order, if that is the fault.
    pub fn shuffle(&mut self, lines: &mut VecDeque<Vec<u8>>) {
        let Some(WatchFault::Reorder { among, .. }) = self.fault else { return };
        for neighbours in lines.make_contiguous().chunks_mut(usize::from(among.max(2))) {
            for place in (1..neighbours.len()).rev() {
                let other = self.random.below(place as u64 + 1);
                neighbours.swap(place, usize::try_from(other).unwrap_or(place));
            }
        }
    }

    /// Returns how to send lines that are ready, or would be.
    pub fn next(&self) -> Delivery {
        let reached = |limit: u64, then| if self.sent >= limit { then } else { Delivery::One };
        match self.fault {
            Some(WatchFault::Stall) => Delivery::Stall,
            Some(WatchFault::CutAfter(limit)) => reached(limit, Delivery::Cut),
            Some(WatchFault::StallAfter(limit)) => reached(limit, Delivery::Stall),
            Some(WatchFault::ExpireAfter(limit)) => reached(limit, Delivery::Expire),
            _ => Delivery::All,
        }
    }

    /// Notes that one event went out.
    pub fn sent_one(&mut self) {
        self.sent += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_repeatable_and_keeps_every_event_near_its_place() {
        let shuffled = || {
            let mut lines: VecDeque<_> = (0..12_u8).map(|n| vec![n]).collect();
            WatchDelivery::new(Some(WatchFault::Reorder { among: 4, seed: 3 })).shuffle(&mut lines);
            lines.into_iter().map(|line| line[0]).collect::<Vec<_>>()
        };
        let order = shuffled();
        assert_eq!(order, shuffled());
        assert_ne!(order, (0..12).collect::<Vec<_>>());
        for (place, number) in order.iter().enumerate() {
            assert_eq!(place / 4, usize::from(*number) / 4);
        }
    }

    #[test]
    fn a_share_of_events_is_lost_at_the_same_places_each_time() {
        let copies = || {
            let mut delivery = WatchDelivery::new(Some(WatchFault::LossyShare { per_mille: 300, seed: 1 }));
            (0..1000).map(|_| delivery.copies()).collect::<Vec<_>>()
        };
        assert_eq!(copies(), copies());
        let sent: usize = copies().iter().sum();
        assert!((630..770).contains(&sent), "{sent}");
    }

    #[test]
    fn what_ends_a_watch_ends_it_after_so_many_events() {
        let faults = [
            (WatchFault::CutAfter(2), Delivery::Cut),
            (WatchFault::StallAfter(2), Delivery::Stall),
            (WatchFault::ExpireAfter(2), Delivery::Expire),
        ];
        for (fault, end) in faults {
            let mut delivery = WatchDelivery::new(Some(fault));
            let mut seen = Vec::new();
            for _ in 0..3 {
                seen.push(delivery.next());
                delivery.sent_one();
            }
            assert_eq!(seen, [Delivery::One, Delivery::One, end]);
        }
    }
}
