//! What is asked is answered.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use weir_api::backend::OfferedFilter;
use weir_api::backend::peer::{
    Buckets, ChangesRequest, ConfirmRequest, Confirmation, Confirmed, CountedOn, FailedRequest, Gap,
    HashedRows, HoldsRequest, Job, Kept, NamesRequest, OriginRequest, Origins, PlanRequest, Role, SearchMode,
    SearchPart, SearchRequest, SnapshotToken, Syntax, TailEvent, TailRequest, UnitOrigins,
};
use weir_api::client::{ClientError, PeerClient, SearchBody};
use weir_query::Order;
use weir_record::{RecordId, limits};
use weir_segment::{RecordDigest, Unit};

use weir_replication::{Place, Position};

use super::node::{BEGINNING, Script, file, origin, some_rows};
use super::run_peer;

const WAIT: ChangesRequest = ChangesRequest { place: Place::Backlog, since: BEGINNING, wait_ms: 30_000 };
const LIMIT: Duration = Duration::from_secs(20);

pub(super) fn search(mode: SearchMode) -> SearchRequest {
    let origins = Origins::AllBut(vec![origin().name]);
    SearchRequest {
        token: SnapshotToken(77),
        syntax: Syntax::Weir,
        query: "error".into(),
        from: RecordId::MIN,
        to: RecordId::MAX,
        limit: Some(5),
        order: Order::Desc,
        time_ms: Some(1000),
        whole: true,
        mode,
        stages: Vec::new(),
        log: true,
        units: vec![UnitOrigins { unit: origin().unit, origins }],
    }
}

pub(super) fn claim() -> OriginRequest {
    OriginRequest { place: Place::Backlog, origin: origin(), store: 0xabc }
}

pub(super) fn tail() -> TailRequest {
    TailRequest { query: "error".into(), resume: Some(Bytes::from_static(b"before")) }
}

async fn all_parts(body: &mut SearchBody) -> Vec<SearchPart> {
    let mut parts = Vec::new();
    while let Some(part) = body.next().await.unwrap() {
        parts.push(part);
    }
    parts
}

#[tokio::test]
async fn short_questions_are_answered() {
    let (_server, peer, client) = run_peer();
    let info = client.info().await.unwrap();
    assert_eq!((info.node, info.incarnation, info.draining), (255, u64::MAX, true));
    assert!(info.is(Role::Store) && !info.is(Role::Query));

    let streams = client.streams().await.unwrap();
    assert_eq!(streams.iter().map(|stream| stream.topic.as_str()).collect::<Vec<_>>(), ["t"]);

    let confirmation = |kept| Confirmation { origin: origin(), digest: RecordDigest([7; 16]), kept };
    let request = ConfirmRequest {
        store: u64::MAX,
        origins: vec![confirmation(Kept::Held), confirmation(Kept::Expired), confirmation(Kept::Held)],
    };
    let expected = [Confirmed::Counted, Confirmed::Complete, Confirmed::Unknown];
    // Twice: a repeat is no error.
    for _ in 0..2 {
        assert_eq!(client.confirm(&request).await.unwrap(), expected);
    }
    assert_eq!(peer.asked.lock().confirms, [request.clone(), request]);

    let request = FailedRequest { store: 1, origin: origin(), why: "é".repeat(5000) };
    client.failed(&request).await.unwrap();
    let noted = peer.asked.lock().failed.remove(0);
    assert_eq!((noted.origin, noted.store, noted.why.len()), (origin(), 1, 4096));

    let counted_on = CountedOn { origin: origin(), digest: RecordDigest([7; 16]) };
    let request = HoldsRequest { store: 1, origins: vec![counted_on; 3] };
    assert_eq!(client.holds(&request).await.unwrap(), [true, false, true]);
    assert_eq!(peer.asked.lock().holds, [request]);
    client.job(Job::CancelDrain).await.unwrap();
    assert_eq!(peer.asked.lock().jobs, [Job::CancelDrain]);

    // More than any other request may have.
    let component = Bytes::from(vec![7; limits::NODE_REQUEST_BYTES_MAX + 1]);
    let signature = Some("ed25519:0a:0b &+%".to_owned());
    let offered = OfferedFilter { name: "orders-only".into(), component, signature };
    client.offer(&offered).await.unwrap();
    assert_eq!(peer.asked.lock().offered, [offered]);

    client.release(SnapshotToken(9)).await.unwrap();
    assert_eq!(peer.asked.lock().released, [SnapshotToken(9)]);
}

