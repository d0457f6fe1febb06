//! The signature of one request.

use std::fmt;
use std::str::FromStr;

use hmac::Mac as _;
use sha2::{Digest as _, Sha256};

use super::{ClusterKey, SCHEME};
use crate::wire::peer::text::hex;

/// What of a request is signed beside time and nonce.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) method: &'a str,
    /// Path and query as the node sees them.
    pub(crate) target: &'a str,
    pub(crate) body: &'a [u8],
}

/// The value of an `Authorization` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) time_ms: u64,
    pub(crate) nonce: u128,
    mac: [u8; 32],
}

/// A header of another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotASignature;

impl ClusterKey {
    /// Signs a request at a time, with the first key.
    pub(crate) fn sign(&self, message: Message<'_>, time_ms: u64, nonce: u128) -> Signature {
        let text = text(message, time_ms, nonce);
        let mac = self.request_macs().next().map(|mac| mac.chain_update(text).finalize().into_bytes().into());
        Signature { time_ms, nonce, mac: mac.unwrap_or_default() }
    }

    /// Whether a signature is that of a request, under any of the keys. Takes the same time whatever differs.
    pub(crate) fn verify(&self, message: Message<'_>, signature: &Signature) -> bool {
        let text = text(message, signature.time_ms, signature.nonce);
        let fits =
            self.request_macs().map(|mac| mac.chain_update(&text).verify_slice(&signature.mac).is_ok());
        fits.fold(false, |any, fits| any | fits)
    }
}

/// What is signed.
fn text(message: Message<'_>, time_ms: u64, nonce: u128) -> String {
    let Message { method, target, body } = message;
    let body: [u8; 32] = Sha256::digest(body).into();
    format!("weir-node-1\n{method}\n{target}\n{time_ms}\n{nonce:032x}\n{}", Hex(&body))
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME} {} {:032x} {}", self.time_ms, self.nonce, Hex(&self.mac))
    }
}

impl FromStr for Signature {
    type Err = NotASignature;

    fn from_str(text: &str) -> Result<Signature, NotASignature> {
        let parts = || {
            let mut parts = text.split(' ');
            let scheme = parts.next()?;
            let time_ms = parts.next()?.parse().ok()?;
            let nonce = u128::from_be_bytes(hex(parts.next()?)?);
            let mac = hex(parts.next()?)?;
            let ended = parts.next().is_none() && scheme.eq_ignore_ascii_case(SCHEME);
            ended.then_some(Signature { time_ms, nonce, mac })
        };
        parts().ok_or(NotASignature)
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> ClusterKey {
        ClusterKey::from_bytes(&[byte; 32]).unwrap()
    }

    const MESSAGE: Message<'_> = Message { method: "POST", target: "/api/v1/node/plan?a=b", body: b"{}" };

    #[test]
    fn a_signature_is_that_of_the_document() {
        let signature = key(1).sign(MESSAGE, 1_700_000_000_000, 0xabc);
        let text = signature.to_string();
        assert_eq!(text.parse(), Ok(signature));
        // Computed by other means: hmac and hashlib of Python.
        assert_eq!(
            text,
            "Weir-HMAC 1700000000000 00000000000000000000000000000abc \
             827ccef75cea92ac6d31c85aeeb1c37faac0d440b185a3621d598df0d0f85570"
        );
    }

    #[test]
    fn whatever_is_changed_does_not_fit_the_signature() {
        let signature = key(1).sign(MESSAGE, 5, 6);
        assert!(key(1).verify(MESSAGE, &signature));
        assert!(!key(2).verify(MESSAGE, &signature));
        for other in [
            Message { method: "GET", ..MESSAGE },
            Message { target: "/api/v1/node/plan?a=c", ..MESSAGE },
            Message { target: "/api/v1/node/plan", ..MESSAGE },
            Message { body: b"", ..MESSAGE },
        ] {
            assert!(!key(1).verify(other, &signature), "{other:?}");
        }
        let mut flipped = signature.mac;
        flipped[31] ^= 1;
        for other in [
            Signature { time_ms: 6, ..signature },
            Signature { nonce: 7, ..signature },
            Signature { mac: flipped, ..signature },
        ] {
            assert!(!key(1).verify(MESSAGE, &other), "{other}");
        }
    }

    #[test]
    fn while_the_key_is_changed_both_are_taken_and_the_first_signs() {
        let (old, new) = ("11".repeat(32), "22".repeat(32));
        let parse = |text: String| ClusterKey::parse(&text).unwrap();
        let [only_old, adding, changing, only_new] =
            [old.clone(), format!("{old}\n{new}"), format!("{new}\n{old}"), new].map(parse);
        for (signer, verifier, fits) in [
            (&only_old, &adding, true),
            (&adding, &only_old, true),
            (&adding, &changing, true),
            (&changing, &adding, true),
            (&changing, &only_new, true),
            (&only_new, &changing, true),
            (&changing, &only_old, false),
            (&only_old, &only_new, false),
        ] {
            assert_eq!(verifier.verify(MESSAGE, &signer.sign(MESSAGE, 5, 6)), fits);
        }
        let ids = |key: &ClusterKey| key.gossip().map(|key| (key.id, key.secret)).collect::<Vec<_>>();
        assert_eq!(ids(&adding), [ids(&only_old), ids(&only_new)].concat());
        assert_ne!(ids(&only_old), ids(&only_new));
    }

    #[test]
    fn headers_of_another_form_are_no_signatures() {
        let good = key(1).sign(MESSAGE, 5, 6).to_string();
        for text in [
            "",
            "Weir-HMAC",
            "Bearer abc",
            &good[..good.len() - 1],
            &format!("{good} x"),
            &good.replace("Weir", "Wear"),
            &good.replacen(" 5 ", " -5 ", 1),
            &good.replacen(" 5 ", "  5 ", 1),
        ] {
            assert_eq!(text.parse::<Signature>(), Err(NotASignature), "{text}");
        }
    }
}
