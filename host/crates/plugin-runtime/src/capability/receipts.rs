//! Proof that something was taken from outside and is not safe yet. A plugin holds receipts and hands
//! them over with the records made from them; only the host acknowledges. A receipt that is dropped in
//! any other way, by the plugin, by a trap, or by a host that is cancelled, is given back.

use std::fmt;
use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker, Resource};

use crate::capability::{Capability, Context};
use crate::grants::Grants;
use crate::info::Need;
use crate::instance::state::State;
use crate::wit::v1::weir::plugin::receipts;

/// Where receipts come from, and what they come back to. Called from `Drop`: nothing here may block.
pub trait ReceiptSink: Send + Sync {
    /// What the receipt stands for is durable.
    fn acknowledge(&self, tag: u64);
    /// What the receipt stands for was not stored and shall come again.
    fn give_back(&self, tag: u64);
    /// One of the things that the receipt stands for shall not come again; an error when there is no place for it.
    fn discard(&self, tag: u64, index: u32, why: &str) -> Result<(), String>;
}

/// One receipt. Given back when dropped, unless acknowledged.
pub struct Receipt {
    sink: Arc<dyn ReceiptSink>,
    /// `None` once it is settled.
    tag: Option<u64>,
}

impl Receipt {
    /// A receipt of a sink, by the sink's own number for it.
    pub fn new(sink: Arc<dyn ReceiptSink>, tag: u64) -> Receipt {
        Receipt { sink, tag: Some(tag) }
    }

    /// The records made from it are durable.
    pub fn acknowledge(mut self) {
        if let Some(tag) = self.tag.take() {
            self.sink.acknowledge(tag);
        }
    }

    fn discard(&self, index: u32, why: &str) -> Result<(), String> {
        self.tag.map_or(Ok(()), |tag| self.sink.discard(tag, index, why))
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(tag) = self.tag.take() {
            self.sink.give_back(tag);
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("tag", &self.tag).finish_non_exhaustive()
    }
}

/// An instance keeps its receipts in its table of resources, so there is nothing more to hold.
pub(crate) struct Receipts;

impl Capability for Receipts {
    const NAME: &'static str = "receipts";

    fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
        receipts::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
    }

    fn missing(_need: &Need, _grants: &Grants) -> Option<String> {
        None
    }

    fn prepare(_grants: &Grants, _context: &Context) -> Result<Receipts, String> {
        Ok(Receipts)
    }
}

impl receipts::Host for State {}

impl receipts::HostReceipt for State {
    fn discard(
        &mut self,
        receipt: Resource<Receipt>,
        index: u32,
        why: String,
    ) -> wasmtime::Result<Result<(), String>> {
        Ok(self.table.get(&receipt)?.discard(index, &why))
    }

    fn drop(&mut self, receipt: Resource<Receipt>) -> wasmtime::Result<()> {
        drop(self.table.delete(receipt)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use wasmtime::component::ResourceTable;

    use super::*;

    #[derive(Default)]
    struct Broker(Mutex<Vec<String>>);

    impl ReceiptSink for Broker {
        fn acknowledge(&self, tag: u64) {
            self.0.lock().push(format!("ack {tag}"));
        }

        fn give_back(&self, tag: u64) {
            self.0.lock().push(format!("back {tag}"));
        }

        fn discard(&self, tag: u64, index: u32, why: &str) -> Result<(), String> {
            if why.is_empty() {
                return Err("no place".into());
            }
            self.0.lock().push(format!("discard {index} of {tag}"));
            Ok(())
        }
    }

    #[test]
    fn whatever_is_not_settled_goes_back() {
        let broker = Arc::new(Broker::default());
        let receipt = |tag| Receipt::new(Arc::clone(&broker) as _, tag);
        receipt(1).acknowledge();
        drop(receipt(2));
        let three = receipt(3);
        assert_eq!(three.discard(7, "poison"), Ok(()));
        assert_eq!(three.discard(8, ""), Err("no place".into()));
        three.acknowledge();
        let mut table = ResourceTable::new();
        table.push(receipt(5)).unwrap();
        drop(table);
        assert_eq!(*broker.0.lock(), ["ack 1", "back 2", "discard 7 of 3", "ack 3", "back 5"]);
    }
}
