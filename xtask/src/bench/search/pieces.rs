//! A file in pieces of whole lines, as a client sends it.

use std::io::Read;

use anyhow::ensure;

/// Of each piece, about.
const PIECE_BYTES: usize = 1 << 20;

/// Hands on one piece after the other. What stands behind the last newline is left out.
pub(super) fn each(
    mut file: impl Read,
    mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    // Bytes of the piece that begin a line which has not ended yet.
    let mut begun = 0;
    loop {
        let read = file.read(&mut piece[begun..])?;
        let held = begun + read;
        let is_last = read == 0;
        if held < piece.len() && !is_last {
            begun = held;
            continue;
        }
        let end = piece[..held].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if end > 0 {
            take(&piece[..end])?;
        }
        if is_last {
            return Ok(());
        }
        ensure!(end > 0, "a line of more than {PIECE_BYTES} bytes");
        piece.copy_within(end..held, 0);
        begun = held - end;
    }
}

/// How many lines end in it.
pub(super) fn newlines(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').count() as u64 - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_lines_and_nothing_is_lost() {
        for lines in [0, 1, 1000, 200_000] {
            let text: String = "a line\nanother one\n".repeat(lines);
            let (mut joined, mut ended) = (Vec::new(), 0);
            each(text.as_bytes(), |piece| {
                assert!(piece.ends_with(b"\n") && piece.len() <= PIECE_BYTES);
                ended += newlines(piece);
                joined.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
            assert!(joined == text.as_bytes() && ended == 2 * lines as u64, "{lines}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_no_line() {
        let mut pieces = Vec::new();
        each(&b"a\nb"[..], |piece| {
            pieces.push(piece.to_vec());
            Ok(())
        })
        .unwrap();
        assert_eq!(pieces, [b"a\n"]);
        assert!(each(&vec![b'x'; 2 * PIECE_BYTES][..], |_| Ok(())).is_err());
    }
}
