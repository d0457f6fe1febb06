//! Gates, opened and kept shut.

use super::*;
use crate::access::Topics;

const NOW_MS: u64 = 1_700_000_000_000;
const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn secret(n: u8) -> Secret {
    Secret::of_random([n; 32])
}

fn token(n: u8, scopes: &[Scope]) -> Token {
    Token {
        name: format!("token-{n}"),
        sha256: secret(n).sha256(),
        scopes: scopes.iter().copied().collect(),
        topics: Topics::default(),
        expires_ms: None,
    }
}

fn with(header: &[u8]) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, http::HeaderValue::from_bytes(header).unwrap())])
}

fn admit(gate: &Gate, n: u8, now_ms: u64, needs: &[Scope]) -> Result<Caller, ApiError> {
    gate.admit(&with(format!("Bearer {}", secret(n).reveal()).as_bytes()), ADDRESS, now_ms, needs)
}

#[test]
fn a_gate_opens_to_valid_tokens_with_the_scope_alone() {
    let mut old = token(2, &[Scope::Query]);
    old.expires_ms = Some(NOW_MS);
    let gate = Gate::new(vec![token(1, &[Scope::Query, Scope::Tail]), old], GateOptions::default());
    let good = secret(1).reveal().to_owned();
    for header in [format!("Bearer {good}"), format!("bearer  {good} ")] {
        assert!(gate.admit(&with(header.as_bytes()), ADDRESS, NOW_MS, &[Scope::Tail]).is_ok(), "{header}");
    }
    let old = secret(2).reveal().to_owned();
    let stranger = secret(3).reveal().to_owned();
    for (header, needs, code) in [
        (String::new(), Scope::Query, "no_token"),
        (good.clone(), Scope::Query, "no_token"),
        (format!("Basic {good}"), Scope::Query, "no_token"),
        ("Bearer ".into(), Scope::Query, "bad_token"),
        (format!("Bearer {stranger}"), Scope::Query, "bad_token"),
        (format!("Bearer {}", &good[..76]), Scope::Query, "bad_token"),
        (format!("Bearer {good}, Bearer {good}"), Scope::Query, "bad_token"),
        (format!("Bearer {old}"), Scope::Query, "expired_token"),
        (format!("Bearer {good}"), Scope::Admin, "wrong_scope"),
        (format!("Bearer {good}"), Scope::Ingest, "wrong_scope"),
    ] {
        let error = gate.admit(&with(header.as_bytes()), ADDRESS, NOW_MS, &[needs]).unwrap_err();
        assert_eq!(error.code(), code, "{header}");
        let told = format!("{error:?} {error} {:?}", error.envelope());
        assert!(![&good, &old, &stranger].iter().any(|secret| told.contains(&secret[5..20])), "{told}");
        assert_eq!(told.contains("scope"), code == "wrong_scope", "{told}");
    }
    let mut both = with(format!("Bearer {good}").as_bytes());
    both.append(AUTHORIZATION, http::HeaderValue::from_static("Bearer x"));
    assert_eq!(gate.admit(&both, ADDRESS, NOW_MS, &[Scope::Query]).unwrap_err().code(), "no_token");
}

#[tokio::test]
async fn what_is_under_way_ends_with_its_token_and_with_no_other() {
    let (mut first, second) = (token(1, &[Scope::Tail]), token(2, &[Scope::Tail]));
    let gate = Gate::new(vec![first.clone(), second.clone()], GateOptions::default());
    let [a, b] = [1, 2].map(|n| admit(&gate, n, NOW_MS, &[Scope::Tail]).unwrap());
    assert_eq!(gate.replace(vec![first.clone(), second.clone()]), TokenChanges::default());
    first.topics = Topics::parse(["shop"]).unwrap();
    let changes = gate.replace(vec![second.clone(), first]);
    let names = vec!["token-1".to_owned()];
    assert_eq!(changes, TokenChanges { added: names.clone(), removed: names });
    a.ended().await;
    assert!(admit(&gate, 1, NOW_MS, &[Scope::Tail]).unwrap().topics().is_restricted());
    assert_eq!(gate.replace(Vec::new()).removed, ["token-2", "token-1"]);
    b.ended().await;
    assert_eq!(admit(&gate, 2, NOW_MS, &[Scope::Tail]).unwrap_err().code(), "bad_token");
}

