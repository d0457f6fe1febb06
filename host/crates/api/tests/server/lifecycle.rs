//! From bind to drain.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_api::{Drained, Server, ServerOptions};

use crate::backend::Script;
use crate::raw::run;

#[tokio::test]
async fn an_address_that_cannot_be_bound_is_one_clear_line() {
    let first = Server::bind(([127, 0, 0, 1], 0).into(), ServerOptions::default()).unwrap();
    let taken = first.address();
    let error = Server::bind(taken, ServerOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {taken}: address in use; stop the other process or choose another port")
    );
    let error = Server::bind("203.0.113.7:7650".parse().unwrap(), ServerOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot listen on 203.0.113.7:7650: this machine has no such address; choose an address of this machine"
    );
}

#[tokio::test]
async fn a_stopping_server_finishes_what_it_has_begun() {
    let server = run(ServerOptions::default());
    server.ingest(b"one\n").await;
    *server.node.script.lock() = Script::Halting;
    let mut idle = server.connect().await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /api/v1/query?format=text HTTP/1.1\r\nhost: weir\r\n\r\n").await.unwrap();
    let mut begun = [0; 15];
    busy.read_exact(&mut begun).await.unwrap();
    server.shutdown.cancel();
    // The idle connection ends at once, the busy one when its answer is written.
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    assert!(TcpStream::connect(server.address).await.is_err(), "nothing more is accepted");
    server.node.go_on.notify_one();
    busy.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
    assert_eq!(server.task.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_stopping_server_cuts_what_does_not_end() {
    let server = run(ServerOptions { drain_max: Duration::from_millis(50), ..ServerOptions::default() });
    *server.node.script.lock() = Script::Silent;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /api/v1/query HTTP/1.1\r\nhost: weir\r\n\r\n").await.unwrap();
    let mut begun = [0; 15];
    stream.read_exact(&mut begun).await.unwrap();
    server.shutdown.cancel();
    assert_eq!(server.task.await.unwrap(), Drained { cut: 1 });
    server.node.cancelled.notified().await;
}
