//! Where a tail stands: per ingest node a place in its log, as bytes that only nodes read.

use std::collections::BTreeMap;

use weir_record::CodecError;
use weir_record::codec::{Reader, put_varint};
use weir_record::limits::TAIL_TOKEN_NODES_MAX;

/// First byte of a token. Tokens live for minutes: a node that does not know a version says that there is a gap.
const VERSION: u8 = 1;

/// A place between two records of a node's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The run that wrote the piece; for the place before the first piece, see [`Place::origin`].
    pub(crate) epoch: u64,
    /// Number of the piece: counts up over all runs of a node.
    pub(crate) piece: u64,
    /// Batches that begin before this byte of the piece lie behind. An offset, not an index: a frame that is found
    /// damaged later shifts no other.
    pub(crate) byte: u64,
    /// Records of the batch at `byte` that lie behind as well.
    pub(crate) row: u32,
}

impl Place {
    /// The place before anything that the run of the node with this number will take.
    pub(crate) const fn origin(run: u64) -> Place {
        Place { epoch: run, piece: 0, byte: 0, row: 0 }
    }
}

/// The places of several nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Token {
    places: BTreeMap<u64, Place>,
}

impl Token {
    /// The token of one node.
    pub(crate) fn of(node: u64, place: Place) -> Token {
        Token { places: BTreeMap::from([(node, place)]) }
    }

    /// Where the tail stands at a node.
    pub(crate) fn place(&self, node: u64) -> Option<Place> {
        self.places.get(&node).copied()
    }

    /// Takes over what another token says; of nodes it does not name the places stay. Nodes above
    /// [`TAIL_TOKEN_NODES_MAX`] are left out: after a break they begin with a gap.
    pub(crate) fn update(&mut self, other: &Token) {
        for (&node, &place) in &other.places {
            if self.places.contains_key(&node) || self.places.len() < TAIL_TOKEN_NODES_MAX {
                self.places.insert(node, place);
            }
        }
    }

    /// Version, number of nodes, then per node, ascending: its id and the run as 8 bytes each, little-endian,
    /// and piece, byte and row as varints.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 + self.places.len() * 32);
        out.push(VERSION);
        put_varint(&mut out, self.places.len() as u64);
        for (node, place) in &self.places {
            out.extend_from_slice(&node.to_le_bytes());
            out.extend_from_slice(&place.epoch.to_le_bytes());
            put_varint(&mut out, place.piece);
            put_varint(&mut out, place.byte);
            put_varint(&mut out, u64::from(place.row));
        }
        out
    }

    /// Reads what [`Token::encode`] writes. Comes from clients: anything may be in it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Token, BadToken> {
        let mut reader = Reader::new(bytes);
        let [version] = reader.array("token version")?;
        if version != VERSION {
            return Err(BadToken::Version(version));
        }
        let count = reader.bounded("nodes of a token", TAIL_TOKEN_NODES_MAX)?;
        let mut places = BTreeMap::new();
        for _ in 0..count {
            let node = u64::from_le_bytes(reader.array("node of a token")?);
            let place = Place {
                epoch: u64::from_le_bytes(reader.array("run of a token")?),
                piece: reader.varint("piece of a token")?,
                byte: reader.varint("byte of a token")?,
                row: reader.bounded("row of a token", u32::MAX as usize)? as u32,
            };
            places.insert(node, place);
        }
        reader.finish()?;
        Ok(Token { places })
    }
}

/// Bytes that are no token. Does not affect state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadToken {
    /// Of a later version, or none at all.
    #[error("it has version {0}, this node reads version {VERSION}")]
    Version(u8),
    /// Cut, or none at all.
    #[error(transparent)]
    Content(#[from] CodecError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(nodes: u64) -> Token {
        let mut token = Token::default();
        for node in 0..nodes {
            let place = Place { epoch: u64::MAX - node, piece: node << 40, byte: 1 << 63, row: u32::MAX };
            token.update(&Token::of(node, place));
        }
        token
    }

    #[test]
    fn a_token_comes_back_as_it_was_and_nothing_else_is_one() {
        for nodes in [0, 1, 3, 300] {
            let token = token(nodes);
            let bytes = token.encode();
            assert!(bytes.len() <= weir_record::limits::TAIL_TOKEN_BYTES_MAX);
            assert_eq!(Token::decode(&bytes), Ok(token));
            for cut in 0..bytes.len() {
                assert!(Token::decode(&bytes[..cut]).is_err(), "{nodes} nodes, cut at {cut}");
            }
            assert!(Token::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
        assert_eq!(Token::decode(&[9, 0]), Err(BadToken::Version(9)));
    }

    #[test]
    fn an_update_changes_the_nodes_it_names_alone() {
        let (old, new) = (Place::origin(1), Place::origin(2));
        let mut token = Token::of(7, old);
        token.update(&Token::of(8, old));
        token.update(&Token::of(7, new));
        assert_eq!((token.place(7), token.place(8), token.place(9)), (Some(new), Some(old), None));
    }
}
