//! The source in a scripted world.

use weir_plugin_sdk::amqp::Envelope;
use weir_plugin_sdk::limits::RECORD_BYTES_MAX;
use weir_plugin_sdk::testing::{Published, Queue, Record, Run, World};
use weir_plugin_sdk::{Budget, Polled, Verdict};

use crate::AmqpSource;

const TIME_MS: u64 = 1_700_000_000_123;

fn published(body: &[u8], id: &str) -> Published {
    let envelope = Envelope {
        exchange: "logs".into(),
        routing_key: "shop.eu".into(),
        properties: vec![("app-id".into(), "cart".into())],
        headers: vec![("tenant".into(), "a\nb".into())],
    };
    Published { body: body.into(), envelope, time_ms: TIME_MS, message_id: id.into() }
}

fn payloads(records: &[Record]) -> Vec<&[u8]> {
    records.iter().map(|record| &*record.payload).collect()
}

/// The records of messages under settings, all handed over with their receipts.
fn check(config: &str, bodies: &[&[u8]]) -> (Vec<Record>, Queue) {
    let world = World::new();
    let queue = world.queue("main");
    queue.take_discarded();
    for body in bodies {
        queue.publish(published(body, "m"));
    }
    let mut run = Run::<AmqpSource>::open(&world, config, None).unwrap();
    let records = run.drain().unwrap();
    assert_eq!(queue.counts(), (bodies.len(), 0, 0));
    (records, queue)
}

#[test]
fn a_message_is_a_record_with_its_bytes_labels_time_and_key() {
    let (records, _) = check("{}", &[b"one\n\0\xff", b""]);
    assert_eq!(payloads(&records), [&b"one\n\0\xff"[..], b""]);
    let one = &records[0];
    assert_eq!((one.label("exchange"), one.label("routing_key")), (Some("logs"), Some("shop.eu")));
    assert_eq!(one.time_unix_ns, Some(TIME_MS * 1_000_000));
    assert_eq!(one.key.as_deref(), Some(&b"m\0\0\0\0\0"[..]));
}

#[test]
fn labels_come_from_where_the_operator_says() {
    let config = r#"{"labels": {"app": "property.app-id", "who": "header.tenant", "no": "header.none"}}"#;
    let (records, _) = check(config, &[b"x"]);
    let labels: Vec<_> = records[0].labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(labels, [("app", "cart"), ("who", "a b")]);
}