#[tokio::test]
async fn a_plan_comes_with_all_its_changes() {
    let (_server, peer, client) = run_peer();
    // More than one frame holds.
    let changes: Bytes = (0..9_000_000_u32).map(|n| n as u8).collect();
    let since: Position = "ffffffffffffffff.5".parse().unwrap();
    let request = PlanRequest { place: Place::Store, since, from: RecordId::MIN, to: RecordId::MAX };
    for changes in [Bytes::new(), changes] {
        *peer.changes.lock() = changes.clone();
        let plan = client.plan(&request).await.unwrap();
        assert!(plan.changes == changes);
        assert_eq!(
            (plan.snapshot, plan.log[0].first_piece, &plan.contested),
            (SnapshotToken(77), 12, &vec![(6, 7)])
        );
        assert_eq!(plan.oldest, Some(RecordId::from_parts(5, 6)));
    }
    assert_eq!(peer.asked.lock().plans, [request.clone(), request.clone()]);
    let error =
        client.plan(&PlanRequest { to: RecordId::MIN, from: RecordId::MAX, ..request }).await.unwrap_err();
    assert_eq!(error.code(), Some("bad_range"));
}

#[tokio::test]
async fn names_of_origins_are_asked_for_by_unit_and_not_for_too_many_at_once() {
    let (_server, peer, client) = run_peer();
    *peer.changes.lock() = Bytes::from_static(b"names");
    let unit = |hour: u64| Unit::new(hour * 1000, 1000, "a", 0, 1).unwrap();
    let request = NamesRequest { units: vec![unit(1), unit(2)], after: None, snapshot: None };
    let next =
        NamesRequest { after: Some(claim().origin), snapshot: Some(SnapshotToken(7)), ..request.clone() };
    for request in [&request, &next] {
        assert_eq!(client.names(request).await.unwrap(), "names");
    }
    assert_eq!(peer.asked.lock().names, [request.clone(), next]);
    let units = (0..=limits::NODE_NAMES_UNITS_MAX as u64).map(unit).collect();
    let error = client.names(&NamesRequest { units, ..request }).await.unwrap_err();
    assert_eq!(error.code(), Some("too_many_units"));
}

#[tokio::test]
async fn an_origin_comes_as_a_whole_or_with_a_reason() {
    let (_server, peer, client) = run_peer();
    let mut body = client.origin(&claim()).await.unwrap();
    assert_eq!(body.bytes(), file().len() as u64);
    let mut got = Vec::new();
    while let Some(chunk) = body.next().await.unwrap() {
        got.extend_from_slice(&chunk);
    }
    assert!(got == file());
    let of_the_store = OriginRequest { place: Place::Store, ..claim() };
    client.origin(&of_the_store).await.unwrap();
    assert_eq!(peer.asked.lock().origins, [claim(), of_the_store]);

    *peer.script.lock() = Script::Gone;
    let error = client.origin(&claim()).await.unwrap_err();
    assert!(error.is_gone() && !error.is_retryable(), "{error}");
    *peer.script.lock() = Script::Busy;
    let error = client.origin(&claim()).await.unwrap_err();
    assert!(error.is_retryable() && !error.is_gone(), "{error}");
    let ClientError::Refused { status: 409, retry_after_s: Some(7), .. } = error else { panic!("{error:?}") };
}

#[tokio::test]
async fn a_search_answers_in_the_mode_that_was_asked_for() {
    let (_server, peer, client) = run_peer();
    let buckets = Buckets { from_ms: 1, width_ms: 2, count: 3 };
    let mut known = HashedRows::new();
    known.push(RecordId::MIN, 1, [3; 16]);
    for mode in [
        SearchMode::Rows,
        SearchMode::Suspects,
        SearchMode::Histogram(buckets, known.clone()),
        SearchMode::SuspectRows,
        SearchMode::Sum(known),
    ] {
        let request = search(mode.clone());
        let mut body = client.search(&request).await.unwrap();
        assert!(body.end().is_err(), "not known before the end");
        let parts = all_parts(&mut body).await;
        match (mode, &parts[0]) {
            (SearchMode::Rows | SearchMode::SuspectRows, SearchPart::Rows(rows)) => {
                assert_eq!((parts.len(), rows), (2, &some_rows()));
            }
            (SearchMode::Suspects, SearchPart::Hashes(rows)) => {
                assert_eq!(rows.iter().next(), Some((RecordId::MAX, 4, [7; 16])));
            }
            (SearchMode::Sum(_), SearchPart::Partial(partial)) => assert_eq!(**partial, [5; 300]),
            (_, SearchPart::Counts(counts)) => assert_eq!(counts.buckets, [[9; 5]; 3]),
            other => panic!("{other:?}"),
        }
        let end = body.end().unwrap();
        assert!(end.stats.limited && end.stats.complete);
        assert_eq!((end.stats.records_scanned, &end.unread), (42, &request.units));
        assert_eq!(peer.asked.lock().searches.pop(), Some(request));
        assert_eq!(body.next().await.unwrap(), None, "the end stays the end");
    }
    *peer.script.lock() = Script::Gone;
    let error = client.search(&search(SearchMode::Suspects)).await.unwrap_err();
    assert!(error.is_gone() && error.to_string().contains("answered 410"), "{error}");
}

