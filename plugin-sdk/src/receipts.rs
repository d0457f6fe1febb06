//! Proof that something was taken from outside and is not safe yet.

use crate::sys;

/// Comes with what a capability delivers (AMQP messages), and goes to the host with the last of the records
/// made from it, in [`Taken::receipts`](crate::Taken::receipts): the host acknowledges once they, and all that
/// was handed over before them, are durable. Dropping it instead gives the thing back: it comes again. A plugin
/// cannot acknowledge by itself.
#[derive(Debug)]
pub struct Receipt(pub(crate) sys::Receipt);

impl Receipt {
    /// Gives up for good on one of the things that it stands for (AMQP: the message goes to the exchange that
    /// the grant names for that). The receipt stays, for the others.
    ///
    /// # Errors
    /// The operator's grant has no place for it.
    pub fn discard(&self, index: usize, why: &str) -> Result<(), String> {
        self.0.discard(u32::try_from(index).unwrap_or(u32::MAX), why)
    }
}
