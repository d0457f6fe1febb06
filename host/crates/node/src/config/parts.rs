//! Several files as one configuration: what a later one says wins.

use crate::config::tree::{Entry, Node, Value};

/// Lays `over` over `under`: tables are joined key by key; of anything else, lists too, the upper one counts, with its
/// place.
pub(super) fn lay_over(under: Node, over: Node) -> Node {
    match (under, over) {
        (
            Node { place, value: Value::Table(mut entries), spelling },
            Node { value: Value::Table(upper), .. },
        ) => {
            for Entry { key, key_place, node } in upper {
                match entries.iter().position(|entry| entry.key == key) {
                    Some(at) => {
                        let Entry { node: under, .. } = entries.swap_remove(at);
                        entries.push(Entry { key, key_place, node: lay_over(under, node) });
                    }
                    None => entries.push(Entry { key, key_place, node }),
                }
            }
            Node { place, value: Value::Table(entries), spelling }
        }
        (_, over) => over,
    }
}
