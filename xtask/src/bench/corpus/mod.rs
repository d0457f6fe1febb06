//! The lines that the figures of the search engine are about: made from a seed, the same on every machine.
//!
//! An hour of a shop, 5.8 million lines of 186 bytes on average in a GiB: 31 % of a web server, 31 %
//! JSON of services, 20.5 % of applications on the Java platform, 12 % logfmt, 5.5 % of the machines below. Ids and
//! addresses are random, since they are what logs are searched for and what makes them hard to pack.
//!
//! | pattern | lines |
//! |---|---|
//! | `quasar7f3a9c21e5b8d046`, where a trace id would be | 7, spread evenly |
//! | `quasar0000000000000000` | none |
//! | `6e0c5b9a41d7f8233b86d1f0a97c542e`, a trace id | 1, in the middle |
//! | `PaymentDeclined` | 1 % |
//! | `checkout` | 30 % |
//! | `PaymentDeclined.*amount=9\d\d\.` | 0.1 % |
//! | `user=\d+7 .*latency=[89]\d\d` | 560 in a GiB |
//! | `[a-f]{5}[0-9]{5}[a-f]{5}` | 150 in a GiB |
//!
//! `zstd -1` makes 0.233 of it, `zstd -3` 0.225; a MiB has 18,000 different words. The corpus that the peers were
//! measured with had 0.225, 0.223 and as many words.

mod clock;
mod grammar;
mod random;
mod rules;
mod text;

use std::fs::File;
use std::io::Write;

use anyhow::Context as _;

use self::clock::Clock;
use self::grammar::{Grammar, Line, Name};
use self::random::Random;
use crate::args;

/// In [`NEEDLES`] lines.
pub(super) const NEEDLE: &str = "quasar7f3a9c21e5b8d046";
pub(super) const NEEDLES: u64 = 7;
/// In no line.
pub(super) const ABSENT: &str = "quasar0000000000000000";
/// In one line.
pub(super) const TRACE: &str = "6e0c5b9a41d7f8233b86d1f0a97c542e";

/// What the corpus is made from if nobody asks for another.
pub(crate) const SEED: u64 = 1;
/// How large it is then.
pub(crate) const BYTES: u64 = 1 << 30;

/// Lines are written in pieces of about this size.
const PIECE_BYTES: usize = 1 << 20;
/// No line is longer.
const LINE_BYTES_MAX: usize = 2 << 10;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) lines: u64,
}

/// Lines one after the other.
pub(super) struct Corpus {
    grammar: Grammar,
    random: Random,
    kinds: [Kind; 5],
    frame: Name,
    thrown: Name,
    /// What is left of a stack trace.
    frames: u32,
    bytes: u64,
    lines: u64,
    bytes_wanted: u64,
    /// From which byte on a line with an id gets another one instead; the last comes first.
    plants: Vec<(u64, &'static str)>,
}

/// Lines of the same origin.
struct Kind {
    /// In ten thousand lines.
    share: u32,
    ordinary: Name,
    /// For those that tell of a payment.
    declined: Option<Name>,
    /// Whether stack traces occur.
    throws: bool,
}

/// In ten thousand lines of the kinds that tell of payments, which are 63.5 % of all.
const DECLINED_SHARE: u32 = 157;
/// In ten thousand lines of the kinds that are about services, which are 94.5 % of all.
const CHECKOUT_SHARE: u32 = 3_200;
/// In ten thousand lines of Java.
const THROWN_SHARE: u32 = 60;
const WHOLE: u32 = 10_000;

impl Corpus {
    /// The corpus of a seed that will be `bytes` long.
    pub(super) fn new(seed: u64, bytes: u64) -> anyhow::Result<Self> {
        let grammar = Grammar::read(&rules::RULES).context("read the rules of the corpus")?;
        let kind = |share, name: &str, payments: bool| {
            let declined = payments.then(|| grammar.named(&format!("{name}.declined"))).transpose()?;
            anyhow::Ok(Kind { share, ordinary: grammar.named(name)?, declined, throws: name == "java" })
        };
        let kinds = [
            kind(3_100, "web", false)?,
            kind(3_100, "json", true)?,
            kind(2_050, "java", true)?,
            kind(1_200, "logfmt", true)?,
            kind(550, "system", false)?,
        ];
        let needle = |index| ((2 * index + 1) * bytes / (2 * NEEDLES), NEEDLE);
        let mut plants: Vec<_> = (0..NEEDLES).map(needle).chain([(bytes / 2, TRACE)]).collect();
        plants.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Ok(Self {
            frame: grammar.named("java.frame")?,
            thrown: grammar.named("java.thrown")?,
            random: Random::new(seed),
            kinds,
            grammar,
            frames: 0,
            bytes: 0,
            lines: 0,
            bytes_wanted: bytes,
            plants,
        })
    }

