//! Errors of TLS in the words of people who have to mend them.

use std::error::Error as StdError;
use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, OtherError};

use super::certificate::date;

/// Why a handshake failed, as the side that connected sees it.
pub(super) fn handshake(error: &io::Error) -> String {
    match tls_error(error) {
        Some(error) => of_tls(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection in the TLS handshake; does it speak TLS there?".to_owned()
        }
        None => format!("the connection broke in the TLS handshake: {error}"),
    }
}

/// Why the other side gave up after the handshake, as this side sees it: it looks at a client's certificate last, and
/// has read no request by then.
pub(crate) fn refusal(error: &(dyn StdError + 'static)) -> Option<String> {
    match tls_error(error.downcast_ref::<io::Error>()?)? {
        Error::AlertReceived(alert) if is_about_certificate(*alert) => Some(refused(*alert)),
        _ => None,
    }
}

fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied
    )
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
}

fn of_tls(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(_) => format!("its certificate {}", certificate(error)),
        Error::InvalidMessage(_) => {
            "it does not speak TLS there; use http://, or the port that does".to_owned()
        }
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => {
            "no version or cipher of TLS in common; 1.2 and 1.3 are spoken here".to_owned()
        }
        Error::AlertReceived(alert) => refused(*alert),
        other => format!("the TLS handshake failed: {other}"),
    }
}

fn refused(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "it takes only clients that show a certificate; give one with its \
             key: --cert and --key, or [tls] cert and key of the node that asks"
                .to_owned()
        }
        alert if is_about_certificate(alert) => format!(
            "it refuses the certificate of this side ({alert:?}); give one of its client_ca that is valid and may be used \
             by clients"
        ),
        AlertDescription::NoApplicationProtocol => {
            "it speaks TLS there, and not HTTP; name the port of the API".to_owned()
        }
        AlertDescription::ProtocolVersion
        | AlertDescription::HandshakeFailure
        | AlertDescription::InsufficientSecurity => {
            "no version or cipher of TLS in common; 1.2 and 1.3 are spoken here".to_owned()
        }
        other => format!("it gave up the TLS connection ({other:?})"),
    }
}

/// What is wrong with a certificate, to be read behind "the certificate".
pub(super) fn certificate(error: &Error) -> String {
    let Error::InvalidCertificate(why) = error else { return format!("cannot be used: {error}") };
    match why {
        CertificateError::UnknownIssuer => "is of an authority that is not trusted here; name that one with --ca FILE, \
             or [tls] ca in a configuration"
            .to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("expired on {}; have it renewed", date(not_after.as_secs()))
        }
        CertificateError::Expired => "has expired; have it renewed".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("counts only from {}; look at the clocks of both machines", date(not_before.as_secs()))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented: Vec<&str> = presented.iter().map(|name| readable(name)).collect();
            let presented = match presented.as_slice() {
                [] => "no name at all (no subjectAltName)".to_owned(),
                names => names.join(", "),
            };
            format!("is for {presented}, not for {}; use one of its names, or issue one for this", expected.to_str())
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for this use (extendedKeyUsage); nodes need serverAuth and clientAuth".to_owned()
        }
        CertificateError::BadSignature => "was signed by another authority of the same name; name that one with --ca FILE, \
             or [tls] ca in a configuration"
            .to_owned(),
        CertificateError::Other(OtherError(other)) if other.to_string().contains("CaUsedAsEndEntity") => {
            "is that of an authority (CA:TRUE), which is none for a server; issue one with basicConstraints=CA:FALSE"
                .to_owned()
        }
        other => format!("is not accepted: {other}"),
    }
}

/// `DnsName("a")` or `IpAddress(10.0.0.5)` without what is around it.
fn readable(presented: &str) -> &str {
    let inner = presented.split_once('(').map_or(presented, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"')
}
