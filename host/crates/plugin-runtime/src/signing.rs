//! Who vouches for a component: signatures by ed25519 (RFC 8032) over its SHA-256.
//!
//! | text | shape |
//! |---|---|
//! | private key | `weir-signing-key:` and 64 hex digits, the seed of RFC 8032 |
//! | public key | `ed25519:` and 64 hex digits |
//! | signature | a public key, `:`, 128 hex digits |
//!
//! What is signed are the bytes `weir plugin v1`, a zero, and the 32 bytes of the digest: a signature of anything else
//! by the same key is none of a component.

use std::fmt;
use std::str::FromStr;

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::digest::Digest;

const CONTEXT: &[u8] = b"weir plugin v1\0";
const PRIVATE: &str = "weir-signing-key:";
const PUBLIC: &str = "ed25519:";

/// A key that signs components. Its text is a secret.
pub struct SigningKey {
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

/// A key by which signatures are known. Shown as its text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// A signature that has not been looked at, and whose it claims to be. Shown as its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    key: PublicKey,
    bytes: [u8; 64],
}

/// A text that is no key or signature, or a machine without randomness. Affects no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// Not a private key.
    #[error(
        "it is no signing key: expected weir-signing-key: and 64 hex digits, as `weir plugin keygen` writes"
    )]
    PrivateKey,
    /// Not a public key.
    #[error("it is no public key: expected ed25519: and 64 hex digits, as `weir plugin keygen` prints")]
    PublicKey,
    /// Not a signature.
    #[error("it is no signature: expected ed25519:KEY:SIGNATURE in hex, as `weir plugin sign` writes")]
    Signature,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl SigningKey {
    /// A new key.
    pub fn generate() -> Result<SigningKey, SigningError> {
        let seed =
            ring::rand::generate::<[u8; 32]>(&SystemRandom::new()).map_err(|_| SigningError::Random)?;
        SigningKey::of_seed(seed.expose())
    }

    fn of_seed(seed: [u8; 32]) -> Result<SigningKey, SigningError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| SigningError::PrivateKey)?;
        Ok(SigningKey { seed, pair })
    }

    /// The text of the key, for a file that nobody else reads.
    pub fn to_secret_text(&self) -> String {
        format!("{PRIVATE}{}", Hex(&self.seed))
    }

    /// The key by which its signatures are known.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Vouches for a component.
    pub fn sign(&self, digest: &Digest) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.pair.sign(&message(digest)).as_ref());
        Signature { key: self.public(), bytes }
    }
}

impl FromStr for SigningKey {
    type Err = SigningError;

    fn from_str(text: &str) -> Result<SigningKey, SigningError> {
        let seed = text.trim().strip_prefix(PRIVATE).and_then(unhex);
        SigningKey::of_seed(seed.ok_or(SigningError::PrivateKey)?)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public()).finish()
    }
}

impl PublicKey {
    /// A key of its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> PublicKey {
        PublicKey(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for PublicKey {
    type Err = SigningError;

    fn from_str(text: &str) -> Result<PublicKey, SigningError> {
        text.strip_prefix(PUBLIC).and_then(unhex).map(PublicKey).ok_or(SigningError::PublicKey)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", Hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Signature {
    /// The key by which it says it was made.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Whether it was made by that key, for this component.
    pub fn vouches_for(&self, digest: &Digest) -> bool {
        UnparsedPublicKey::new(&ED25519, self.key.0).verify(&message(digest), &self.bytes).is_ok()
    }
}

impl FromStr for Signature {
    type Err = SigningError;

    fn from_str(text: &str) -> Result<Signature, SigningError> {
        let (key, bytes) = text.trim().rsplit_once(':').ok_or(SigningError::Signature)?;
        let key = key.parse().map_err(|_| SigningError::Signature)?;
        Ok(Signature { key, bytes: unhex(bytes).ok_or(SigningError::Signature)? })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key, Hex(&self.bytes))
    }
}

fn message(digest: &Digest) -> Vec<u8> {
    [CONTEXT, digest.as_bytes()].concat()
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Exactly so many bytes in hex.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..2 * N).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_test_of_the_rfc_gives_its_public_key() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let key: SigningKey = format!("{PRIVATE}{seed}\n").parse().unwrap();
        let public = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(key.public().to_string(), public);
        assert_eq!(public.parse(), Ok(key.public()));
        assert_eq!(key.to_secret_text(), format!("{PRIVATE}{seed}"));
        assert!(!format!("{key:?}").contains(seed), "what is logged is no secret");
    }

    #[test]
    fn a_signature_is_for_one_component_by_one_key() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let (digest, another) = (Digest::of(b"component"), Digest::of(b"another"));
        let signature: Signature = key.sign(&digest).to_string().parse().unwrap();
        assert_eq!(*signature.key(), key.public());
        assert!(signature.vouches_for(&digest));
        assert!(!signature.vouches_for(&another));
        assert!(!Signature { key: other.public(), ..signature }.vouches_for(&digest));
        for bit in 0..512 {
            let mut wrong = signature;
            wrong.bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!wrong.vouches_for(&digest), "bit {bit}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        let key = SigningKey::generate().unwrap();
        let signature = key.sign(&Digest::of(b"")).to_string();
        for text in
            ["", "ed25519:", &signature[1..], &signature[..signature.len() - 1], &signature.replace(':', ";")]
        {
            assert_eq!(text.parse::<Signature>(), Err(SigningError::Signature), "{text}");
            assert_eq!(text.parse::<PublicKey>(), Err(SigningError::PublicKey), "{text}");
            assert_eq!(text.parse::<SigningKey>().err(), Some(SigningError::PrivateKey), "{text}");
        }
    }
}
