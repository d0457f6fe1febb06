//! A node that asks for tokens: who is let in where, and who is not.

mod clients;
mod flood;
mod lines;
mod paths;
mod topics;
mod world;

use std::io::Read as _;

use anyhow::{Context as _, Result, ensure};
use weir_api::access::{Scope, Secret};
use weir_api::{Needs, guards};
use world::{World, ask, ask_all, bearer, head_of, send, token};

/// What anybody may read. A new route is not among it by itself.
const OPEN: [&str; 9] =
    ["/-/healthy", "/-/ready", "/health", "/", "/ui", "/ui/", "/ui/page.css", "/ui/page.js", "/ui/icon.svg"];

/// A world with a token for each scope, one that has expired, and one that has all scopes.
fn world() -> Result<World> {
    let mut world = World::new()?;
    for scope in Scope::NAMES {
        world.add(scope, &["--scope", scope])?;
    }
    world.add("old", &["--scope", &Scope::NAMES.join(","), "--expires", "1h"])?;
    world.add("all", &["--scope", &Scope::NAMES.join(",")])?;
    // It was written an hour ago and more.
    let text = std::fs::read_to_string(&world.tokens)?;
    let expires = text.lines().find(|line| line.starts_with("expires")).context("one expires")?;
    std::fs::write(&world.tokens, text.replace(expires, "expires = 2020-01-01T00:00:00Z"))?;
    Ok(world)
}

#[test]
fn every_route_refuses_whoever_may_not_and_no_secret_is_told_anywhere() -> Result<()> {
    let world = world()?;
    let mut node = world.start()?;
    let stranger = Secret::of_random([0x5a; 32]);
    let mut told = String::new();
    let mut refusals = 0;
    for (path, method, needs) in guards() {
        let method = method.as_str();
        let (scopes, scheme) = match needs {
            Needs::Nothing => {
                ensure!(OPEN.contains(&path), "{method} {path} is open to anybody");
                let status = ask(&node, method, path, "", b"")?.status;
                ensure!(status < 400, "{method} {path}: {status}");
                continue;
            }
            Needs::Any(scopes) => (scopes, "Bearer"),
            Needs::Signature => (&[][..], "Weir-HMAC"),
        };
        ensure!(!OPEN.contains(&path), "{method} {path}");
        let (own, all) = (world.secret("old"), world.secret("all"));
        // A secret in the URL is none, however good it is.
        for (target, headers) in [
            (path.to_owned(), String::new()),
            (path.to_owned(), bearer(stranger.reveal())),
            (path.to_owned(), bearer(&all[..all.len() - 1])),
            (path.to_owned(), bearer(own)),
            (path.to_owned(), format!("authorization: Basic {all}\r\n")),
            (path.to_owned(), "authorization: Weir-HMAC 1 2 3\r\nweir-passed-on: 1\r\n".to_owned()),
            (format!("{path}?access_token={all}"), String::new()),
            (format!("{path}?token={all}"), format!("cookie: token={all}\r\n")),
        ] {
            let answer = ask(&node, method, &target, &headers, b"")?;
            // A node without others answers none of them; one that counts wrong tokens says when to come again.
            let refused = match answer.status {
                401 => answer
                    .header("www-authenticate")
                    .is_some_and(|challenge| challenge == scheme || headers.contains("HMAC")),
                429 => answer.header("retry-after").is_some(),
                403 => scheme == "Weir-HMAC",
                _ => false,
            };
            ensure!(refused, "{method} {path} with {headers:?}: {} {}", answer.head, answer.body);
            told += &(answer.head + &answer.body);
            refusals += 1;
        }
        for scope in Scope::ALL {
            let answer = ask(&node, method, path, &bearer(world.secret(scope.name())), b"")?;
            if scopes.contains(&scope) {
                let denied = [401, 429].contains(&answer.status) || answer.body.contains("wrong_scope");
                ensure!(!denied, "{method} {path} as {scope}: {} {}", answer.head, answer.body);
            } else if scheme == "Bearer" {
                ensure!(answer.status == 403, "{method} {path} as {scope}: {} {}", answer.head, answer.body);
                let hint = format!("scope {}", scopes[0]);
                ensure!(method == "HEAD" || answer.body.contains(&hint), "{method} {path}: {}", answer.body);
                refusals += 1;
            } else {
                ensure!([401, 403].contains(&answer.status), "{method} {path} as {scope}: {}", answer.head);
                refusals += 1;
            }
            told += &(answer.head + &answer.body);
        }
    }
    ensure!(refusals > 300, "{refusals}");
    let metrics = ask_all(&node, "GET", "/metrics", world.secret("metrics"), b"")?;
    ensure!(metrics.status == 200, "{}", metrics.head);
    let shown = weir_cluster_tests::process::run(&[
        "config",
        "show",
        "-c",
        &world.config()?.display().to_string(),
        "--set",
        &format!("forward.token={}", world.secret("all")),
    ])?;
    told += &metrics.body;
    told += &String::from_utf8_lossy(&shown.stdout);
    told += &node.log();
    let (code, log) = node.terminate_told()?;
    ensure!(code == 0, "{log}");
    told += &log;
    ensure!(told.len() > 10_000, "little was said, so little was looked at");
    for (name, secret) in &world.secrets {
        ensure!(!told.contains(&secret[5..37]), "the secret of {name} was told");
    }
    ensure!(!told.contains(&stranger.reveal()[5..37]), "the secret of a stranger was told");
    Ok(())
}

