//! A server that gives the answers of a script and remembers what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

/// One request as it came.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) head: String,
    pub(super) body: String,
}

pub(super) struct Script {
    /// `host:port`.
    pub(super) host: String,
    playing: JoinHandle<Vec<Heard>>,
}

impl Script {
    /// Gives one good answer after the other on one connection; these are their bodies.
    pub(super) fn play(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let answers = answers.to_vec();
        let playing = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut heard = Vec::new();
            for answer in answers {
                heard.push(hear(&mut reader));
                let status = if answer.is_empty() { "204 No Content" } else { "200 OK" };
                let length = answer.len();
                write!(&stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{answer}").unwrap();
            }
            heard
        });
        Self { host, playing }
    }

    /// What was asked, when all answers are given.
    pub(super) fn heard(self) -> Vec<Heard> {
        self.playing.join().unwrap()
    }
}

fn hear(reader: &mut BufReader<TcpStream>) -> Heard {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line.trim_end().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Heard { head, body: String::from_utf8(body).unwrap() }
}