#[test]
fn prefixes_stand_in_front_of_every_record() {
    for (config, expected) in [
        (r#"{"prefix": "A B"}"#, vec!["A B one\ntwo\n"]),
        (r#"{"prefix": "FREEGO_WORK", "prefix_style": "bracketed"}"#, vec!["[FREEGO_WORK ] one\ntwo\n"]),
        (r#"{"prefix": "A", "split": "lines"}"#, vec!["A one", "A two"]),
        (r#"{"prefix_style": "bracketed"}"#, vec!["one\ntwo\n"]),
    ] {
        let (records, _) = check(config, &[b"one\ntwo\n"]);
        let expected: Vec<&[u8]> = expected.iter().map(|text| text.as_bytes()).collect();
        assert_eq!(payloads(&records), expected, "{config}");
    }
}

#[test]
fn lines_of_a_message_have_keys_of_their_own() {
    let (records, _) = check(r#"{"split": "lines"}"#, &[b"same\nsame\n\nlast", b""]);
    assert_eq!(payloads(&records), [&b"same"[..], b"same", b"", b"last", b""]);
    let keys: Vec<_> = records[..4].iter().map(|record| record.key.clone().unwrap()).collect();
    assert_eq!(keys.iter().map(|key| key[key.len() - 1]).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn without_message_id_or_timestamp_there_is_no_key() {
    let world = World::new();
    let queue = world.queue("main");
    queue.publish(Published { time_ms: 0, ..published(b"no time", "m") });
    queue.publish(published(b"no id", ""));
    let mut run = Run::<AmqpSource>::open(&world, "{}", None).unwrap();
    let records = run.drain().unwrap();
    let seen: Vec<_> = records.iter().map(|r| (r.time_unix_ns.is_some(), r.key.is_some())).collect();
    assert_eq!(seen, [(false, false), (true, false)]);
    let (records, _) = check(r#"{"event_time": false}"#, &[b"x"]);
    assert_eq!((records[0].time_unix_ns, records[0].key.clone()), (None, None));
}

#[test]
fn bodies_of_the_wrong_kind_are_marked_or_discarded_but_never_dropped() {
    let bodies: [&[u8]; 3] = [b"{\"a\": 1}", b"{broken", b"\xff"];
    let (records, queue) = check(r#"{"format": "json"}"#, &bodies);
    let marks: Vec<_> = records.iter().map(|record| record.label("decode_error")).collect();
    assert_eq!((marks, queue.discarded().len()), (vec![None, Some("JSON"), Some("JSON")], 0));
    let (records, queue) = check(r#"{"format": "text", "strict": true}"#, &bodies);
    assert_eq!(payloads(&records), &bodies[..2]);
    let discarded = queue.discarded();
    assert_eq!(
        (discarded.len(), &*discarded[0].0.body, &*discarded[0].1),
        (1, &b"\xff"[..], "its body is not UTF-8")
    );
}

#[test]
fn strict_without_a_place_for_what_it_refuses_does_not_start() {
    let world = World::new();
    world.queue("main");
    let failure = Run::<AmqpSource>::open(&world, r#"{"format": "json", "strict": true}"#, None).unwrap_err();
    assert_eq!((failure.verdict, &*failure.code), (Verdict::BadConfig, "config.strict"));
}

#[test]
fn a_message_of_many_mebibytes_comes_in_parts_and_its_receipt_with_the_last() {
    let world = World::new();
    let queue = world.queue("main");
    let body: Vec<u8> = (0..5 * RECORD_BYTES_MAX + 17).map(|i| b'a' + (i % 26) as u8).collect();
    queue.publish(published(&body, "m"));
    let mut run = Run::<AmqpSource>::open(&world, r#"{"prefix": "P"}"#, None).unwrap();
    run.set_budget(Budget { records: 10, bytes: 2 * RECORD_BYTES_MAX, wait_ms: 0 });
    let mut records = run.step().unwrap();
    assert_eq!((records.len(), queue.counts()), (2, (0, 1, 0)));
    records.extend(run.drain().unwrap());
    assert_eq!(queue.counts(), (1, 0, 0));
    let whole: Vec<u8> = records.iter().flat_map(|record| record.payload.clone()).collect();
    assert_eq!((&whole[..2], &whole[2..]), (&b"P "[..], &body[..]));
    let marks: Vec<_> = records.iter().map(Record::part).collect();
    assert_eq!((marks[0], marks[1], marks[5]), (Some("first"), Some("middle"), Some("last")));
}

#[test]
fn what_was_not_handed_over_comes_again_and_says_so() {
    let world = World::new();
    let queue = world.queue("main");
    queue.publish(published(b"a\nb\nc", ""));
    let open = || Run::<AmqpSource>::open(&world, r#"{"split": "lines"}"#, None).unwrap();
    let mut run = open();
    run.set_budget(Budget { records: 1, bytes: RECORD_BYTES_MAX, wait_ms: 0 });
    assert_eq!(payloads(&run.step().unwrap()), [b"a"]);
    drop(run);
    assert_eq!(queue.counts(), (0, 0, 1));
    let mut run = open();
    assert!(matches!(run.poll(), Ok(Polled::Records(taken)) if taken.repeated && taken.batch.count() == 3));
}

#[test]
fn close_hands_over_the_rest_of_what_was_begun() {
    let world = World::new();
    let queue = world.queue("main");
    queue.publish(published(b"a\nb\nc", ""));
    let mut run = Run::<AmqpSource>::open(&world, r#"{"split": "lines"}"#, None).unwrap();
    run.set_budget(Budget { records: 1, bytes: RECORD_BYTES_MAX, wait_ms: 0 });
    run.step().unwrap();
    assert_eq!(payloads(&run.close().0), [b"b", b"c"]);
    assert_eq!(queue.counts(), (1, 0, 0));
}

#[test]
fn a_stream_goes_on_behind_what_was_stored() {
    let world = World::new();
    let queue = world.queue("main");
    queue.make_stream();
    for _ in 0..300 {
        queue.publish(published(b"x", ""));
    }
    let mut run = Run::<AmqpSource>::open(&world, "{}", None).unwrap();
    assert_eq!((run.drain().unwrap().len(), queue.opened_after()), (300, None));
    let cursor = run.cursor();
    Run::<AmqpSource>::open(&world, "{}", cursor).unwrap();
    assert_eq!(queue.opened_after(), Some(299));
}

#[test]
fn settings_that_cannot_work_are_told() {
    let world = World::new();
    world.queue("main");
    for (config, expected) in [
        (r#"{"labels": {"a": "routing-key"}}"#, "labels.a: expected exchange, routing_key"),
        (r#"{"prefix": "a\nb"}"#, "prefix: expected at most 128 bytes"),
    ] {
        let failure = Run::<AmqpSource>::open(&world, config, None).unwrap_err();
        assert!(failure.message.starts_with(expected), "{failure:?}");
    }
}
