//! Texts that are kept as the difference from a similar text.
//!
//! The objects of a kind are almost equal: the Pods of two sandboxes differ in names, ids and times. One of them is the
//! base of the others, each of which then takes a small part of its size.

use std::collections::VecDeque;
use std::sync::Arc;

/// A text, kept as its difference from a base.
#[derive(Debug)]
pub(super) struct Delta {
    base: Arc<[u8]>,
    /// Literals and copies from the base in turn, the first and the last one a literal. A literal is its length and its
    /// bytes, a copy its place in the base and its length. Nothing at all if the text is the base.
    parts: Box<[u8]>,
    len: usize,
}

/// The bases for new texts of a kind, the newest one first.
#[derive(Debug, Default)]
pub(super) struct Bases(VecDeque<Base>);

#[derive(Debug)]
struct Base {
    text: Arc<[u8]>,
    /// Where in the text a word is, by the word's hash.
    places: Box<[u16]>,
}

/// A part of the base that a text repeats.
struct Copy {
    from: usize,
    /// Where it begins in the text.
    to: usize,
    len: usize,
}

/// How many bases a kind has. A Pod before and after its start, and Events of several reasons, differ too much for one.
const BASES_MAX: usize = 4;

/// The longest base: its places are numbers of 16 bits. A longer text is kept as it is.
const BASE_MAX: usize = 0xffff;

/// The place of no word.
const NOWHERE: u16 = u16::MAX;

/// Every so many bytes of a base a word is indexed.
const STEP: usize = 4;

/// The length of a word.
const WORD: usize = 8;

/// A shorter copy is not worth its place and its length.
const COPY_MIN: usize = 12;

// === impl Delta ===

impl Delta {
    /// Keeps a text as it is.
    pub fn whole(text: &[u8]) -> Self {
        Self { base: text.into(), parts: Box::default(), len: text.len() }
    }

    /// Returns the length of the text.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Appends the text.
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.parts.is_empty() {
            return out.extend_from_slice(&self.base);
        }
        let mut parts = &*self.parts;
        loop {
            let len = take_number(&mut parts);
            let (literal, rest) = parts.split_at(len);
            out.extend_from_slice(literal);
            parts = rest;
            if parts.is_empty() {
                return;
            }
            let (from, len) = (take_number(&mut parts), take_number(&mut parts));
            out.extend_from_slice(&self.base[from..from + len]);
        }
    }
}

// === impl Bases ===

impl Bases {
    /// Keeps a text as its difference from one of the bases. A text that is not similar to any of them is a base from
    /// then on.
    pub fn keep(&mut self, text: &[u8]) -> Delta {
        let most = text.len() / 8 + 192;
        for base in &self.0 {
            if let Some(parts) = base.difference(text, most) {
                return Delta { base: Arc::clone(&base.text), parts: parts.into(), len: text.len() };
            }
        }
        let delta = Delta::whole(text);
        if text.len() <= BASE_MAX {
            self.0.truncate(BASES_MAX - 1);
            self.0.push_front(Base::new(Arc::clone(&delta.base)));
        }
        delta
    }
}

// === impl Base ===

impl Base {
    fn new(text: Arc<[u8]>) -> Self {
        let size = (text.len() / STEP).next_power_of_two();
        let mut places = vec![NOWHERE; size].into_boxed_slice();
        for at in (0..text.len()).step_by(STEP) {
            if let (Some(slot), Ok(place)) = (slot(&text[at..], size), u16::try_from(at)) {
                places[slot] = place;
            }
        }
        Self { text, places }
    }

    /// Returns the parts of a text; `None` if they take more than this many bytes.
    fn difference(&self, text: &[u8], most: usize) -> Option<Vec<u8>> {
        let mut parts = Vec::with_capacity(most.min(256));
        // The end of the last copy, in the text and in the base.
        let (mut done, mut base_done) = (0, 0);
        let mut at = 0;
        while at < text.len() {
            if parts.len() + (at - done) > most {
                return None;
            }
            let Some(copy) = self.copy(text, done, at, base_done + (at - done)) else {
                at += 1;
                continue;
            };
            add_literal(&mut parts, &text[done..copy.to]);
            add_number(&mut parts, copy.from);
            add_number(&mut parts, copy.len);
            at = copy.to + copy.len;
            (done, base_done) = (at, copy.from + copy.len);
        }
        add_literal(&mut parts, &text[done..]);
        (parts.len() <= most).then_some(parts)
    }

    /// Finds a part of the base that is in the text at a place, and extends it in both directions, but not before
    /// `done`. It is most often where the base goes on, because most differences are values of equal length.
    fn copy(&self, text: &[u8], done: usize, at: usize, next: usize) -> Option<Copy> {
        let rest = &text[at..];
        let known = slot(rest, self.places.len()).map(|slot| usize::from(self.places[slot]));
        [Some(next), known].into_iter().flatten().find_map(|from| {
            let ahead = equal_start(rest, self.text.get(from..)?);
            let before = text[done..at].iter().rev().zip(self.text[..from].iter().rev());
            let behind = before.take_while(|(a, b)| a == b).count();
            let len = ahead + behind;
            (ahead >= WORD && len >= COPY_MIN).then(|| Copy { from: from - behind, to: at - behind, len })
        })
    }
}

