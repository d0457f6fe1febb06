//! A connection that sends lines, with or without TLS: read without waiting, and emptied at the end.

use std::io::{self, ErrorKind, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncBufRead as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::server::TlsStream;
use weir_record::limits;

/// One of the two.
#[derive(Debug)]
pub enum LineStream {
    /// As it comes.
    Plain(TcpStream),
    /// After the handshake.
    Tls(Box<TlsStream<TcpStream>>),
}

impl LineStream {
    /// Waits until there is something to read: bytes, the end, or an error.
    pub async fn readable(&mut self) -> io::Result<()> {
        match self {
            LineStream::Plain(tcp) => tcp.readable().await,
            LineStream::Tls(tls) => {
                let tls = &mut **tls;
                std::future::poll_fn(|cx| Pin::new(&mut *tls).poll_fill_buf(cx).map_ok(|_| ())).await
            }
        }
    }

    /// Appends what is there, no more than `chunk` has room for. 0 is the end; `WouldBlock`: nothing is there now.
    pub fn try_read(&mut self, chunk: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            LineStream::Plain(tcp) => tcp.try_read_buf(chunk),
            LineStream::Tls(tls) => {
                let room = chunk.capacity() - chunk.len();
                let tls = &mut **tls;
                let filled = std::future::poll_fn(|cx| {
                    let copied = match Pin::new(&mut *tls).poll_fill_buf(cx) {
                        Poll::Ready(Ok(bytes)) => {
                            let taken = &bytes[..bytes.len().min(room)];
                            chunk.extend_from_slice(taken);
                            taken.len()
                        }
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Pending => return Poll::Pending,
                    };
                    Pin::new(&mut *tls).consume(copied);
                    Poll::Ready(Ok(copied))
                });
                // Asked once: `readable` asks again, with somebody who waits.
                filled.now_or_never().unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))
            }
        }
    }

    /// Has the connection end in a reset when it is dropped: the sender learns that not all was taken.
    pub fn reset(&self) {
        let tcp = match self {
            LineStream::Plain(tcp) => tcp,
            LineStream::Tls(tls) => tls.get_ref().0,
        };
        let _ = tcp.set_zero_linger();
    }

    /// Ends it as TLS wants it: a sender that waits for the end can tell it from one that somebody forged.
    pub async fn close(self) {
        if let LineStream::Tls(mut tls) = self {
            let _ = timeout(Duration::from_millis(limits::HTTP_LINGER_MS_MAX), tls.shutdown()).await;
        }
    }

    /// What has come and was not read yet.
    pub fn into_rest(self) -> io::Result<LineRest> {
        Ok(match self {
            LineStream::Plain(tcp) => LineRest { tcp: tcp.into_std()?, tls: None },
            LineStream::Tls(tls) => {
                let (tcp, tls) = tls.into_inner();
                LineRest { tcp: tcp.into_std()?, tls: Some(Box::new(tls)) }
            }
        })
    }
}

/// What the kernel and TLS have received; reading never waits.
#[derive(Debug)]
pub struct LineRest {
    tcp: std::net::TcpStream,
    tls: Option<Box<ServerConnection>>,
}

impl AsFd for LineRest {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}

impl LineRest {
    /// Reads. 0 is the end; `WouldBlock`: nothing more has come.
    pub fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.tcp.read(chunk) };
        loop {
            match tls.reader().read(chunk) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            // 0 is the end, which the reader tells by its own words next.
            tls.read_tls(&mut self.tcp)?;
            tls.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }
}
