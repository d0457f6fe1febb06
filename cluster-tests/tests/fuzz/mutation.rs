//! Changes of sound inputs, decided by a seed.

use weir_storage::disk::sim::prng::Prng;

/// Bytes of the tail of a segment.
const TAIL_BYTES: usize = 32;
/// Bytes before the body of a skippable frame, and the magic of that of a footer.
const HEADER_BYTES: usize = 8;
const FOOTER_MAGIC: u32 = 0x184d_2a59;

/// Changes inputs.
#[derive(Default)]
pub(crate) struct Mutator {
    /// What is put in now and then.
    pub(crate) words: &'static [&'static str],
    /// Makes it fit again where a reader looks first.
    pub(crate) finish: Option<fn(&mut [u8])>,
}

impl Mutator {
    /// One of the inputs, changed.
    pub(crate) fn mutate(&mut self, inputs: &[Vec<u8>], seed: u64) -> Vec<u8> {
        let prng = &mut Prng::new(seed);
        let pick = |prng: &mut Prng| &inputs[prng.below(inputs.len() as u64) as usize];
        let mut input = pick(prng).clone();
        for _ in 0..prng.between(1, 6) {
            self.change(&mut input, pick(prng), prng);
        }
        if let Some(finish) = self.finish.filter(|_| prng.below(4) > 0) {
            finish(&mut input);
        }
        input
    }

    fn change(&self, input: &mut Vec<u8>, other: &[u8], prng: &mut Prng) {
        let place = |prng: &mut Prng, bytes: usize| prng.below(bytes as u64 + 1) as usize;
        // Ends are where lengths and counts are.
        let at = match prng.below(4) {
            0 => place(prng, input.len().min(40)),
            1 => input.len() - place(prng, input.len().min(40)),
            _ => place(prng, input.len()),
        };
        let some = prng.below(9) as usize;
        let to = (at + some).min(input.len());
        match prng.below(10) {
            0 | 1 if at < input.len() => input[at] ^= 1 << prng.below(8),
            2 if at < input.len() => {
                input[at] = [0, 1, 0x7f, 0x80, 0xff, b'"'][prng.below(6) as usize];
            }
            3 if at < input.len() => input[at] = input[at].wrapping_add([1, 0xff][prng.below(2) as usize]),
            4 => drop(input.drain(at..to)),
            5 => {
                let copied = input[at..to].to_vec();
                input.splice(at..at, copied);
            }
            6 => {
                let from = place(prng, other.len());
                let until = (from + prng.below(40) as usize).min(other.len());
                input.splice(at..to, other[from..until].iter().copied());
            }
            7 if prng.once_in(4) => input.truncate(at),
            8 => {
                // The largest of the numbers that are written in seven bits a byte.
                let number = [&[0xff; 9][..], &[0x01]].concat();
                let bytes = number[prng.below(10) as usize..].to_vec();
                input.splice(at..to, bytes);
            }
            _ if !self.words.is_empty() => {
                let word = self.words[prng.below(self.words.len() as u64) as usize];
                input.splice(at..at, word.bytes());
            }
            _ => {}
        }
    }
}

/// Makes the sums at the end of a segment hold.
pub(crate) fn with_sums(file: &mut [u8]) {
    let bytes = file.len();
    let Some(tail_at) = bytes.checked_sub(TAIL_BYTES) else { return };
    let footer_bytes =
        u32::from_le_bytes([file[tail_at], file[tail_at + 1], file[tail_at + 2], file[tail_at + 3]]);
    if let Some(at) = tail_at.checked_sub(footer_bytes as usize + HEADER_BYTES) {
        let sum = crc32c::crc32c(&file[at..tail_at]);
        file[tail_at + 16..tail_at + 20].copy_from_slice(&sum.to_le_bytes());
    }
    file[tail_at + 8..tail_at + 16].copy_from_slice(&(bytes as u64).to_le_bytes());
    let sum = crc32c::crc32c(&file[tail_at..tail_at + 24]);
    file[tail_at + 24..tail_at + 28].copy_from_slice(&sum.to_le_bytes());
}

/// A segment with another footer, of which the first byte is the version less 1.
pub(crate) fn with_footer(file: &[u8], footer: &[u8]) -> Vec<u8> {
    let Some((version, raw)) = footer.split_first() else { return Vec::new() };
    let tail_at = file.len() - TAIL_BYTES;
    let old_bytes =
        u32::from_le_bytes([file[tail_at], file[tail_at + 1], file[tail_at + 2], file[tail_at + 3]]);
    let mut packed = Vec::with_capacity(zstd::zstd_safe::compress_bound(raw.len()));
    zstd::zstd_safe::compress(&mut packed, raw, 1).unwrap_or_else(|code| panic!("{code}"));
    let mut forged = file[..tail_at - old_bytes as usize - HEADER_BYTES].to_vec();
    forged.extend_from_slice(&FOOTER_MAGIC.to_le_bytes());
    forged.extend_from_slice(&((packed.len() + TAIL_BYTES) as u32).to_le_bytes());
    forged.extend_from_slice(&packed);
    forged.extend_from_slice(&(packed.len() as u32).to_le_bytes());
    forged.extend_from_slice(&(raw.len() as u32).to_le_bytes());
    forged.extend_from_slice(&[0; 12]);
    forged.extend_from_slice(&(1 + u32::from(version & 1)).to_le_bytes());
    forged.extend_from_slice(&[0; 4]);
    forged.extend_from_slice(&file[file.len() - 4..]);
    with_sums(&mut forged);
    forged
}