/// Returns the slot of the word at the start of a text.
fn slot(text: &[u8], slots: usize) -> Option<usize> {
    let word = u64::from_le_bytes(*text.first_chunk::<WORD>()?);
    // Fibonacci hashing: the upper half of the product is well mixed.
    let hash = usize::try_from(word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).ok()?;
    Some(hash & (slots - 1))
}

/// Returns the length of the common start of two texts.
fn equal_start(a: &[u8], b: &[u8]) -> usize {
    const STRIDE: usize = 16;
    let strides = a.chunks_exact(STRIDE).zip(b.chunks_exact(STRIDE));
    let start = strides.take_while(|(a, b)| a == b).count() * STRIDE;
    start + a[start..].iter().zip(&b[start..]).take_while(|(a, b)| a == b).count()
}

fn add_literal(parts: &mut Vec<u8>, literal: &[u8]) {
    add_number(parts, literal.len());
    parts.extend_from_slice(literal);
}

/// Appends a number, seven bits a byte, the lowest ones first. All bytes but the last one have the highest bit.
fn add_number(parts: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        parts.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    parts.push(number.to_le_bytes()[0]);
}

fn take_number(parts: &mut &[u8]) -> usize {
    let mut number = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let Some((byte, rest)) = parts.split_first() else { break };
        *parts = rest;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(delta: &Delta) -> String {
        let mut text = Vec::new();
        delta.write(&mut text);
        assert_eq!(text.len(), delta.len());
        String::from_utf8(text).unwrap()
    }

    /// Returns the bytes that a text takes beside the base.
    fn size(delta: &Delta) -> usize {
        delta.parts.len()
    }

    fn object(name: &str) -> String {
        let mounts: Vec<_> = (0..20)
            .map(|n| json!({"name": format!("volume-{n}"), "mountPath": format!("/mnt/{n}")}))
            .collect();
        let uid = format!("{name}-a-long-id");
        json!({"metadata": {"name": name, "uid": uid}, "spec": {"mounts": mounts, "host": name}}).to_string()
    }

    proptest::proptest! {
        /// Guards that every text is read as it was kept, whatever the bases are.
        #[test]
        fn texts_are_read_as_they_were_kept(
            texts in proptest::collection::vec("([ab]{0,40}(abcdefghijkl|mnopqrstuvwxyz0123){0,9}){0,30}", 1..8),
        ) {
            let mut bases = Bases::default();
            let kept: Vec<_> = texts.iter().map(|text| bases.keep(text.as_bytes())).collect();
            for (text, delta) in texts.iter().zip(&kept) {
                assert_eq!(read(delta), *text);
            }
        }
    }

    /// Guards the memory of a cluster with many objects: those that differ in names and ids take little.
    #[test]
    fn similar_objects_take_little() {
        let mut bases = Bases::default();
        let first = bases.keep(object("a").as_bytes());
        assert_eq!((read(&first), size(&first)), (object("a"), 0));
        for name in ["b", "c-with-a-longer-name", ""] {
            let delta = bases.keep(object(name).as_bytes());
            assert_eq!(read(&delta), object(name));
            assert!(size(&delta) < 100 && delta.len() > 900, "{} of {}", size(&delta), delta.len());
        }
        assert_eq!(bases.0.len(), 1);
    }

    /// Guards that kinds whose objects have several shapes are kept well, and that the bases have a bound.
    #[test]
    fn each_shape_has_a_base() {
        let shape = |letter: &str, name: &str| format!("{name}{}", letter.repeat(1000));
        let mut bases = Bases::default();
        for name in ["one", "two", "three"] {
            for letter in ["a", "b", "c"] {
                let delta = bases.keep(shape(letter, name).as_bytes());
                assert_eq!(read(&delta), shape(letter, name));
                assert_eq!(size(&delta) == 0, name == "one", "{letter} {name}");
            }
        }
        for letter in ["d", "e", "f", "g"] {
            bases.keep(shape(letter, "").as_bytes());
        }
        assert_eq!(bases.0.len(), BASES_MAX);
    }

    /// Guards that a text that is too long for a base is kept, also as the difference from a base.
    #[test]
    fn long_texts_are_kept() {
        let mut bases = Bases::default();
        let noise: String = (0..40_000_u32).map(|n| n.wrapping_mul(0x9e37_79b9).to_string()).collect();
        assert_eq!(read(&bases.keep(noise.as_bytes())), noise);
        assert_eq!(bases.0.len(), 0);
        bases.keep(&noise.as_bytes()[..BASE_MAX]);
        assert_eq!(bases.0.len(), 1);
        let (start, rest) = noise.as_bytes()[..BASE_MAX].split_at(30_000);
        let changed = [start, b"another", rest, rest].concat();
        let delta = bases.keep(&changed);
        assert!(size(&delta) < 100 && read(&delta).as_bytes() == changed);
    }
}
