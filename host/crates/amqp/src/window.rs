//! How many messages a consumer may have unacknowledged.
//!
//! Few at the beginning of a session, since what is unacknowledged when a process dies counts towards the delivery
//! limits of quorum queues; more as they are stored; never more than the operator's number, nor than so many that are
//! as long as those that came lately make the operator's bytes. A broker takes a new number for a new consumer alone:
//! small changes are not worth one.

use weir_record::limits::{AMQP_RAMP_FACTOR, AMQP_RAMP_MESSAGES};

/// One recent message in so many makes up the mean.
const MEAN_OVER: u64 = 16;

#[derive(Debug)]
pub(crate) struct Window {
    messages_max: u16,
    bytes_max: u64,
    granted: u16,
    stored: u64,
    /// Mean length of recent messages.
    mean_bytes: u64,
}

impl Window {
    /// A window that grows up to `messages_max`, at least 1, and `bytes_max`.
    pub(crate) fn new(messages_max: u16, bytes_max: u64) -> Window {
        let mut window =
            Window { messages_max: messages_max.max(1), bytes_max, granted: 1, stored: 0, mean_bytes: 0 };
        window.begin();
        window
    }

    /// A session begins.
    pub(crate) fn begin(&mut self) {
        self.granted = self.target().min(AMQP_RAMP_MESSAGES);
        self.stored = 0;
    }

    /// What the consumer is to be granted.
    pub(crate) fn granted(&self) -> u16 {
        self.granted
    }

    /// A message has come.
    pub(crate) fn delivered(&mut self, bytes: u64) {
        self.mean_bytes = match self.mean_bytes {
            0 => bytes,
            mean => mean - mean / MEAN_OVER + bytes / MEAN_OVER,
        };
    }

    /// So many were stored. Whether the consumer should be granted another number now.
    pub(crate) fn stored(&mut self, count: u64) -> bool {
        self.stored += count;
        let target = self.target();
        let grows = self.granted < target && self.stored >= u64::from(self.granted);
        // Growing by less than half is as little worth a new consumer as shrinking by less.
        let next = match (self.granted < AMQP_RAMP_MESSAGES, grows) {
            (_, true) => self.granted.saturating_mul(AMQP_RAMP_FACTOR).max(AMQP_RAMP_MESSAGES).min(target),
            (_, false) => self.granted.min(target),
        };
        let worth_it = next > self.granted + self.granted / 2 || next < self.granted / 2;
        if worth_it {
            self.granted = next;
            self.stored = 0;
        }
        worth_it
    }

    fn target(&self) -> u16 {
        let by_bytes = self.bytes_max / self.mean_bytes.max(1);
        u16::try_from(by_bytes).unwrap_or(u16::MAX).clamp(1, self.messages_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets so many messages of a length come and be stored; every number that was granted.
    fn run(window: &mut Window, messages: u64, bytes: u64) -> Vec<u16> {
        let mut granted = vec![window.granted()];
        for _ in 0..messages {
            window.delivered(bytes);
            if window.stored(1) {
                granted.push(window.granted());
            }
        }
        granted
    }

    #[test]
    fn it_grows_as_messages_are_stored_and_starts_small_with_every_session() {
        let mut window = Window::new(1000, 32 << 20);
        assert_eq!(run(&mut window, 2000, 200), [16, 128, 1000]);
        window.begin();
        assert_eq!(run(&mut window, 15, 200), [16]);
        assert_eq!(run(&mut Window::new(10, 32 << 20), 100, 200), [10]);
        assert_eq!(run(&mut Window::new(1, 1), 100, 200), [1]);
    }

    #[test]
    fn long_messages_get_less_and_short_ones_more_again() {
        let mut window = Window::new(1000, 32 << 20);
        run(&mut window, 2000, 1 << 10);
        let shrunk = run(&mut window, 200, 1 << 20);
        assert!(*shrunk.last().unwrap() <= 64, "{shrunk:?}");
        let grown = run(&mut window, 5000, 1 << 10);
        assert!(*grown.last().unwrap() > 600, "{grown:?}");
        assert!(grown.len() < 8, "{grown:?}");
    }

    #[test]
    fn a_message_longer_than_the_bytes_still_comes() {
        let mut window = Window::new(1000, 1 << 20);
        window.delivered(16 << 20);
        window.begin();
        assert_eq!(window.granted(), 1);
    }
}
