//! The bytes of a file compressed by gzip or zstd, read from front to back.
//!
//! A place is reached by decoding all before it, some megabytes a call; going back begins anew.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use weir_plugin_sdk::Failure;
use weir_plugin_sdk::files::{File, Identity};

#[cfg(test)]
use super::Content;
use super::{Behind, Chunk};

/// Bytes decoded in one call: a tenth of a second in the sandbox.
const STEP_BYTES: usize = 8 << 20;
/// Bytes asked of the file at once.
const FEED_BYTES: usize = 128 << 10;
/// Bytes decoded at once.
const PIECE_BYTES: usize = 64 << 10;
/// Longest reference back in zstd. The most of levels up to 19; a plugin has 64 MiB for everything.
const WINDOW_BYTES_MAX: u64 = 8 << 20;

/// How it was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Gzip,
    Zstd,
}

/// By the first bytes of a file.
pub(super) fn method(magic: &[u8]) -> Option<Method> {
    match magic {
        [0x1f, 0x8b, ..] => Some(Method::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Method::Zstd),
        _ => None,
    }
}

/// Whether a file that begins so may turn out to be compressed when it is longer.
pub(crate) fn is_undecided(head: &[u8]) -> bool {
    matches!(
        head,
        [] | [0x1f | 0x28 | 0x50..=0x5f]
            | [0x28, 0xb5]
            | [0x28, 0xb5, 0x2f]
            | [0x50..=0x5f, 0x2a]
            | [0x50..=0x5f, 0x2a, 0x4d]
    )
}

/// A compressed file.
pub(crate) struct Packed {
    file: Rc<File>,
    method: Method,
    decoder: Decoder,
    /// Decoded bytes, and where they begin.
    bytes: Vec<u8>,
    start: u64,
    end: Option<Behind>,
    /// The file had no more to decode.
    dry: Rc<Cell<bool>>,
}

enum Decoder {
    Gzip(Box<MultiGzDecoder<io::BufReader<Feed>>>),
    Zstd(Box<Frames>),
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed")
            .field("method", &self.method)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

impl Packed {
    pub(super) fn new(file: File, method: Method) -> Packed {
        let (file, dry) = (Rc::new(file), Rc::new(Cell::new(false)));
        let decoder = decoder(&file, &dry, method);
        Packed { file, method, decoder, bytes: Vec::new(), start: 0, end: None, dry }
    }

    pub(super) fn stat(&self) -> Result<Identity, Failure> {
        self.file.stat()
    }

    fn rewind(&mut self) {
        self.dry.set(false);
        self.decoder = decoder(&self.file, &self.dry, self.method);
        self.bytes.clear();
        (self.start, self.end) = (0, None);
    }

    pub(super) fn read_at(&mut self, offset: u64, bytes_max: usize) -> Result<Chunk, Failure> {
        if offset < self.start {
            self.rewind();
        }
        let mut left = STEP_BYTES;
        while self.end.is_none() && self.reached() < offset + bytes_max as u64 && left > 0 {
            self.forget(offset);
            left = left.saturating_sub(self.decode()?.max(1));
        }
        self.forget(offset);
        if self.start < offset {
            return Ok(self.end.map_or(Chunk::OnTheWay, |end| Chunk::Bytes(Vec::new(), end)));
        }
        let bytes = self.bytes[..self.bytes.len().min(bytes_max)].to_vec();
        let whole = bytes.len() == self.bytes.len();
        Ok(Chunk::Bytes(bytes, self.end.filter(|_| whole).unwrap_or(Behind::More)))
    }

    fn reached(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Lets go of what stands before `offset`.
    fn forget(&mut self, offset: u64) {
        let surplus = offset.saturating_sub(self.start).min(self.bytes.len() as u64) as usize;
        self.bytes.drain(..surplus);
        self.start += surplus as u64;
    }

    /// Decodes some more; how much.
    fn decode(&mut self) -> Result<usize, Failure> {
        let before = self.bytes.len();
        self.bytes.resize(before + PIECE_BYTES, 0);
        let read = match &mut self.decoder {
            Decoder::Gzip(decoder) => decoder.read(&mut self.bytes[before..]),
            Decoder::Zstd(frames) => frames.read(&mut self.bytes[before..]),
        };
        self.bytes.truncate(before + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => self.end = Some(Behind::End),
            Ok(_) => {}
            // It is not whole: still being written, or its writer died.
            Err(_) if self.dry.get() => self.end = Some(Behind::Nothing),
            Err(error) => {
                let message = format_args!("what was compressed cannot be decoded: {error}");
                return Err(Failure::retry("file-source.packed", message));
            }
        }
        Ok(self.bytes.len() - before)
    }
}

fn decoder(file: &Rc<File>, dry: &Rc<Cell<bool>>, method: Method) -> Decoder {
    let feed = Feed { file: file.clone(), offset: 0, dry: dry.clone() };
    let feed = io::BufReader::with_capacity(FEED_BYTES, feed);
    match method {
        Method::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(feed))),
        Method::Zstd => Decoder::Zstd(Box::new(Frames::new(feed))),
    }
}