#[test]
fn a_token_that_is_taken_back_ends_what_is_under_way_and_a_broken_file_changes_nothing() -> Result<()> {
    let mut world = World::new()?;
    world.add("admin", &["--scope", "admin"])?;
    world.add("kept", &["--scope", "tail"])?;
    let node = world.start()?;
    let reload = || ask_all(&node, "POST", "/-/reload", world.secret("admin"), b"");

    // It works as soon as it was read.
    let later = token(&world.tokens, "later", &["--scope", "tail,query,ingest"])?;
    ensure!(ask(&node, "GET", "/api/v1/tail", &bearer(&later), b"")?.status == 401);
    let said = reload()?;
    ensure!(said.status == 200 && said.body.contains("tokens in force anew: later"), "{said:?}");
    let mut tails = Vec::new();
    for (target, secret) in [
        ("/api/v1/tail", later.as_str()),
        ("/store/stream?q=", later.as_str()),
        ("/api/v1/tail", world.secret("kept")),
    ] {
        let mut stream = send(&node, "GET", target, &bearer(secret), b"")?;
        let (head, _) = head_of(&mut stream)?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{target}: {head}");
        tails.push(stream);
    }

    // A broken file: all that is wrong is told, and what was in force is.
    let good = std::fs::read_to_string(&world.tokens)?;
    std::fs::write(&world.tokens, good.replacen("scopes", "scope", 1))?;
    let said = reload()?;
    ensure!(said.status == 500 && said.body.contains("tokens.toml:"), "{said:?}");
    ensure!(said.body.contains("did you mean `scopes`?"), "{said:?}");
    ensure!(ask(&node, "GET", "/api/v1/streams", &bearer(&later), b"")?.status == 200);

    // Taken back: no request more, and what is under way ends. Others go on.
    let at = good.find("[[token]]\nname    = \"later\"").context("the entry")?;
    std::fs::write(&world.tokens, &good[..at])?;
    let said = reload()?;
    ensure!(said.status == 200 && said.body.contains("tokens taken back: later"), "{said:?}");
    let mut kept = tails.pop().context("three tails")?;
    for mut stream in tails {
        let mut rest = Vec::new();
        // Cut, not ended in peace: nobody takes half an answer for a whole one.
        let _ = stream.read_to_end(&mut rest);
        ensure!(!String::from_utf8_lossy(&rest).ends_with("\r\n0\r\n\r\n"), "{rest:?}");
    }
    for path in ["/api/v1/tail", "/api/v1/streams"] {
        ensure!(ask(&node, "GET", path, &bearer(&later), b"")?.status == 401);
    }
    token(&world.tokens, "writer", &["--scope", "ingest"]).and_then(|writer| {
        reload()?;
        let sent = ask_all(&node, "POST", "/api/v1/ingest?topic=t", &writer, b"still here\n")?;
        ensure!(sent.status == 200, "{sent:?}");
        Ok(())
    })?;
    let mut got = String::new();
    let mut chunk = [0; 1024];
    while !got.contains("still here") {
        let read = kept.read(&mut chunk)?;
        ensure!(read > 0, "the tail of another token has ended: {got}");
        got += &String::from_utf8_lossy(&chunk[..read]);
    }
    Ok(())
}
