//! A proxy that serves a node below a path of its own, as many are set up.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};

use anyhow::{Context as _, Result};

const HEAD_BYTES_MAX: usize = 64 << 10;

/// Serves the node at `address` (`127.0.0.1:port`) below `prefix` (`/logs`); gives its own address. It lives as long as
/// the process.
pub(crate) fn below(prefix: &'static str, address: String) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let own = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let address = address.clone();
            // A browser goes away whenever it likes.
            std::thread::spawn(move || drop(pass(client, prefix, &address)));
        }
    });
    Ok(own)
}

/// One request a connection.
fn pass(mut client: TcpStream, prefix: &str, address: &str) -> Result<()> {
    let mut head = Vec::new();
    let mut bytes = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = client.read(&mut bytes)?;
        if count == 0 || head.len() > HEAD_BYTES_MAX {
            return Ok(());
        }
        head.extend_from_slice(&bytes[..count]);
    }
    let text = String::from_utf8_lossy(&head);
    let (line, rest) = text.split_once("\r\n").context("a request has a first line")?;
    let (method, target) = line.split_once(' ').context("a request has a target")?;
    let Some(inner) = target.strip_prefix(prefix).filter(|inner| inner.starts_with('/')) else {
        return Ok(
            client.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?
        );
    };
    let kept = rest.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let kept: Vec<&str> = kept.collect();
    let mut node = TcpStream::connect(address)?;
    node.write_all(format!("{method} {inner}\r\nconnection: close\r\n{}", kept.join("\r\n")).as_bytes())?;
    let mut answer = node.try_clone()?;
    let mut back = client.try_clone()?;
    let up = std::thread::spawn(move || {
        let _ = std::io::copy(&mut client, &mut node);
        let _ = node.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut answer, &mut back);
    let _ = back.shutdown(Shutdown::Both);
    let _ = up.join();
    Ok(())
}
