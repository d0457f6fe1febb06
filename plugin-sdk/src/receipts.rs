//! Proof that something was taken from outside and is not safe yet.

use crate::sys;

/// Comes with what a capability delivers (AMQP messages), and goes to the host with the records made from
/// it, in [`Taken::receipts`](crate::Taken::receipts): the host acknowledges once they are durable.
/// Dropping it instead gives the thing back to where it came from. A plugin cannot acknowledge by itself.
#[derive(Debug)]
pub struct Receipt(pub(crate) sys::Receipt);

impl Receipt {
    /// Gives up on it for good (AMQP: reject without requeue, so that a dead-letter exchange gets it).
    ///
    /// # Errors
    /// The operator's grant does not say `allow_discard`; the thing was given back instead.
    pub fn discard(self, why: &str) -> Result<(), String> {
        self.0.discard(why)
    }
}
