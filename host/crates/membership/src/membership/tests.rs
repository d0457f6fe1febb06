//! What a node with the key may send that is no node: nothing of it panics, or takes memory without bound.

use alloc::vec::Vec;

use bytes::BufMut as _;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::view::refresh_ms;

const NOW: Now = Now { ms: 0, unix_ms: 1_700_000_000_000 };

fn addr(port: u16) -> SocketAddr {
    SocketAddr::new([10, 0, 0, 1].into(), port)
}

fn node(port: u16) -> Membership {
    let about = About { url: "http://a:1".into(), ..About::default() };
    let identity = Identity::new(addr(port), port.into(), 0, NOW.unix_ms);
    let key = Key { id: 1, secret: [1; 32] };
    let (process, memory) = (u128::from(port), Memory::default());
    let setup = Setup { identity, cluster: "c".into(), keys: [key].into(), process, seed: 1, about, memory };
    Membership::new(setup, NOW)
}

/// Two members, and the bodies of what they have said to each other within a minute.
fn talk() -> (Membership, Vec<Vec<u8>>, Now) {
    let mut nodes = [node(1), node(2)];
    nodes[0].set_seeds([addr(2)], NOW);
    let reader = Envelope::new("c", &[Key { id: 1, secret: [1; 32] }], 9);
    let (mut bodies, mut now) = (Vec::new(), NOW);
    for _ in 0..600 {
        now = Now { ms: now.ms + 100, unix_ms: now.unix_ms + 100 };
        for from in 0..2 {
            nodes[from].tick(now);
            for datagram in nodes[from].datagrams() {
                bodies.push(reader.open(&datagram.bytes).unwrap().body);
                let to = usize::from(datagram.to.port() - 1);
                nodes[to].receive(addr(from as u16 + 1), &datagram.bytes, now);
            }
        }
    }
    let [first, _] = nodes;
    (first, bodies, now)
}

#[test]
fn sealed_rubbish_is_counted_or_harmless() {
    let (mut node, bodies, mut now) = talk();
    assert_eq!(node.members(now).count(), 1);
    let mut forger = Envelope::new("c", &[Key { id: 1, secret: [1; 32] }], 10);
    let mut rng = SmallRng::seed_from_u64(7);
    for round in 0..30_000 {
        let mut body = bodies[rng.random_range(0..bodies.len())].clone();
        for _ in 0..rng.random_range(0..4) {
            if !body.is_empty() {
                let at = rng.random_range(0..body.len());
                body[at] = rng.random();
            }
        }
        body.truncate(rng.random_range(0..=body.len().max(1)));
        now = Now { ms: now.ms + 10, unix_ms: now.unix_ms + 10 };
        node.receive(addr(3), &forger.seal(&body, now.unix_ms), now);
        node.tick(now);
        if round % 100 == 0 {
            node.datagrams();
            node.notices();
        }
    }
    let malformed = node.rejected().find(|(reason, _)| *reason == Reason::Malformed).map(|(_, count)| count);
    assert!(malformed.unwrap() > 3_000, "{malformed:?}");
    assert!(node.memory().encode().len() < 1 << 20);
}

#[test]
fn half_of_a_datagram_changes_nothing() {
    let (mut node, _, now) = talk();
    let before = node.memory();
    let mut forger = Envelope::new("c", &[Key { id: 1, secret: [1; 32] }], 10);
    let about = About { url: "http://b:1".into(), ..About::default() };
    let record = Record { node: 77, bump: 1, sequence: 1, what: What::About(about) };
    let mut body = Vec::new();
    body.put_u16_le(0);
    crate::record::put_record(&mut body, &record.encode());
    for cut in 3..body.len() {
        node.receive(addr(3), &forger.seal(&body[..cut], now.unix_ms), now);
    }
    assert_eq!(node.memory(), before);
    node.receive(addr(3), &forger.seal(&body, now.unix_ms), now);
    assert_eq!(node.members(now).count(), 2);
}

#[test]
fn with_many_nodes_each_says_less_often_how_it_does() {
    let periods = [1, 3, 16, 32, 320].map(refresh_ms);
    assert_eq!(periods, [5_000, 5_000, 5_000, 10_000, 100_000]);
}