    /// Appends the next line.
    fn line(&mut self, out: &mut Vec<u8>) {
        let begin = out.len();
        let mut at = self.random.below(WHOLE);
        let mut kinds = self.kinds.iter();
        let kind = kinds.find(|kind| {
            let found = at < kind.share;
            at = at.saturating_sub(kind.share);
            found
        });
        let Some(kind) = kind else { unreachable!("the shares of the kinds are all lines") };
        let rule = match kind.declined {
            Some(declined) if self.random.below(WHOLE) < DECLINED_SHARE => declined,
            _ if kind.throws && self.frames > 0 => {
                self.frames -= 1;
                self.frame
            }
            _ if kind.throws && self.random.below(WHOLE) < THROWN_SHARE => {
                self.frames = 4 + self.random.below(8);
                self.thrown
            }
            _ => kind.ordinary,
        };
        let due = self.plants.pop_if(|(at, _)| self.bytes >= *at).map(|(_, text)| text);
        let mut line = Line {
            about_checkout: self.random.below(WHOLE) < CHECKOUT_SHARE,
            clock: Clock::of_line(self.lines),
            random: &mut self.random,
            planted: due,
        };
        self.grammar.write(rule, &mut line, out);
        // Not every line has an id: then it waits for the next.
        if let Some(waiting) = line.planted {
            self.plants.push((self.bytes, waiting));
        }
        out.push(b'\n');
        let bytes = out.len() - begin;
        assert!(bytes <= LINE_BYTES_MAX, "a line of {bytes} bytes");
        self.bytes += bytes as u64;
        self.lines += 1;
    }

    /// Puts the next lines, about 1 MiB of them, into the place of what is in `piece`: none at the end, which is
    /// behind the line that makes the corpus as long as it was to be.
    pub(super) fn next_piece(&mut self, piece: &mut Vec<u8>) {
        piece.clear();
        while piece.len() < PIECE_BYTES && self.bytes < self.bytes_wanted {
            self.line(piece);
        }
    }

    /// Writes all lines.
    pub(super) fn write(mut self, to: &mut impl Write) -> std::io::Result<Written> {
        let mut piece = Vec::with_capacity(PIECE_BYTES + LINE_BYTES_MAX);
        loop {
            self.next_piece(&mut piece);
            if piece.is_empty() {
                return Ok(Written { bytes: self.bytes, lines: self.lines });
            }
            to.write_all(&piece)?;
        }
    }
}

/// `cargo xtask corpus`: writes the corpus to a file, for searches by hand.
pub(crate) fn run(options: &args::Corpus) -> anyhow::Result<()> {
    let path = &options.file;
    let mut file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    let corpus = Corpus::new(options.seed, options.bytes)?;
    let written = corpus.write(&mut file).with_context(|| format!("write {}", path.display()))?;
    println!("{} lines, {} bytes", written.lines, written.bytes);
    Ok(())
}

#[cfg(test)]
mod tests;
