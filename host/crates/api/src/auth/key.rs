//! The cluster key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use weir_record::limits::{CLUSTER_KEY_BYTES_MAX, CLUSTER_KEY_BYTES_MIN};

/// What the nodes of a cluster share and nobody else knows. Never shown, not even to debuggers.
///
/// While a key is changed there are two: the first signs and seals, what either has signed or sealed is taken.
#[derive(Clone)]
pub struct ClusterKey {
    keys: Vec<Derived>,
}

/// What is made of one key, so that the same file may serve several purposes.
#[derive(Clone)]
struct Derived {
    /// HMAC under the key for requests between nodes.
    requests: Hmac<Sha256>,
    gossip: GossipKey,
}

/// A key for datagrams between nodes.
#[derive(Clone)]
pub struct GossipKey {
    /// Tells keys apart on the way; not secret.
    pub id: u8,
    /// The key.
    pub secret: [u8; 32],
}

/// Text that is no cluster key. The text is not repeated: it may be a key with a slip in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClusterKeyError {
    /// Nothing in it.
    #[error("the cluster key is empty; make one with: openssl rand -base64 32")]
    Empty,
    /// More lines than keys may be in use.
    #[error("the cluster key has {0} lines, expected one, or two while it is changed")]
    Lines(usize),
    /// Characters that neither hex nor base64 has, or a number of them that does not fit.
    #[error("the cluster key is neither hex nor base64; make one with: openssl rand -base64 32")]
    Encoding,
    /// Too short to be a secret.
    #[error(
        "the cluster key has {0} bytes, expected at least {CLUSTER_KEY_BYTES_MIN}; make one with: openssl rand -base64 32"
    )]
    Short(usize),
    /// Longer than makes sense.
    #[error(
        "the cluster key is longer than {CLUSTER_KEY_BYTES_MAX} bytes; make one with: openssl rand -base64 32"
    )]
    Long,
}

impl ClusterKey {
    /// The key in the text of a key file: one line of hex or base64, at least 32 bytes decoded, or two lines while the
    /// key is changed. White space around it does not count. What could be both is hex.
    pub fn parse(text: &str) -> Result<ClusterKey, ClusterKeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ClusterKeyError::Empty);
        }
        if text.len() > KEYS_MAX * (2 * CLUSTER_KEY_BYTES_MAX + 2) {
            return Err(ClusterKeyError::Long);
        }
        let lines = text.lines().count();
        if lines > KEYS_MAX {
            return Err(ClusterKeyError::Lines(lines));
        }
        let derived = text.lines().map(|line| {
            let line = line.trim();
            let bytes = hex(line).or_else(|| base64(line)).ok_or(ClusterKeyError::Encoding)?;
            Derived::of(&bytes)
        });
        Ok(ClusterKey { keys: derived.collect::<Result<_, _>>()? })
    }

    /// A key of its bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<ClusterKey, ClusterKeyError> {
        Ok(ClusterKey { keys: vec![Derived::of(bytes)?] })
    }

    /// The keys for datagrams, in the order of the file.
    pub fn gossip(&self) -> impl Iterator<Item = &GossipKey> {
        self.keys.iter().map(|key| &key.gossip)
    }

    /// An HMAC for one request under each key, the one that signs first.
    pub(super) fn request_macs(&self) -> impl Iterator<Item = Hmac<Sha256>> + '_ {
        self.keys.iter().map(|key| key.requests.clone())
    }
}

impl Derived {
    fn of(bytes: &[u8]) -> Result<Derived, ClusterKeyError> {
        if bytes.len() < CLUSTER_KEY_BYTES_MIN {
            return Err(ClusterKeyError::Short(bytes.len()));
        }
        if bytes.len() > CLUSTER_KEY_BYTES_MAX {
            return Err(ClusterKeyError::Long);
        }
        let derived =
            |purpose: &str| -> [u8; 32] { keyed(bytes).chain_update(purpose).finalize().into_bytes().into() };
        let [id, ..] = derived("weir gossip key id");
        let gossip = GossipKey { id, secret: derived("weir gossip datagrams") };
        Ok(Derived { requests: keyed(&derived("weir node requests")), gossip })
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}

/// Keys in use at once: the old one and the new one.
const KEYS_MAX: usize = 2;

/// HMAC takes keys of any length, so the fallback is never taken.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Standard alphabet, with or without padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    let padded = format!("{bare}{}", "=".repeat(bare.len().wrapping_neg() % 4));
    if text != bare && text != padded {
        return None;
    }
    STANDARD.decode(padded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(), ClusterKeyError> {
        ClusterKey::parse(text).map(drop)
    }

    #[test]
    fn a_key_file_is_one_line_of_hex_or_base64_or_two() {
        let hex = "0123456789abcdefABCDEF0123456789".repeat(2);
        let base64 = STANDARD.encode([7; 32]);
        let long = "00".repeat(CLUSTER_KEY_BYTES_MAX + 1);
        for (text, expected) in [
            (hex.clone(), Ok(())),
            (format!(" {hex}\r\n\n"), Ok(())),
            (base64.clone(), Ok(())),
            (base64.trim_end_matches('=').to_owned(), Ok(())),
            (String::new(), Err(ClusterKeyError::Empty)),
            ("\n \n".into(), Err(ClusterKeyError::Empty)),
            (format!("{hex}\n{base64}\r\n"), Ok(())),
            (format!("{hex}\n{hex}\n{hex}"), Err(ClusterKeyError::Lines(3))),
            (format!("{hex}\n\n{hex}"), Err(ClusterKeyError::Lines(3))),
            (format!("{hex}\n{}", &hex[..62]), Err(ClusterKeyError::Short(31))),
            (hex[..62].into(), Err(ClusterKeyError::Short(31))),
            (STANDARD.encode([7; 31]), Err(ClusterKeyError::Short(31))),
            (format!("{base64}="), Err(ClusterKeyError::Encoding)),
            ("correct horse battery staple".into(), Err(ClusterKeyError::Encoding)),
            (long.clone(), Err(ClusterKeyError::Long)),
            (STANDARD.encode([7; CLUSTER_KEY_BYTES_MAX + 1]), Err(ClusterKeyError::Long)),
        ] {
            assert_eq!(parsed(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let text = "5".repeat(64);
        let key = ClusterKey::parse(&text).unwrap();
        assert_eq!(format!("{key:?}"), "ClusterKey(…)");
        let error = ClusterKey::parse(&text[..20]).unwrap_err().to_string();
        assert!(!error.contains("5555"), "{error}");
    }

    // RFC 4231, cases 1, 2, 3 and 6.
    #[test]
    fn the_hmac_is_that_of_rfc_4231() {
        let cases: [(&[u8], &[u8], &str); 4] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, data, expected) in cases {
            let mac = keyed(key).chain_update(data).finalize().into_bytes();
            assert_eq!(crate::wire::peer::text::hex(expected), Some(mac.into()));
        }
    }
}
