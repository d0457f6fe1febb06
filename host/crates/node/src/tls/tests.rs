//! Files as operators leave them: what a check says of each.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::*;
use crate::config::{ConfigFile, Input, load};

/// 2030-01-01.
const LATER_S: u64 = 1_893_456_000;
const DAY_S: u64 = 24 * 3600;

struct World {
    dir: TempDir,
}

impl World {
    /// Two authorities, `ca.crt` and `other.crt`, and a pair of the first that ends in 2030.
    fn new() -> World {
        let world = World { dir: tempfile::tempdir().unwrap() };
        for (authority, pairs) in [("ca", &["node", "spare"][..]), ("other", &["foreign"])] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name.push(DnType::CommonName, authority);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let certificate = params.self_signed(&key).unwrap();
            world.write(&format!("{authority}.crt"), &certificate.pem());
            world.write(&format!("{authority}.key"), &key.serialize_pem());
            let issuer = Issuer::new(params, key);
            for pair in pairs {
                let key = KeyPair::generate().unwrap();
                let mut params = CertificateParams::new(vec!["node-1".to_owned()]).unwrap();
                params.not_after = date_time_ymd(2030, 1, 1);
                world.write(&format!("{pair}.crt"), &params.signed_by(&key, &issuer).unwrap().pem());
                world.write(&format!("{pair}.key"), &key.serialize_pem());
            }
        }
        world
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What is said of a `[tls]` table, at a time, without the directory.
    fn said(&self, table: &str, now_s: u64) -> Vec<String> {
        let config = self.config(table);
        let lines = match remarks(&config, now_s) {
            Ok(remarks) => remarks.iter().map(|remark| format!("warning: {remark}")).collect(),
            Err(lines) => lines,
        };
        let dir = format!("{}/", self.dir.path().display());
        lines.iter().map(|line: &String| line.replace(&dir, "")).collect()
    }

    fn config(&self, table: &str) -> config::Tls {
        let text = format!("[tls]\n{table}");
        let file = ConfigFile { name: "weir.toml", dir: self.dir.path(), bytes: text.as_bytes() };
        let input = Input {
            file: Some(file),
            parts: &[],
            overlays: &[],
            env: &|_| None,
            working_dir: Path::new("/"),
            embedded: &[],
        };
        let loaded = load(&input);
        loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems)).tls
    }
}

#[test]
fn each_file_that_cannot_be_used_is_a_line_with_its_place() {
    let world = World::new();
    std::fs::create_dir(world.path("dir")).unwrap();
    world.write("empty", "");
    let good = LATER_S - 30 * DAY_S;
    for (table, want) in [
        ("cert = \"node.crt\"\nkey = \"node.key\"\nclient_ca = \"ca.crt\"\nca = \"other.crt\"", &[][..]),
        ("ca = \"ca.crt\"", &[]),
        (
            "cert = \"none.crt\"\nkey = \"none.key\"",
            &[
                "weir.toml:2:8: tls.cert: cannot read none.crt: no such file or directory; name a PEM file that is there",
                "weir.toml:3:7: tls.key: cannot read none.key: no such file or directory; name a PEM file that is there",
            ],
        ),
        ("cert = \"dir\"\nkey = \"node.key\"", &["weir.toml:2:8: tls.cert: cannot read dir: is a directory"]),
        (
            "cert = \"empty\"\nkey = \"node.crt\"\nclient_ca = \"node.key\"\nca = \"empty\"",
            &[
                "weir.toml:2:8: tls.cert: empty: there is no certificate in it; name a file with",
                "weir.toml:3:7: tls.key: node.crt: there is no private key in it, but a certificate; name",
                "weir.toml:4:13: tls.client_ca: node.key: there is no certificate in it, but a private key; name",
                "weir.toml:5:6: tls.ca: empty: there is no certificate in it; name",
            ],
        ),
        (
            "cert = \"node.crt\"\nkey = \"spare.key\"",
            &["weir.toml:3:7: tls.key: spare.key: the key does not match the certificate; name the key"],
        ),
    ] {
        let said = world.said(table, good);
        assert_eq!(said.len(), want.len(), "{table}: {said:#?}");
        for (said, want) in said.iter().zip(want) {
            assert!(said.starts_with(want), "{want}: {said}");
        }
    }
}

#[test]
fn what_others_will_refuse_is_warned_of() {
    let world = World::new();
    let pair = "cert = \"node.crt\"\nkey = \"node.key\"\n";
    let good = LATER_S - 30 * DAY_S;
    for (table, now_s, want) in [
        (
            pair.to_owned(),
            LATER_S + 60,
            "tls.cert: the certificate expired on Tue, 01 Jan 2030 00:00:00 GMT: clients",
        ),
        (
            pair.to_owned(),
            LATER_S - DAY_S,
            "tls.cert: the certificate expires on Tue, 01 Jan 2030 00:00:00 GMT; have",
        ),
        (pair.to_owned(), 0, "tls.cert: the certificate counts only from "),
        (
            format!("{pair}client_ca = \"other.crt\""),
            good,
            "tls.cert: nodes with the same tls.client_ca would refuse this one: its certificate is of an authority",
        ),
    ] {
        let said = world.said(&table, now_s);
        assert!(said.len() == 1 && said[0].contains(want), "{want}: {said:#?}");
    }
    let said = world.said("cert = \"ca.crt\"\nkey = \"ca.key\"", good);
    assert!(
        said.len() == 2 && said[0].contains("CA:TRUE") && said[1].contains("no subjectAltName"),
        "{said:#?}"
    );
    std::fs::set_permissions(world.path("node.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        world.said(pair, good),
        [
            "warning: weir.toml:3:7: tls.key: every user of this machine can read node.key; take that away: chmod o= node.key"
        ]
    );
}

#[test]
fn a_pair_that_cannot_be_used_leaves_the_one_before_in_force() {
    let world = World::new();
    let metrics = Arc::new(Metrics::new("0"));
    let tls = Tls::open(&world.config("cert = \"node.crt\"\nkey = \"node.key\""), &metrics).unwrap();
    let expiry = || {
        let text = metrics.text();
        let line =
            text.lines().find(|line| line.starts_with("weir_tls_certificate_expiry_timestamp_seconds "));
        line.and_then(|line| line.split(' ').nth(1)?.parse::<f64>().ok())
    };
    assert_eq!(expiry(), Some(LATER_S as f64));
    let before = Stamps::of(&tls.config);
    // Half of an exchange: the key is still the old one.
    let foreign = std::fs::read_to_string(world.path("foreign.crt")).unwrap();
    world.write("node.crt", &foreign);
    assert!(*tls.stamps.lock() == before && before != Stamps::of(&tls.config));
    tls.look();
    assert!(tls.read().is_err() && *tls.stamps.lock() == Stamps::of(&tls.config), "it is told once");
    world.write("node.key", &std::fs::read_to_string(world.path("foreign.key")).unwrap());
    // What a reload has read and not put in force is found by the next look.
    let read = tls.read().unwrap();
    assert!(*tls.stamps.lock() != read.stamps);
    tls.look();
    assert!(*tls.stamps.lock() == read.stamps);
    assert_eq!(tls.exchange(&read), Ok(false), "these were in force already");
    assert!(Metrics::new("0").text().lines().all(|line| !line.starts_with("weir_tls_certificate")));
}

#[test]
fn hosts_are_taken_out_of_urls() {
    for (url, host) in
        [("https://a:1", "a"), ("https://[::1]:7650", "[::1]"), ("https://10.0.0.5:1", "10.0.0.5")]
    {
        assert_eq!(host_of(url), host);
    }
}