#[tokio::test]
async fn what_is_under_way_ends_when_its_token_expires() {
    let mut token = token(1, &[Scope::Tail]);
    token.expires_ms = Some(NOW_MS + 5_000);
    let gate = Gate::new(vec![token], GateOptions::default());
    let caller = admit(&gate, 1, NOW_MS + 4_990, &[Scope::Tail]).unwrap();
    // It would wait for ever otherwise.
    caller.ended().await;
    assert_eq!(admit(&gate, 1, NOW_MS + 5_000, &[Scope::Tail]).unwrap_err().code(), "expired_token");
}

#[test]
fn an_address_that_tries_tokens_waits_and_valid_ones_of_it_do_not() {
    let gate = Gate::new(vec![token(1, &[Scope::Query])], GateOptions::default());
    let tried: Vec<ApiError> =
        (0..50).map(|_| admit(&gate, 9, NOW_MS, &[Scope::Query]).unwrap_err()).collect();
    let codes: Vec<_> = tried.iter().map(ApiError::code).collect();
    assert_eq!(codes[..20], ["bad_token"; 20]);
    assert_eq!(codes[20..], ["too_many_failures"; 30]);
    assert_eq!(tried[49].retry_after(), Some(1));
    assert!(admit(&gate, 1, NOW_MS, &[Scope::Query]).is_ok());
    let other = IpAddr::from([10, 0, 0, 1]);
    let error = gate.admit_secret("x", other, NOW_MS, &[Scope::Query]).unwrap_err();
    assert_eq!(error.code(), "bad_token");
    assert_eq!(admit(&gate, 9, NOW_MS + 1_000, &[Scope::Query]).unwrap_err().code(), "bad_token");
}

#[test]
fn a_token_has_its_share_of_requests_and_of_queries() {
    let options = GateOptions { requests_per_s: 2, queries_max: 2 };
    let gate = Gate::new([1, 2].map(|n| token(n, &[Scope::Query, Scope::Tail])).into(), options);
    let tails: Vec<_> = (0..6).map(|_| admit(&gate, 1, NOW_MS, &[Scope::Tail]).map(drop)).collect();
    assert_eq!(tails.iter().filter(|tail| tail.is_ok()).count(), 4);
    let error = tails[5].as_ref().unwrap_err();
    assert_eq!((error.code(), error.retry_after()), ("too_many_requests", Some(1)));
    let later_ms = NOW_MS + 60_000;
    let places = [0; 2].map(|_| admit(&gate, 1, later_ms, &[Scope::Query]).unwrap());
    for needs in [Scope::Query, Scope::Tail] {
        assert_eq!(admit(&gate, 1, later_ms, &[needs]).unwrap_err().code(), "too_many_queries");
    }
    assert!(admit(&gate, 2, later_ms, &[Scope::Query]).is_ok(), "another token has places of its own");
    drop(places);
    assert!(admit(&gate, 1, later_ms + 1_000, &[Scope::Query]).is_ok());
}

#[test]
fn a_caller_finds_what_is_on_its_topics() {
    let mut token = token(1, &[Scope::Query, Scope::Ingest]);
    token.topics = Topics::parse(["shop", "pay-*"]).unwrap();
    let gate = Gate::new(vec![token], GateOptions::default());
    let caller = admit(&gate, 1, NOW_MS, &[Scope::Query]).unwrap();
    for (asked, found) in [
        ("", "topic:shop OR topic:pay-*"),
        ("a OR b", "(topic:shop OR topic:pay-*) (a OR b)"),
        ("-topic:shop", "(topic:shop OR topic:pay-*) -topic:shop"),
    ] {
        let expr = caller.restrict(weir_query::parse(asked).unwrap()).unwrap();
        assert_eq!(expr.to_string(), found);
    }
    let long = weir_query::parse(&"x".repeat(16 << 10)).unwrap();
    assert_eq!(caller.restrict(long).unwrap_err().code(), "bad_query");
    assert!(caller.may_write("pay-eu").is_ok());
    assert_eq!(caller.may_write("pay").unwrap_err().code(), "wrong_topic");
    assert!(Caller::default().may_write("anything").is_ok());
}
