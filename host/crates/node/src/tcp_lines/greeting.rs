//! The first line of a connection, where tokens are asked for: `token <secret>`.
//!
//! Whoever does not begin so is told why in one line, and the connection is closed. Nobody is answered who does: bytes
//! that a sender never reads would have its kernel reset the connection when it ends it, and lose lines.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use weir_api::access::{Caller, Gate, Scope};
use weir_record::limits::{HTTP_HEAD_TIMEOUT_MS, HTTP_LINGER_MS_MAX, TOKEN_LINE_BYTES_MAX};

use crate::clock;

/// What the line begins with.
const WORD: &str = "token";

/// Reads the line. Gives who sends, and what came behind the line; else why the connection is to be closed.
pub(super) async fn greeted(
    stream: &TcpStream,
    gate: &Gate,
    topic: &str,
    address: IpAddr,
) -> Result<(Caller, Vec<u8>), String> {
    let mut came = Vec::with_capacity(TOKEN_LINE_BYTES_MAX);
    let line = timeout(Duration::from_millis(HTTP_HEAD_TIMEOUT_MS), first_line(stream, &mut came)).await;
    let end = line.ok().flatten().ok_or_else(|| {
        format!("this port asks for a token: begin the connection with the line `{WORD} SECRET`, and then send lines")
    })?;
    let line = String::from_utf8_lossy(&came[..end]);
    // Whatever stands there instead may be a record, or a secret with a slip in it: it is not repeated.
    let shown = line.trim_end_matches('\r').strip_prefix(WORD).and_then(|rest| rest.strip_prefix(' '));
    let shown = shown.ok_or_else(|| {
        format!("this port asks for a token: the first line must be `{WORD} SECRET`, and this one is not")
    })?;
    let admitted = gate.admit_secret(shown, address, clock::now_ms(), &[Scope::Ingest]);
    let caller = admitted.map_err(|error| error.message().to_owned())?;
    caller.may_write(topic).map_err(|error| error.message().to_owned())?;
    Ok((caller, came.split_off(end + 1)))
}

/// Reads until there is a line, and gives its length. `None` when there is none.
async fn first_line(stream: &TcpStream, came: &mut Vec<u8>) -> Option<usize> {
    loop {
        stream.readable().await.ok()?;
        let mut chunk = [0; TOKEN_LINE_BYTES_MAX];
        match stream.try_read(&mut chunk[came.len()..]) {
            Ok(0) => return None,
            Ok(read) => came.extend_from_slice(&chunk[came.len()..came.len() + read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
            Err(_) => return None,
        }
        if let Some(end) = came.iter().position(|&byte| byte == b'\n') {
            return Some(end);
        }
        if came.len() == TOKEN_LINE_BYTES_MAX {
            return None;
        }
    }
}

/// Says why, and closes. What the sender sends meanwhile is read, or it would never see the line.
pub(super) async fn turn_away(mut stream: TcpStream, why: &str) {
    let told = async {
        stream.write_all(format!("weir: {why}\n").as_bytes()).await?;
        stream.shutdown().await?;
        let mut chunk = [0; 4096];
        while stream.read(&mut chunk).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Whether it closed, failed or took too long: the socket is dropped now.
    let _ = timeout(Duration::from_millis(HTTP_LINGER_MS_MAX), told).await;
}
