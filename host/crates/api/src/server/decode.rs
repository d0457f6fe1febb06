//! Compressed bodies: one layer, and never more memory than the limits say.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use http::HeaderValue;
use weir_record::limits;

use super::body::too_large;
use crate::error::{ApiError, ErrorKind};

/// What a body is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Zstd,
}

impl Coding {
    /// The coding of the `Content-Encoding` headers; `None` for a body as it is.
    pub(crate) fn of<'a>(
        headers: impl IntoIterator<Item = &'a HeaderValue>,
    ) -> Result<Option<Coding>, ApiError> {
        let mut coding = None;
        for value in headers {
            let text = value.to_str().unwrap_or("?");
            for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let next = match name.to_ascii_lowercase().as_str() {
                    "identity" => continue,
                    "gzip" | "x-gzip" => Coding::Gzip,
                    "zstd" => Coding::Zstd,
                    _ => return Err(unknown(&format!("content encoding {name:?} is not known here"))),
                };
                if coding.replace(next).is_some() {
                    return Err(unknown("a body may be compressed only once"));
                }
            }
        }
        Ok(coding)
    }

    fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Zstd => "zstd",
        }
    }
}

fn unknown(message: &str) -> ApiError {
    ApiError::new(ErrorKind::MediaType, "bad_encoding", message)
        .hint("send it as it is, or with gzip or zstd once")
}

/// Decodes a body of at most `bytes_max` decoded bytes. `cover` is told the number of bytes decoded before
/// their memory is taken, and may refuse.
pub(crate) fn decode(
    coding: Coding,
    body: &[u8],
    bytes_max: usize,
    cover: impl FnMut(usize) -> Result<(), ApiError>,
) -> Result<Vec<u8>, ApiError> {
    match coding {
        Coding::Gzip => drain(coding, MultiGzDecoder::new(body), body.len(), bytes_max, cover),
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body)
                .map_err(|error| ApiError::internal(error.to_string()))?;
            decoder
                .window_log_max(limits::HTTP_ZSTD_WINDOW_LOG_MAX)
                .map_err(|error| ApiError::internal(error.to_string()))?;
            drain(coding, decoder, body.len(), bytes_max, cover)
        }
    }
}

fn drain(
    coding: Coding,
    mut decoder: impl Read,
    encoded_bytes: usize,
    bytes_max: usize,
    mut cover: impl FnMut(usize) -> Result<(), ApiError>,
) -> Result<Vec<u8>, ApiError> {
    const STEP_BYTES: usize = 64 << 10;
    let ratio_max = limits::HTTP_DECODED_RATIO_MAX;
    let bomb_bytes = encoded_bytes.saturating_mul(ratio_max).max(limits::HTTP_DECODED_BYTES_FREE);
    let mut decoded = Vec::new();
    loop {
        cover(decoded.len() + STEP_BYTES)?;
        let step = decoder.by_ref().take(STEP_BYTES as u64).read_to_end(&mut decoded);
        let taken = step.map_err(|error| {
            ApiError::bad_request("bad_encoding", format!("the body is not {}: {error}", coding.name()))
        })?;
        if decoded.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if decoded.len() > bomb_bytes {
            return Err(ApiError::new(
                ErrorKind::TooLarge,
                "bomb",
                format!("the body grows more than {ratio_max} times when it is decoded"),
            )
            .hint("send it uncompressed, or in several requests"));
        }
        if taken < STEP_BYTES {
            return Ok(decoded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd_of(bytes: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(bytes, 1).unwrap()
    }

    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 1_u64;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(bytes)
        .collect()
    }

    #[test]
    fn what_was_encoded_comes_back() {
        for body in [vec![], b"a line\n".to_vec(), noise(300_000)] {
            let twice = [body.clone(), body.clone()].concat();
            let members = [gzip(&body), gzip(&body)].concat();
            let frames = [zstd_of(&body), zstd_of(&body)].concat();
            for (coding, encoded) in [(Coding::Gzip, members), (Coding::Zstd, frames)] {
                assert_eq!(decode(coding, &encoded, 1 << 20, |_| Ok(())).unwrap(), twice);
            }
        }
    }

    #[test]
    fn damage_and_bombs_are_refused_with_bounded_memory() {
        let zeros = vec![0; 64 << 20];
        let mut window = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        window.window_log(24).unwrap();
        window.write_all(&noise(17 << 20)).unwrap();
        let cut = |mut bytes: Vec<u8>| {
            bytes.truncate(bytes.len() - 3);
            bytes
        };
        for (what, coding, body, code) in [
            ("no gzip", Coding::Gzip, b"plain text".to_vec(), "bad_encoding"),
            ("no zstd", Coding::Zstd, b"plain text".to_vec(), "bad_encoding"),
            ("cut gzip", Coding::Gzip, cut(gzip(b"a line")), "bad_encoding"),
            ("cut zstd", Coding::Zstd, cut(zstd_of(b"a line")), "bad_encoding"),
            ("trailing bytes", Coding::Gzip, [gzip(b"x"), b"y".to_vec()].concat(), "bad_encoding"),
            ("a gzip bomb", Coding::Gzip, gzip(&zeros), "bomb"),
            ("a zstd bomb", Coding::Zstd, zstd_of(&zeros), "bomb"),
            ("more than the limit", Coding::Zstd, zstd_of(&noise(17 << 20)), "body_too_large"),
            ("a wide window", Coding::Zstd, window.finish().unwrap(), "bad_encoding"),
        ] {
            let mut covered = 0;
            let cover = |bytes| {
                covered = bytes;
                Ok(())
            };
            assert_eq!(decode(coding, &body, 16 << 20, cover).unwrap_err().code(), code, "{what}");
            assert!(covered <= (16 << 20) + (64 << 10), "{what}: {covered}");
        }
    }

    #[test]
    fn only_one_known_layer_is_taken() {
        for (header, expected) in [
            ("", Ok(None)),
            ("identity", Ok(None)),
            ("GZIP", Ok(Some(Coding::Gzip))),
            ("identity, zstd", Ok(Some(Coding::Zstd))),
            ("gzip, zstd", Err("a body may be compressed only once")),
            ("br", Err("content encoding \"br\" is not known here")),
        ] {
            let got = Coding::of([&HeaderValue::from_str(header).unwrap()]);
            assert_eq!(
                got.as_ref().map_err(ApiError::message),
                expected.as_ref().map_err(|e| *e),
                "{header}"
            );
        }
    }
}