#[tokio::test]
async fn a_tail_tells_positions_and_gaps_until_it_is_stopped() {
    let (server, peer, client) = run_peer();
    let mut body = client.tail(&tail()).await.unwrap();
    assert_eq!(body.next().await.unwrap(), TailEvent::Gap(Gap::Lost));
    assert_eq!(body.next().await.unwrap(), TailEvent::Rows(some_rows()));
    assert_eq!(body.next().await.unwrap(), TailEvent::Position(Bytes::from_static(b"after 1000")));
    assert_eq!(body.next().await.unwrap(), TailEvent::Gap(Gap::Dropped(9)));
    assert_eq!(peer.asked.lock().tails, [tail()]);
    server.shutdown.cancel();
    let error = body.next().await.unwrap_err();
    assert!(error.is_retryable() && error.code() == Some("stopping"), "{error}");
    assert_eq!(server.task.await.unwrap().cut, 0, "nothing is waited for");
}

#[tokio::test]
async fn a_wait_for_news_ends_with_news_in_time_or_with_the_node() {
    let (server, peer, client) = run_peer();
    let asking = |client: &PeerClient, request| {
        let client = client.clone();
        tokio::spawn(async move { client.changes(request).await })
    };
    let waiting = asking(&client, WAIT);
    peer.waiting.notified().await;
    assert!(!waiting.is_finished());
    *peer.changes.lock() = Bytes::from_static(b"news");
    peer.news.notify_waiters();
    let got = timeout(LIMIT, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(got, Bytes::from_static(b"news"));

    *peer.changes.lock() = Bytes::new();
    let brief = ChangesRequest { wait_ms: 1, ..WAIT };
    assert_eq!(timeout(LIMIT, asking(&client, brief.clone())).await.unwrap().unwrap().unwrap(), Bytes::new());
    peer.waiting.notified().await;
    // Longer than anybody may wait: the node is told the bound.
    let endless = asking(&client, ChangesRequest { wait_ms: u64::MAX, ..WAIT });
    peer.waiting.notified().await;
    server.shutdown.cancel();
    let error = timeout(LIMIT, endless).await.unwrap().unwrap().unwrap_err();
    assert!(error.is_retryable() && error.code() == Some("stopping"), "{error}");
    let asked = peer.asked.lock().changes.clone();
    assert_eq!(asked, [WAIT, brief, WAIT]);
}

#[tokio::test]
async fn whoever_leaves_is_not_worked_for() {
    let (_server, peer, client) = run_peer();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.changes(WAIT).await }
    });
    peer.waiting.notified().await;
    waiting.abort();
    timeout(LIMIT, peer.left.notified()).await.unwrap();

    *peer.script.lock() = Script::Silent;
    drop(client.search(&search(SearchMode::Rows)).await.unwrap());
    timeout(LIMIT, peer.left.notified()).await.unwrap();
    drop(client.tail(&tail()).await.unwrap());
    timeout(LIMIT, peer.left.notified()).await.unwrap();
    let mut body = client.origin(&claim()).await.unwrap();
    body.next().await.unwrap();
    drop(body);
    timeout(LIMIT, peer.left.notified()).await.unwrap();
}

#[tokio::test]
async fn connections_are_used_again() {
    let (server, peer, client) = run_peer();
    *peer.changes.lock() = Bytes::from_static(b"news");
    for _ in 0..5 {
        client.info().await.unwrap();
        client.changes(WAIT).await.unwrap();
        all_parts(&mut client.search(&search(SearchMode::Rows)).await.unwrap()).await;
    }
    let metrics = server.get("/metrics").await.text();
    assert!(metrics.lines().any(|line| line == "weir_http_connections 2"), "{metrics}");
}