/// The file itself, from front to back.
struct Feed {
    file: Rc<File>,
    offset: u64,
    dry: Rc<Cell<bool>>,
}

impl Read for Feed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read_at(self.offset, into.len()).map_err(io::Error::other)?;
        into[..bytes.len()].copy_from_slice(&bytes);
        self.offset += bytes.len() as u64;
        self.dry.set(bytes.is_empty());
        Ok(bytes.len())
    }
}

/// The frames of a zstd file, one after the other.
struct Frames {
    feed: io::BufReader<Feed>,
    decoder: FrameDecoder,
    within: bool,
}

impl Frames {
    fn new(feed: io::BufReader<Feed>) -> Frames {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_BYTES_MAX);
        Frames { feed, decoder, within: false }
    }

    /// Goes to the next frame that holds something. False: there is none.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if io::BufRead::fill_buf(&mut self.feed)?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.feed) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = io::copy(&mut (&mut self.feed).take(length.into()), &mut io::sink())?;
                    if skipped < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error.to_string())),
            }
        }
    }
}

impl Read for Frames {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.within {
                let read = self.decoder.read(into)?;
                if read > 0 {
                    return Ok(read);
                }
                self.within = !self.decoder.is_finished();
            }
            if !self.within {
                self.within = self.next_frame()?;
                if !self.within {
                    return Ok(0);
                }
            }
            let decoded = self.decoder.decode_blocks(&mut self.feed, BlockDecodingStrategy::UptoBlocks(1));
            decoded.map_err(|error| io::Error::other(error.to_string()))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::tests::Bench;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn text(random: &mut fastrand::Rng) -> Vec<u8> {
        let line = |random: &mut fastrand::Rng| {
            let filler = ["x", "\r", "ab", ""][random.usize(..4)].repeat(random.usize(..200));
            format!("{} {filler}\n", random.u32(..1000))
        };
        let lines = [30, 3000][usize::from(random.u32(..10) == 0)];
        (0..random.usize(..lines)).flat_map(|_| line(random).into_bytes()).collect()
    }

    #[test]
    fn what_was_compressed_comes_back_from_any_place() {
        for seed in 0..600 {
            let mut random = fastrand::Rng::with_seed(seed);
            let bench = Bench::new();
            let text = text(&mut random);
            let cut = random.usize(..=text.len());
            let pack = |bytes: &[u8]| match seed % 2 {
                0 => gzip(bytes),
                _ => zstd::encode_all(bytes, 1 + (seed % 19) as i32).unwrap(),
            };
            // Two members or frames, as programs that append leave them.
            let packed = [pack(&text[..cut]), pack(&text[cut..])].concat();
            bench.logs.append("/a", &packed);
            let Ok(Content::Packed(mut content)) = Content::open("/a") else { panic!("it is compressed") };
            for _ in 0..20 {
                let (at, max) = (random.usize(..=text.len()), 1 + random.usize(..100_000));
                let read = content.read_at(at as u64, max).unwrap();
                let Chunk::Bytes(bytes, behind) = read else { panic!("it is not far") };
                let expected = &text[at..text.len().min(at + max)];
                assert!(bytes == expected, "seed {seed}: {} bytes at {at} of {}", bytes.len(), text.len());
                assert!((behind == Behind::End) >= (at + max > text.len()), "seed {seed}: {behind:?}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_read_as_far_as_it_goes_and_damage_is_an_error() {
        for packed in [gzip(&vec![b'a'; 100_000]), zstd::encode_all(&*vec![b'a'; 100_000], 3).unwrap()] {
            for end in 4..packed.len() {
                let bench = Bench::new();
                bench.logs.append("/a", &packed[..end]);
                let mut content = Content::open("/a").unwrap();
                let Chunk::Bytes(bytes, behind) = content.read_at(0, 200_000).unwrap() else {
                    panic!("near")
                };
                assert!(bytes.iter().all(|byte| *byte == b'a') && bytes.len() <= 100_000);
                assert_eq!(behind, Behind::Nothing, "{end} of {} bytes", packed.len());
            }
        }
        let mut broken = gzip(b"some text that is longer than nothing, and some more");
        broken[20] ^= 0xff;
        let bench = Bench::new();
        bench.logs.append("/a", &[&broken[..], b"and more"].concat());
        assert_eq!(Content::open("/a").unwrap().read_at(0, 100).unwrap_err().code, "file-source.packed");
    }
}
