//! Why connections did not come to speak TLS, in few words: what metrics count.

use std::io;

use tokio_rustls::rustls::Error;

/// A handshake that failed, as the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// It took too long.
    Timeout,
    /// The client went away in the middle of it.
    Closed,
    /// The client speaks something else.
    NotTls,
    /// No version, cipher or protocol in common.
    Incompatible,
    /// The client's certificate is none that is taken, or it showed none and had to.
    ClientCertificate,
    /// The client does not take this side's certificate.
    RefusedByClient,
    /// The client breaks the rules of TLS.
    Malformed,
    /// This side could not go on.
    Internal,
}

impl Failure {
    /// All of them.
    pub const ALL: [Failure; 8] = [
        Failure::Timeout,
        Failure::Closed,
        Failure::NotTls,
        Failure::Incompatible,
        Failure::ClientCertificate,
        Failure::RefusedByClient,
        Failure::Malformed,
        Failure::Internal,
    ];

    /// As metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Timeout => "timeout",
            Failure::Closed => "closed",
            Failure::NotTls => "not_tls",
            Failure::Incompatible => "incompatible",
            Failure::ClientCertificate => "client_certificate",
            Failure::RefusedByClient => "refused_by_client",
            Failure::Malformed => "malformed",
            Failure::Internal => "internal",
        }
    }

    /// What an error of the handshake comes to.
    pub(super) fn of(error: &io::Error) -> Failure {
        let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match of_tls {
            None => Failure::Closed,
            Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => Failure::Incompatible,
            Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => Failure::ClientCertificate,
            Some(Error::AlertReceived(_)) => Failure::RefusedByClient,
            Some(
                Error::InvalidMessage(_)
                | Error::PeerMisbehaved(_)
                | Error::InappropriateMessage { .. }
                | Error::InappropriateHandshakeMessage { .. }
                | Error::DecryptError
                | Error::PeerSentOversizedRecord,
            ) => Failure::Malformed,
            Some(_) => Failure::Internal,
        }
    }
}
