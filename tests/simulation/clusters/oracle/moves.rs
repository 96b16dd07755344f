//! The checks of moves.

use std::collections::BTreeSet;

use testkit::Answer;

use super::{Homes, Oracle, Request, Truth, home, objects::check_pair};
use crate::clusters::{
    clients::profile_of,
    world::{NAMES, World},
};

impl Oracle {
    /// Records the answer to a move: after a 200 the sandbox is on that cluster, after a refusal it is as before, and after any
    /// other answer it may still come there.
    pub fn moved(&mut self, world: &World, id: &str, to: usize, request: &Request, answer: Option<&Answer>) {
        let status = answer.map(|answer| answer.status);
        if let (Some(200 | 202), Some(answer)) = (status, answer) {
            self.given(id, &home(&answer.body));
        }
        if !self.end(id, request) {
            return;
        }
        let place = answer.filter(|_| matches!(status, Some(200 | 202))).map(|answer| home(&answer.body));
        let certain = match (&request.before, status, place) {
            (Some(Truth::Gone), _, Some(place)) => panic!("{id} is back at {place:?}"),
            (Some(Truth::Gone), ..) => Some(Truth::Gone),
            (Some(Truth::There(homes)), Some(200), Some(place)) => {
                assert_eq!(NAMES[place.0], NAMES[to], "{id} was moved elsewhere");
                if !self.faults[to].is_on() {
                    check_pair(world, id, &place);
                }
                let mut homes = homes.clone();
                if homes.given.iter().all(|(n, _)| *n != to) && !homes.or_elsewhere && homes.moves.is_empty()
                {
                    assert_eq!(profile_of(id), None, "{id} has moved without its workspace");
                    self.check_drain(id, request, to);
                    // The old one may be left if it could not be deleted.
                    if !homes.given.iter().any(|(n, _)| self.faults[*n].is_on()) {
                        homes.given.clear();
                    }
                }
                homes.given.insert(place);
                Some(Truth::There(homes))
            }
            (Some(Truth::There(homes)), Some(202), Some(place)) => {
                assert_eq!(profile_of(id), None, "{id} moves without its workspace");
                let mut homes = homes.clone();
                homes.check(id, place);
                homes.moves.insert(to);
                Some(Truth::There(homes))
            }
            (Some(Truth::There(homes)), Some(404), _) => panic!("{id} is denied: {homes:?}"),
            // Refused, or undone before the answer.
            (Some(Truth::There(homes)), Some(400 | 409), _) => Some(Truth::There(homes.clone())),
            (Some(Truth::There(homes)), ..) => {
                let mut homes = homes.clone();
                homes.moves.insert(to);
                Some(Truth::There(homes))
            }
            (None, Some(200), Some(place)) => {
                let given = BTreeSet::from([place]);
                Some(Truth::There(Homes { given, or_elsewhere: true, ..Homes::default() }))
            }
            (None, ..) => None,
        };
        self.sandboxes.get_mut(id).unwrap().certain = certain;
    }
}
