//! Peers that take lines, refuse them, and go away.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use weir_record::{Batch, BatchFlags, IdRun, Stream};

use super::*;

fn entry(lines: &[&str]) -> Entry {
    let stream = Stream::new("t", [("", ""); 0]).unwrap();
    let run = IdRun { first: RecordId::from_u128(1), count: lines.len() as u32 };
    let mut end = 0;
    let ends = lines.iter().map(|line| {
        end += line.len() as u32;
        end
    });
    let batch = Batch::new(stream, BatchFlags::NONE, vec![run], ends.collect(), lines.concat().into_bytes());
    Entry { checkpoint: None, batches: vec![batch.unwrap()] }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A sink to addresses, in this order.
fn sink(addresses: &[SocketAddr]) -> LineSink {
    let urls: Vec<String> = addresses.iter().map(|address| format!("tcp://{address}")).collect();
    let sink = LineSink::new(&urls, None, CancellationToken::new());
    let targets = urls.iter().map(|url| Target::of(url)).collect();
    sink.line.try_lock().unwrap().targets = targets;
    sink
}

async fn all_of(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn lines_arrive_and_the_end_waits_for_the_peer() {
    let (listener, address) = listener().await;
    let sink = sink(&[address]);
    let peer = tokio::spawn(async move { all_of(listener.accept().await.unwrap().0).await });
    sink.deliver(entry(&["one", "two"]), Durability::Stored).await.unwrap();
    sink.deliver(entry(&["three"]), Durability::Stored).await.unwrap();
    assert_eq!(sink.finish().await, Ok(()));
    assert_eq!(peer.await.unwrap(), "one\ntwo\nthree\n");
}

#[tokio::test]
async fn nothing_to_send_connects_to_nobody() {
    let (listener, address) = listener().await;
    drop(listener);
    assert_eq!(sink(&[address]).finish().await, Ok(()));
}

#[tokio::test]
async fn a_peer_that_refuses_is_passed_over_and_tried_again_until_the_process_stops() {
    let ((gone, refusing), (listener, address)) = (listener().await, listener().await);
    drop(gone);
    let sink = sink(&[refusing, address]);
    let peer = tokio::spawn(async move { all_of(listener.accept().await.unwrap().0).await });
    sink.deliver(entry(&["line"]), Durability::Stored).await.unwrap();
    sink.finish().await.unwrap();
    assert_eq!(peer.await.unwrap(), "line\n");

    let alone = super::tests::sink(&[refusing]);
    let delivered = tokio::spawn(alone.deliver(entry(&["line"]), Durability::Stored));
    alone.stop.cancel();
    let error = delivered.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("no peer took"), "{error}");
}

#[tokio::test]
async fn a_peer_that_ended_the_connection_is_noticed_before_a_line_is_lost() {
    let ((first, one), (second, two)) = (listener().await, listener().await);
    let sink = sink(&[one, two]);
    let read = tokio::spawn(async move {
        let mut line = [0; 4];
        let mut stream = first.accept().await.unwrap().0;
        stream.read_exact(&mut line).await.unwrap();
        line
    });
    sink.deliver(entry(&["one"]), Durability::Stored).await.unwrap();
    assert_eq!(&read.await.unwrap(), b"one\n");
    // The task has closed the stream: wait until this side knows.
    sink.line.lock().await.open.as_ref().unwrap().readable().await.unwrap();
    let peer = tokio::spawn(async move { all_of(second.accept().await.unwrap().0).await });
    sink.deliver(entry(&["two"]), Durability::Stored).await.unwrap();
    sink.finish().await.unwrap();
    assert_eq!(peer.await.unwrap(), "two\n");
}

#[tokio::test]
async fn the_line_in_flight_when_a_connection_breaks_is_sent_whole_to_the_next() {
    let ((first, one), (second, two)) = (listener().await, listener().await);
    let sink = sink(&[one, two]);
    // Far more than the kernel holds: the write is under way when the first peer goes.
    let lines: Vec<String> = (0..40_000).map(|n| format!("{n:09} {}", "x".repeat(1_000))).collect();
    let refs: Vec<&str> = lines.iter().map(String::as_str).collect();
    let breaks = tokio::spawn(async move {
        let mut stream = first.accept().await.unwrap().0;
        let mut some = vec![0; 100_000];
        stream.read_exact(&mut some).await.unwrap();
        stream.set_zero_linger().unwrap();
    });
    let peer = tokio::spawn(async move { all_of(second.accept().await.unwrap().0).await });
    sink.deliver(entry(&refs[..7_000]), Durability::Stored).await.unwrap();
    sink.finish().await.unwrap();
    breaks.await.unwrap();
    let got = peer.await.unwrap();
    let got: Vec<&str> = got.lines().collect();
    assert!(!got.is_empty(), "the first peer took all");
    assert_eq!(got, &refs[7_000 - got.len()..7_000], "whole lines, in order, to the last");
}

#[tokio::test]
async fn a_peer_that_does_not_read_makes_the_source_wait() {
    let (listener, address) = listener().await;
    let sink = sink(&[address]);
    let lines = vec!["x".repeat(1_000); 8_000];
    let refs: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut delivered = tokio::spawn(sink.deliver(entry(&refs), Durability::Stored));
    let stream = listener.accept().await.unwrap().0;
    // Nothing is read: the write cannot end, whatever the kernels hold.
    assert!(timeout(Duration::from_millis(50), &mut delivered).await.is_err());
    let peer = tokio::spawn(all_of(stream));
    delivered.await.unwrap().unwrap();
    sink.finish().await.unwrap();
    assert_eq!(peer.await.unwrap().len(), 8_000 * 1_001);
}

#[tokio::test]
async fn an_end_that_the_peer_refuses_is_told() {
    let (listener, address) = listener().await;
    let sink = sink(&[address]);
    sink.deliver(entry(&["line"]), Durability::Stored).await.unwrap();
    let stream = listener.accept().await.unwrap().0;
    stream.set_zero_linger().unwrap();
    drop(stream);
    assert!(sink.finish().await.unwrap_err().contains("may not have been taken"));
}
