//! The server with TLS, and clients of all kinds: who believes whom, who speaks, and who only connects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_api::ServerOptions;
use weir_api::client::{Client, ClientError, ClientOptions, PeerClient};
use weir_api::tls::{
    Authorities, Chain, ClientCertificates, ClientTls, Failure, Identity, Key, Port, ServerTls,
    ServerTlsOptions, Trust,
};

use crate::raw::{Running, hasty, run};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    fn authorities(&self) -> Authorities {
        Authorities::parse(self.pem.as_bytes()).unwrap()
    }

    /// A certificate for a host.
    fn issue(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        change(&mut params);
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        let chain = Chain::parse(cert.as_bytes()).unwrap();
        Identity::new(chain, &Key::parse(key.serialize_pem().as_bytes()).unwrap()).unwrap()
    }

    /// Clients that believe it, and show what they have.
    fn believed(&self, identity: Option<Identity>) -> ClientTls {
        let trust = Trust { authorities: self.authorities(), identity };
        ClientTls::new(move || Ok(trust.clone()))
    }
}

type Counted = Arc<Mutex<BTreeMap<Failure, usize>>>;

/// Waits until so many have failed for these reasons, and no other has.
async fn failed(counted: &Counted, want: &[(Failure, usize)]) {
    let want: BTreeMap<Failure, usize> = want.iter().copied().collect();
    let all = async {
        while *counted.lock() != want {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_mins(1), all).await;
    assert!(waited.is_ok(), "{want:?}, not {:?}", counted.lock());
}

/// A server that shows this, and what has failed there.
fn serving(options: &ServerTlsOptions, server: &ServerOptions) -> (Running, ServerTls, Counted) {
    let counted = Counted::default();
    let count = counted.clone();
    let tls = ServerTls::new(options, move |port, failure| {
        assert_eq!(port, Port::Api);
        *count.lock().entry(failure).or_default() += 1;
    })
    .unwrap();
    let server = ServerOptions { tls: Some(tls.clone()), ..server.clone() };
    (run(server), tls, counted)
}

fn client(scheme: &str, server: &Running, tls: ClientTls) -> Client {
    let options = ClientOptions { tls, ..ClientOptions::default() };
    Client::new(&format!("{scheme}://{}", server.address), options).unwrap()
}

fn alone(identity: Identity) -> ServerTlsOptions {
    ServerTlsOptions { identity, clients: None }
}

#[tokio::test]
async fn who_believes_the_authority_is_answered_and_every_other_side_learns_why_not() {
    let (ours, stranger) = (Authority::new(), Authority::new());
    let (server, _, counted) = serving(&alone(ours.issue("127.0.0.1", |_| {})), &ServerOptions::default());
    client("https", &server, ours.believed(None)).ready().await.unwrap();
    assert!(counted.lock().is_empty());

    let elsewhere = serving(&alone(ours.issue("node-7", |_| {})), &ServerOptions::default()).0;
    let over = ours.issue("127.0.0.1", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let over = serving(&alone(over), &ServerOptions::default()).0;
    let plain = run(ServerOptions::default());
    for (scheme, server, believed, want) in [
        (
            "https",
            &server,
            &stranger,
            "is of an authority that is not trusted here; name that one with --ca FILE",
        ),
        ("https", &elsewhere, &ours, "is for node-7, not for 127.0.0.1; use one of its names"),
        ("https", &over, &ours, "expired on Wed, 01 Jan 2020 00:00:00 GMT; have it renewed"),
        ("https", &plain, &ours, "it does not speak TLS there; use http://"),
        (
            "http",
            &server,
            &ours,
            "answered 400: this port speaks TLS, and the request came without; use https://",
        ),
    ] {
        let error = client(scheme, server, believed.believed(None)).ready().await.unwrap_err();
        assert!(
            error.to_string().contains(want) && error.is_tls() && error.is_retryable() && !error.maybe_done(),
            "{want}: {error}"
        );
    }
    let nobody = client("https", &server, ClientTls::default()).ready().await.unwrap_err();
    assert!(nobody.to_string().contains("no certificate authority is trusted here"), "{nobody}");
    failed(&counted, &[(Failure::RefusedByClient, 1), (Failure::NotTls, 1)]).await;
}

#[tokio::test]
async fn who_asks_what_is_for_nodes_has_shown_a_certificate_and_others_need_none() {
    let (ours, of_nodes, stranger) = (Authority::new(), Authority::new(), Authority::new());
    let identity = ours.issue("127.0.0.1", |_| {});
    let shown = || Some(of_nodes.issue("node-2", |_| {}));
    for of_all in [false, true] {
        let clients = ClientCertificates { authorities: of_nodes.authorities(), of_all };
        let options = ServerTlsOptions { identity: identity.clone(), clients: Some(clients) };
        let (server, _, counted) = serving(&options, &ServerOptions::default());
        let info = async |tls: ClientTls| {
            let url = format!("https://{}", server.address);
            PeerClient::new(&url, None, ClientOptions::of_peers(tls)).unwrap().info().await.unwrap_err()
        };
        // Far enough: there is no cluster behind it.
        assert_eq!(info(ours.believed(shown())).await.code(), Some("no_cluster"));
        client("https", &server, ours.believed(shown())).ready().await.unwrap();
        let without = client("https", &server, ours.believed(None)).ready().await;
        if of_all {
            let error = without.unwrap_err();
            assert!(error.to_string().contains("it takes only clients that show a certificate"), "{error}");
            failed(&counted, &[(Failure::ClientCertificate, 1)]).await;
        } else {
            without.unwrap();
            assert_eq!(info(ours.believed(None)).await.code(), Some("client_certificate"));
        }
        let foreign = ours.believed(Some(stranger.issue("node-2", |_| {})));
        let error = client("https", &server, foreign).ready().await.unwrap_err();
        assert!(
            matches!(&error, ClientError::Tls { reason, .. } if reason.contains("refuses the certificate")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn handshakes_that_stand_still_hinder_nobody_and_are_not_waited_for() {
    let ours = Authority::new();
    let (server, _, counted) = serving(&alone(ours.issue("127.0.0.1", |_| {})), &hasty());
    let mut silent = Vec::new();
    for number in 0..300 {
        let mut stream = server.connect().await;
        // Nothing, the first byte of a handshake, or the head of a record whose rest does not come.
        let part: &[u8] = [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"][number % 3];
        stream.write_all(part).await.unwrap();
        silent.push(stream);
    }
    client("https", &server, ours.believed(None)).ready().await.unwrap();
    for stream in &mut silent {
        let mut got = Vec::new();
        // Closed by the server, in whatever way.
        let _ = stream.read_to_end(&mut got).await;
    }
    failed(&counted, &[(Failure::Timeout, 300)]).await;
}

#[tokio::test]
async fn rubbish_ends_in_a_word_or_a_close_and_the_next_one_is_answered() {
    let ours = Authority::new();
    let (server, _, counted) = serving(&alone(ours.issue("127.0.0.1", |_| {})), &ServerOptions::default());
    let plain = server.exchange(b"GET /-/ready HTTP/1.1\r\nhost: weir\r\n\r\n").await;
    assert_eq!(plain.status, 400);
    assert!(plain.head.contains("content-type: application/json"), "{}", plain.head);
    assert!(String::from_utf8_lossy(&plain.body).contains("\"hint\":\"use https://"), "{plain:?}");
    let rubbish = b"\x16\x03\x01\x00\x05rubbish that is long enough to be a record";
    for bytes in [&rubbish[..], b"\x16\x03\x01\xff\xff", b"SSH-2.0-x\r\n", b"\x00"] {
        let mut stream = server.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    client("https", &server, ours.believed(None)).ready().await.unwrap();
    // Plain HTTP, SSH and a zero; a record that is none; one that breaks off.
    failed(&counted, &[(Failure::NotTls, 3), (Failure::Malformed, 2)]).await;
}

#[tokio::test]
async fn an_exchanged_certificate_is_seen_by_new_connections_and_open_ones_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let options = ServerOptions { head_timeout: Duration::from_mins(1), ..ServerOptions::default() };
    let (server, tls, _) = serving(&alone(old.issue("127.0.0.1", |_| {})), &options);
    // The client keeps its connection, and with it the certificate that it has seen.
    let early = client("https", &server, old.believed(None));
    early.ready().await.unwrap();
    tls.exchange(&alone(new.issue("127.0.0.1", |_| {}))).unwrap();
    early.ready().await.unwrap();
    client("https", &server, new.believed(None)).ready().await.unwrap();
    let late = client("https", &server, old.believed(None)).ready().await.unwrap_err();
    assert!(late.is_tls() && late.is_retryable(), "{late}");
    // The same on the other side: from now on it believes the new one.
    let believing = old.believed(None);
    let turned = client("https", &server, believing.clone());
    assert!(turned.ready().await.is_err());
    believing.exchange(&Trust { authorities: new.authorities(), identity: None }).unwrap();
    turned.ready().await.unwrap();
}

#[tokio::test]
async fn a_stopping_server_waits_for_no_handshake() {
    let ours = Authority::new();
    let options = ServerOptions { head_timeout: Duration::from_mins(10), ..ServerOptions::default() };
    let (server, ..) = serving(&alone(ours.issue("127.0.0.1", |_| {})), &options);
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"\x16").await.unwrap();
    client("https", &server, ours.believed(None)).ready().await.unwrap();
    server.shutdown.cancel();
    assert_eq!(server.task.await.unwrap().cut, 0);
}
