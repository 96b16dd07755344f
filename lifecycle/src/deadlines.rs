//! One ordered set of deadlines: at most one for each key, the earliest first.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    time::Instant,
};

/// Deadlines by key. Setting a key's deadline replaces its former one.
#[derive(Debug, Clone)]
pub struct Deadlines<K> {
    /// Ordered by time, so that the first is the next.
    queue: BTreeSet<(Instant, K)>,
    /// Where each key stands in the queue, so that it can be taken out before it is put in anew.
    by_key: HashMap<K, Instant>,
}

// === impl Deadlines ===

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self { queue: BTreeSet::new(), by_key: HashMap::new() }
    }
}

impl<K: Clone + Ord + Hash> Deadlines<K> {
    /// Sets the key's deadline; says whether the next deadline of all has changed.
    pub fn set(&mut self, key: K, at: Instant) -> bool {
        let before = self.next();
        self.clear(&key);
        self.by_key.insert(key.clone(), at);
        self.queue.insert((at, key));
        self.next() != before
    }

    /// Forgets the key's deadline, if it has one.
    pub fn clear(&mut self, key: &K) {
        if let Some(at) = self.by_key.remove(key) {
            self.queue.remove(&(at, key.clone()));
        }
    }

    /// When the next deadline is.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes out one key whose deadline has come, the earliest first.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.queue.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// How many keys have a deadline.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether no key has a deadline.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Over any history the set agrees with a plain map: nothing is due early, late, twice or never.
        #[test]
        fn agrees_with_a_map(history in prop::collection::vec((0u8..8, prop::option::of(0u64..50), 0u64..50), 0..60)) {
            let start = *BASE;
            let mut set = Deadlines::default();
            let mut model: HashMap<u8, Instant> = HashMap::new();
            for (key, at, now) in history {
                if let Some(at) = at.map(|s| start + Duration::from_secs(s)) {
                    let before = model.values().min().copied();
                    model.insert(key, at);
                    prop_assert_eq!(set.set(key, at), model.values().min().copied() != before);
                } else {
                    model.remove(&key);
                    set.clear(&key);
                }
                prop_assert_eq!(set.next(), model.values().min().copied());
                prop_assert_eq!(set.len(), model.len());
                let now = start + Duration::from_secs(now);
                while let Some(due) = set.pop_due(now) {
                    let at = model.remove(&due);
                    prop_assert!(at.is_some_and(|at| at <= now));
                }
                prop_assert!(model.values().all(|at| *at > now));
            }
        }
    }

    static BASE: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
}
