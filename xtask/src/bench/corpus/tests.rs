use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use super::*;

fn corpus(seed: u64, bytes: u64) -> (Written, String) {
    let mut out = Vec::new();
    let written = Corpus::new(seed, bytes).unwrap().write(&mut out).unwrap();
    (written, String::from_utf8(out).unwrap())
}

#[test]
fn a_seed_gives_the_same_bytes_on_every_machine() {
    let (written, text) = corpus(SEED, 1_000_000);
    assert_eq!(written.bytes, text.len() as u64);
    assert_eq!(written.lines, text.lines().count() as u64);
    // What was measured with other lines cannot be held against what is measured with these: whoever changes a
    // rule changes this on purpose.
    let digest = Sha256::digest(&text).iter().fold(0_u64, |digest, byte| (digest << 8) | u64::from(*byte));
    assert_eq!(digest, 0x052c_ac97_f373_2b7b);
    assert_ne!(corpus(SEED + 1, 1000).1, corpus(SEED, 1000).1);
}

#[test]
fn a_corpus_ends_with_the_line_that_fills_it() {
    for bytes in [0, 1, 1000, 3 << 20] {
        let (written, text) = corpus(SEED, bytes);
        let last = text.lines().last().map_or(0, |line| line.len() as u64 + 1);
        assert!(written.bytes >= bytes && written.bytes - last <= bytes, "{bytes}: {written:?}");
        assert!(text.is_empty() || text.ends_with('\n'), "{bytes}");
    }
}

#[test]
fn patterns_are_as_frequent_as_the_documentation_says() {
    let (written, text) = corpus(SEED, 60_000_000);
    let length = written.bytes / written.lines;
    assert!((180..195).contains(&length), "{length} bytes a line");
    for (what, per_million, is_hit) in [
        ("declined", 9_000..11_000, (|line| line.contains("PaymentDeclined")) as fn(&str) -> bool),
        ("checkout", 295_000..305_000, |line| line.contains("checkout")),
        ("declined with an amount", 850..1_150, |line| {
            line.split_once("PaymentDeclined").is_some_and(|(_, rest)| after(rest, "amount=", b"9dd."))
        }),
        ("user and latency", 50..150, |line| {
            let user = line.split("user=").skip(1).find(|rest| {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                digits > 1 && rest[..digits].ends_with('7') && rest[digits..].starts_with(' ')
            });
            user.is_some_and(|rest| after(rest, "latency=", b"8dd") || after(rest, "latency=", b"9dd"))
        }),
        ("runs of letters and digits", 20..80, |line| {
            let is_run = |run: &[u8]| {
                run.iter().enumerate().all(|(index, byte)| match index {
                    5..10 => byte.is_ascii_digit(),
                    _ => (b'a'..=b'f').contains(byte),
                })
            };
            line.as_bytes().windows(15).any(is_run)
        }),
        ("web", 305_000..315_000, |line| line.contains(" HTTP/")),
        ("json", 305_000..315_000, |line| line.starts_with('{')),
        ("stack traces", 3_000..20_000, |line| line.starts_with('\t')),
    ] {
        let hits = text.lines().filter(|line| is_hit(line)).count() as u64 * 1_000_000 / written.lines;
        assert!(per_million.contains(&hits), "{what}: {hits} in a million lines");
    }
}

/// Whether the text has `name` somewhere with a value of this shape behind it, in which `d` is a digit.
fn after(text: &str, name: &str, shape: &[u8]) -> bool {
    text.split(name).skip(1).any(|value| {
        value.len() >= shape.len()
            && shape.iter().zip(value.bytes()).all(|(wanted, byte)| match wanted {
                b'd' => byte.is_ascii_digit(),
                wanted => byte == *wanted,
            })
    })
}

#[test]
fn what_is_planted_is_spread_over_the_corpus() {
    let (written, text) = corpus(SEED, 7_000_000);
    let places = |word| text.match_indices(word).map(|(at, _)| at as u64 * 100 / written.bytes).collect();
    let needles: Vec<u64> = places(NEEDLE);
    assert_eq!(needles, [7, 21, 35, 50, 64, 78, 92]);
    assert_eq!(text.lines().filter(|line| line.contains(NEEDLE)).count() as u64, NEEDLES);
    let traces: Vec<u64> = places(TRACE);
    assert_eq!(traces, [50]);
    assert_eq!(text.matches(ABSENT).count(), 0);
}

#[test]
fn a_mebibyte_has_as_many_words_as_other_logs() {
    let (_, text) = corpus(SEED, 1 << 20);
    let words: HashSet<&str> =
        text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_').collect();
    assert!((17_000..19_000).contains(&words.len()), "{}", words.len());
}
