//! `weir testsvc`: a log generator.

use std::io::Write;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::exit::{Exit, Failure, Wrote, wrote};

const EXAMPLES: &str = "\
A line is `<id> <number> <filling>`, with numbers of 12 digits from 000000000001 on.

Examples:
  weir testsvc --rate 5 | weir forward --topic shop http://127.0.0.1:7650
  weir testsvc --rate 0 --count 1000000 --size 200 > lines.log";

/// Bytes written at once when there is no rate to keep.
const CHUNK_BYTES: usize = 256 << 10;
/// Longest pause between two writes at rates where many lines are due at once.
const TICK: Duration = Duration::from_millis(10);
const NUMBER_DIGITS: usize = 12;
const FILLING: &[u8] = b"the weir holds what the river brings and lets the water go ";

/// Write numbered lines to standard output
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Testsvc {
    /// Lines per second; 0: as fast as they are taken
    #[arg(long, default_value_t = 10)]
    rate: u32,
    /// Bytes of a line, its newline included
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(16..=1_048_576))]
    size: u32,
    /// Lines to write; without it they never end
    #[arg(long)]
    count: Option<u64>,
    /// The word in front of every line
    #[arg(long, default_value = "testsvc")]
    id: String,
}

pub(crate) fn run(args: &Testsvc) -> Result<Exit, Failure> {
    let mut lines = Lines::new(&args.id, args.size as usize, args.count)?;
    let mut stdout = std::io::stdout().lock();
    let result = match args.rate {
        0 => pour(&mut lines, &mut stdout),
        rate => trickle(&mut lines, rate, &mut stdout),
    };
    match wrote(result)? {
        Wrote::All | Wrote::ReaderGone => Ok(Exit::Ok),
    }
}

/// As fast as possible.
fn pour(lines: &mut Lines, out: &mut impl Write) -> std::io::Result<()> {
    while let Some(chunk) = lines.next_chunk(usize::MAX) {
        out.write_all(chunk)?;
    }
    out.flush()
}

/// `rate` lines per second, counted from the start, so that pauses of the machine are made up for.
fn trickle(lines: &mut Lines, rate: u32, out: &mut impl Write) -> std::io::Result<()> {
    let started = Instant::now();
    let mut written: u64 = 0;
    loop {
        let due = (started.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000) as u64 + 1;
        while written < due {
            let missing = usize::try_from(due - written).unwrap_or(usize::MAX);
            let Some(chunk) = lines.next_chunk(missing) else { return out.flush() };
            out.write_all(chunk)?;
            written += lines.in_chunk as u64;
        }
        out.flush()?;
        let next = Duration::from_nanos((u128::from(written) * 1_000_000_000 / u128::from(rate)) as u64);
        let pause = next.saturating_sub(started.elapsed()).max(TICK.min(Duration::from_secs(1) / rate));
        std::thread::sleep(pause);
    }
}

/// Makes lines in a buffer that is filled once; afterwards only the numbers in it change.
struct Lines {
    buffer: Vec<u8>,
    line_bytes: usize,
    number_at: usize,
    /// Number of the next line.
    next: u64,
    left: Option<u64>,
    in_chunk: usize,
}

impl Lines {
    fn new(id: &str, line_bytes: usize, count: Option<u64>) -> Result<Lines, Failure> {
        if id.is_empty() || id.chars().any(char::is_control) {
            return Err(Failure::usage(format!(
                "--id: expected a word, got {id:?}; without it the word is testsvc"
            )));
        }
        let number_at = id.len() + 1;
        let shortest = number_at + NUMBER_DIGITS + 1;
        if line_bytes < shortest {
            return Err(Failure::usage(format!(
                "--size: expected at least {shortest} for this --id, got {line_bytes}"
            )));
        }
        let mut line = Vec::with_capacity(line_bytes);
        line.extend_from_slice(id.as_bytes());
        line.push(b' ');
        line.extend_from_slice(&[b'0'; NUMBER_DIGITS]);
        let filling = std::iter::once(b' ').chain(FILLING.iter().copied().cycle());
        line.extend(filling.take(line_bytes - shortest));
        line.push(b'\n');
        let buffer = line.repeat((CHUNK_BYTES / line_bytes).max(1));
        Ok(Lines { buffer, line_bytes, number_at, next: 1, left: count, in_chunk: 0 })
    }

    /// The next lines, at most `lines_max`, as many as fit one write. `None` when all are written.
    fn next_chunk(&mut self, lines_max: usize) -> Option<&[u8]> {
        let room = (self.buffer.len() / self.line_bytes).min(lines_max);
        let lines = self.left.map_or(room, |left| usize::try_from(left).map_or(room, |left| left.min(room)));
        if lines == 0 {
            return None;
        }
        let numbers = self.number_at..self.number_at + NUMBER_DIGITS;
        for line in self.buffer.chunks_exact_mut(self.line_bytes).take(lines) {
            write_number(&mut line[numbers.clone()], self.next);
            self.next += 1;
        }
        self.left = self.left.map(|left| left - lines as u64);
        self.in_chunk = lines;
        Some(&self.buffer[..lines * self.line_bytes])
    }
}

/// Decimal digits, right-aligned over zeros; past twelve digits the number begins anew.
fn write_number(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(id: &str, size: usize, count: u64) -> Vec<u8> {
        let mut out = Vec::new();
        pour(&mut Lines::new(id, size, Some(count)).unwrap(), &mut out).unwrap();
        out
    }

    #[test]
    fn lines_are_numbered_and_of_exactly_the_size() {
        for (id, size, count) in [("a", 16, 3), ("shop", 100, 5_000), ("x", 1 << 20, 3), ("ü", 17, 0)] {
            let out = all(id, size, count);
            assert_eq!(out.len() as u64, size as u64 * count);
            for (i, line) in out.chunks_exact(size).enumerate() {
                let number = format!("{id} {:012}", i + 1);
                assert!(line.starts_with(number.as_bytes()) && line.ends_with(b"\n"), "{id} {i}");
                assert!(!line[..size - 1].contains(&b'\n'), "{id} {i}");
            }
        }
        assert_eq!(all("ab", 22, 1), b"ab 000000000001 the w\n");
    }

    #[test]
    fn a_rate_is_kept_and_ends_with_the_count() {
        let started = Instant::now();
        let mut out = Vec::new();
        trickle(&mut Lines::new("a", 20, Some(40)).unwrap(), 200, &mut out).unwrap();
        assert_eq!(out.len(), 800);
        assert!(started.elapsed() >= Duration::from_millis(190), "{:?}", started.elapsed());
    }

    #[test]
    fn what_cannot_be_a_line_is_refused() {
        for (id, size) in [("", 100), ("a\nb", 100), ("a-long-id", 22)] {
            assert_eq!(
                Lines::new(id, size, None).err().map(|failure| failure.exit),
                Some(Exit::Usage),
                "{id:?}"
            );
        }
        assert!(Lines::new("a-long-id", 23, None).is_ok());
    }

    #[test]
    fn a_reader_that_has_gone_ends_it_quietly() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let result = pour(&mut Lines::new("a", 20, None).unwrap(), &mut Gone);
        assert_eq!(wrote(result), Ok(Wrote::ReaderGone));
    }
}
