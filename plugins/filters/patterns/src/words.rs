//! Words without digits that vary all the same: a place where kinds that are otherwise equal have many different ones.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use weir_plugin_sdk::group::State;
use weir_plugin_sdk::mask::{MARK, pieces};

/// From so many different words on, a place varies. Levels and methods are fewer, users and hosts are more.
const WORDS_MIN: u32 = 10;

/// Kinds with such words masked, and those that became equal put together. It depends on which kinds there are, not on
/// their order.
pub(crate) fn masked<S: State>(kinds: Vec<(Vec<u8>, S)>) -> Vec<(Vec<u8>, S)> {
    let mut alike: HashMap<u64, u32> = HashMap::new();
    for (kind, _) in &kinds {
        for (_, others) in places(kind) {
            *alike.entry(others).or_default() += 1;
        }
    }
    let mut found: HashMap<Vec<u8>, S> = HashMap::new();
    for (kind, state) in kinds {
        let mut general = Vec::with_capacity(kind.len());
        for (piece, others) in places(&kind) {
            let varies = is_word(piece) && alike.get(&others).is_some_and(|count| *count >= WORDS_MIN);
            general.extend_from_slice(if varies { MARK } else { piece });
        }
        found.entry(general).or_default().merge(state);
    }
    found.into_iter().collect()
}

/// The pieces of a kind, each with a number that kinds share which differ in that piece alone.
fn places(kind: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    let all = pieces(kind).enumerate().fold(0_u64, |sum, (at, piece)| sum.wrapping_add(number(at, piece)));
    pieces(kind).enumerate().map(move |(at, piece)| {
        let instead = number(at, if is_word(piece) { MARK } else { piece });
        // Turned by its place, so that kinds with nothing to vary there are not counted with it.
        (piece, all.wrapping_sub(number(at, piece)).wrapping_add(instead) ^ number(at, b""))
    })
}

fn number(at: usize, piece: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (at, piece).hash(&mut hasher);
    hasher.finish()
}

/// Whether a piece is a word without digits.
fn is_word(piece: &[u8]) -> bool {
    piece.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_' || *byte >= 0x80)
}
