//! PEM texts, right and wrong, and what a certificate says of itself.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

use super::*;

/// 2030-01-01.
const LATER_S: u64 = 1_893_456_000;

struct Made {
    cert: String,
    key: String,
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: Issuer::new(params, key) }
}

fn issued(by: &Authority, change: impl FnOnce(&mut CertificateParams)) -> Made {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["node-1".into(), "10.0.0.5".into(), "::1".into()]).unwrap();
    change(&mut params);
    let cert = params.signed_by(&key, &by.issuer).unwrap().pem();
    Made { cert, key: key.serialize_pem() }
}

fn made(cert: &str, key: &str) -> Result<Identity, String> {
    let chain = Chain::parse(cert.as_bytes()).map_err(|error| format!("cert: {error}"))?;
    let key = Key::parse(key.as_bytes()).map_err(|error| format!("key: {error}"))?;
    Identity::new(chain, &key).map_err(|error| error.to_string())
}

#[test]
fn what_cannot_be_used_says_what_it_is_instead() {
    let authority = authority("a");
    let (own, other) = (issued(&authority, |_| {}), issued(&authority, |_| {}));
    assert!(made(&own.cert, &own.key).is_ok());
    // In any order, with other text around, and both in one file.
    let both = format!("# of node-1\n{}\n{}\n{}", own.key, own.cert, authority.pem);
    assert!(made(&both, &both).is_ok());
    let cut = &own.cert[..own.cert.len() - 40];
    let not_base64 = own.cert.replacen("MII", "M*I", 1);
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let of_old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: A\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let enciphered = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (cert, key, want) in [
        ("", own.key.as_str(), "cert: there is no certificate in it; name a file"),
        ("just text", &own.key, "cert: there is no certificate in it; name a file"),
        (&own.key, &own.key, "cert: there is no certificate in it, but a private key; name"),
        (cut, &own.key, "cert: it is no PEM that can be read: a section has no end"),
        (&not_base64, &own.key, "cert: it is no PEM that can be read: there is other text in a section"),
        (no_certificate, &own.key, "cert: certificate 1 in it cannot be used"),
        (&format!("{}{no_certificate}", own.cert), &own.key, "cert: certificate 2 in it cannot be used"),
        (&own.cert, "", "key: there is no private key in it; name"),
        (&own.cert, &own.cert, "key: there is no private key in it, but a certificate; name"),
        (&own.cert, enciphered, "key: the key is encrypted; write it without a passphrase"),
        (&own.cert, of_old, "key: the key is encrypted; write it without a passphrase"),
        (&own.cert, no_key, "the key cannot be used: "),
        (&own.cert, &other.key, "the key does not match the certificate; name the key"),
    ] {
        let error = made(cert, key).map(drop).unwrap_err();
        assert!(error.starts_with(want), "{want}: {error}");
    }
    assert_eq!(Chain::parse(&[0x30, 0x82, 1, 2]).map(drop), Err(PemError::Der));
    assert!(Authorities::parse(both.as_bytes()).is_ok());
    assert!(matches!(Authorities::parse(b""), Err(PemError::NoCertificate { has_key: false })));
}

#[test]
fn a_certificate_says_for_whom_and_how_long_it_is() {
    let (authority, stranger, namesake) = (authority("a"), authority("b"), authority("a"));
    let own = issued(&authority, |params| params.not_after = date_time_ymd(2030, 1, 1));
    let chain = Chain::parse(own.cert.as_bytes()).unwrap();
    assert_eq!((chain.ends_s(), chain.is_authority()), (LATER_S as i64, false));
    assert!(chain.begins_s() < chain.ends_s());
    assert_eq!(chain.names(), ["node-1", "10.0.0.5", "::1"]);
    for (host, fits) in [
        ("node-1", true),
        ("10.0.0.5", true),
        ("[::1]", true),
        ("node-2", false),
        ("10.0.0.6", false),
        ("", false),
    ] {
        assert_eq!(chain.is_for(host), fits, "{host}");
    }
    let (ours, others) =
        [&authority, &stranger].map(|of| Authorities::parse(of.pem.as_bytes()).unwrap()).into();
    let refused = |by: &Authorities, now_s| chain.refused_by(by, now_s).unwrap_or_default();
    assert_eq!(refused(&ours, LATER_S - 60), "");
    assert_eq!(refused(&ours.and(&others), LATER_S - 60), "");
    assert!(refused(&others, LATER_S - 60).contains("is of an authority that is not trusted here"));
    let namesake = Authorities::parse(namesake.pem.as_bytes()).unwrap();
    assert!(refused(&namesake, LATER_S - 60).contains("was signed by another authority of the same name"));
    assert!(refused(&ours, LATER_S + 60).contains("expired on Tue, 01 Jan 2030 00:00:00 GMT"));
    let of_servers = issued(&authority, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let why = Chain::parse(of_servers.cert.as_bytes()).unwrap().refused_by(&ours, LATER_S - 60);
    assert!(why.as_ref().is_some_and(|why| why.contains("clientAuth")), "{why:?}");
    assert!(Chain::parse(authority.pem.as_bytes()).unwrap().is_authority());
}
