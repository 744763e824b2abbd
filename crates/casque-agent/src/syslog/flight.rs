//! What was written to a connection and not taken by the other end yet.

use std::collections::VecDeque;

use casque_format::syslog::Position;

/// Messages by where they end on the wire.
#[derive(Debug, Default)]
pub struct Flight(VecDeque<(u64, Position)>);

impl Flight {
    /// Adds a message that ends after so many octets of the connection; `after` is the place in the buffer after it.
    pub fn push(&mut self, end: u64, after: Position) {
        self.0.push_back((end, after));
    }

    /// The other end has so many octets: forgets the messages that are whole there, and returns the place after them.
    pub fn taken(&mut self, octets: u64) -> Option<Position> {
        let mut place = None;
        while self.0.front().is_some_and(|(end, _)| *end <= octets) {
            place = self.0.pop_front().map(|(_, after)| after);
        }
        place
    }

    /// Says whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    fn place(next: u64) -> Position {
        Position { segment: 1, offset: next, next, lost: 0 }
    }

    proptest! {
        /// A receiver keeps what it has whole when a connection is cut, and the sender goes on after that.
        #[test]
        fn wherever_a_connection_is_cut_each_message_is_there_once(
            lengths in proptest::collection::vec(1_u64..50, 1..40),
            cuts in proptest::collection::vec(0_u64..300, 0..10),
        ) {
            let mut received = Vec::new();
            let mut next = 0;
            for cut in cuts.into_iter().chain([u64::MAX]) {
                let mut flight = Flight::default();
                let mut end = 0;
                for (number, length) in lengths.iter().enumerate().skip(next) {
                    end += length;
                    flight.push(end, place(number as u64 + 1));
                    if end <= cut {
                        received.push(number);
                    }
                }
                // Acknowledged bit by bit.
                let half = flight.taken(cut / 2).map(|place| place.next);
                let place = flight.taken(cut).map(|place| place.next).or(half);
                next = place.map_or(next, |place| usize::try_from(place).unwrap());
            }
            prop_assert_eq!(received, (0..lengths.len()).collect::<Vec<_>>());
        }
    }
}
