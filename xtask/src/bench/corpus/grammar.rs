//! Log lines as rules: texts with holes, and what may stand in each hole.
//!
//! A rule has a name and alternatives, one of which is taken at random; one that starts with `5*` counts as five.
//! In an alternative, `<…>` is a hole:
//!
//! | hole | is filled with |
//! |---|---|
//! | `<GET\|PUT>` | one of these words |
//! | `<@name>` | an alternative of the rule `name` |
//! | `<?name>` | the same of `name.checkout` where the line is about the checkout, else of `name` |
//! | `<time:iso>` | the time of the line, in a format of `clock.rs` |
//! | `<n:100>` | a number below 100, all alike |
//! | `<log:100>` | the same, all orders of magnitude alike |
//! | `<digits:6>` | six digits |
//! | `<hex:16>` | sixteen hexadecimal digits |
//! | `<trace>` | 32 of them, the id of a request, where a reader looks for one |
//! | `<ip>`, `<uuid>` | what the name says |

use std::collections::HashMap;

use anyhow::{Context as _, bail};

use super::clock::{Clock, Format};
use super::random::Random;
use super::text;

/// A name and its alternatives.
pub(super) type Rule = (&'static str, &'static [&'static str]);

/// Deeper than rules refer to one another; a rule that refers to itself is an error.
const DEPTH_MAX: usize = 8;

/// Where a rule stands in its grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name(usize);

/// Rules that are ready to be written from.
pub(super) struct Grammar {
    names: HashMap<&'static str, Name>,
    /// The alternatives of each rule, those that count more than once so many times.
    rules: Vec<Vec<usize>>,
    alternatives: Vec<Vec<Part>>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(&'static str),
    Words(Vec<&'static str>),
    Rule(Name),
    /// The rule for lines about the checkout, and that for all others.
    About(Name, Name),
    Time(Format),
    Even(u32),
    Scaled(u32),
    Digits(usize),
    Hex(usize),
    Trace,
    Ip,
    Uuid,
}

/// What a line is written with, and about.
pub(super) struct Line<'a> {
    pub(super) random: &'a mut Random,
    pub(super) clock: Clock,
    pub(super) about_checkout: bool,
    /// Taken by the first trace id of the line, which then is this text.
    pub(super) planted: Option<&'static str>,
}

impl Grammar {
    pub(super) fn read(rules: &[&[Rule]]) -> anyhow::Result<Self> {
        let rules: Vec<Rule> = rules.iter().copied().flatten().copied().collect();
        let names = rules.iter().enumerate().map(|(index, (name, _))| (*name, Name(index))).collect();
        let mut grammar = Self { names, rules: Vec::new(), alternatives: Vec::new() };
        if grammar.names.len() != rules.len() {
            bail!("two rules have the same name");
        }
        for (name, alternatives) in rules {
            let mut chosen = Vec::new();
            for alternative in alternatives {
                let (times, text) = weighed(alternative);
                let parts = grammar.parts(text).with_context(|| format!("rule {name}: {text}"))?;
                chosen.extend(std::iter::repeat_n(grammar.alternatives.len(), times));
                grammar.alternatives.push(parts);
            }
            if chosen.is_empty() {
                bail!("rule {name} has no alternative");
            }
            grammar.rules.push(chosen);
        }
        for (name, rule) in &grammar.names {
            if !grammar.ends(*rule, DEPTH_MAX) {
                bail!("rule {name} goes more than {DEPTH_MAX} rules deep");
            }
        }
        Ok(grammar)
    }

    pub(super) fn named(&self, name: &str) -> anyhow::Result<Name> {
        self.names.get(name).copied().with_context(|| format!("no rule `{name}`"))
    }

    /// Appends an alternative of the rule.
    pub(super) fn write(&self, rule: Name, line: &mut Line<'_>, out: &mut Vec<u8>) {
        let Some(alternative) = line.random.pick(&self.rules[rule.0]) else { return };
        for part in &self.alternatives[alternative] {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Words(words) => {
                    let word = line.random.pick(words).unwrap_or_default();
                    out.extend_from_slice(word.as_bytes());
                }
                Part::Rule(rule) => self.write(*rule, line, out),
                Part::About(checkout, other) => {
                    let rule = if line.about_checkout { *checkout } else { *other };
                    self.write(rule, line, out);
                }
                Part::Time(format) => line.clock.write(*format, out),
                Part::Even(limit) => text::decimal(out, u64::from(line.random.below(*limit))),
                Part::Scaled(limit) => text::decimal(out, u64::from(line.random.scaled_below(*limit))),
                Part::Digits(count) => text::padded(out, line.random.next(), *count),
                Part::Hex(count) => hex(out, line.random, *count),
                Part::Trace => match line.planted.take() {
                    Some(planted) => out.extend_from_slice(planted.as_bytes()),
                    None => hex(out, line.random, 32),
                },
                Part::Ip => ip(out, line.random),
                Part::Uuid => uuid(out, line.random),
            }
        }
    }

    /// Whether the rule's alternatives end, `depth` rules below it at most.
    fn ends(&self, rule: Name, depth: usize) -> bool {
        let below = |rule: &Name| depth > 0 && self.ends(*rule, depth - 1);
        let parts = self.rules[rule.0].iter().flat_map(|alternative| &self.alternatives[*alternative]);
        parts.into_iter().all(|part| match part {
            Part::Rule(rule) => below(rule),
            Part::About(checkout, other) => below(checkout) && below(other),
            _ => true,
        })
    }

    fn parts(&self, mut text: &'static str) -> anyhow::Result<Vec<Part>> {
        let mut parts = Vec::new();
        while let Some((before, rest)) = text.split_once('<') {
            let (hole, after) = rest.split_once('>').context("a hole without an end")?;
            if !before.is_empty() {
                parts.push(Part::Text(before));
            }
            parts.push(self.hole(hole).with_context(|| format!("the hole <{hole}>"))?);
            text = after;
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(parts)
    }

    fn hole(&self, hole: &'static str) -> anyhow::Result<Part> {
        if let Some(name) = hole.strip_prefix('@') {
            return Ok(Part::Rule(self.named(name)?));
        }
        if let Some(name) = hole.strip_prefix('?') {
            return Ok(Part::About(self.named(&format!("{name}.checkout"))?, self.named(name)?));
        }
        if hole.contains('|') {
            return Ok(Part::Words(hole.split('|').collect()));
        }
        let (kind, argument) = hole.split_once(':').unwrap_or((hole, ""));
        Ok(match kind {
            "time" => Part::Time(Format::named(argument).context("no such format of a time")?),
            "n" => Part::Even(argument.parse()?),
            "log" => Part::Scaled(argument.parse()?),
            "digits" => Part::Digits(argument.parse()?),
            "hex" => Part::Hex(argument.parse()?),
            "trace" => Part::Trace,
            "ip" => Part::Ip,
            "uuid" => Part::Uuid,
            _ => bail!("nothing of that kind"),
        })
    }
}

/// How often an alternative counts, and its text.
fn weighed(alternative: &'static str) -> (usize, &'static str) {
    let times = alternative.split_once('*').and_then(|(times, text)| Some((times.parse().ok()?, text)));
    times.unwrap_or((1, alternative))
}

fn hex(out: &mut Vec<u8>, random: &mut Random, mut digits: usize) {
    while digits > 0 {
        let some = digits.min(16);
        text::hex(out, random.next(), some);
        digits -= some;
    }
}

/// Some networks have most of the clients.
fn ip(out: &mut Vec<u8>, random: &mut Random) {
    let network = random.scaled_below(1 << 9);
    text::decimal(out, u64::from(31 + network % 190));
    for byte in [network * 7 % 251, random.below(8) * 32, random.below(254) + 1] {
        out.push(b'.');
        text::decimal(out, u64::from(byte));
    }
}

fn uuid(out: &mut Vec<u8>, random: &mut Random) {
    let (high, low) = (random.next(), random.next());
    text::hex(out, high >> 32, 8);
    out.push(b'-');
    text::hex(out, high >> 16, 4);
    out.extend_from_slice(b"-4");
    text::hex(out, high, 3);
    out.push(b'-');
    text::hex(out, 8 | (low >> 62), 1);
    text::hex(out, low >> 48, 3);
    out.push(b'-');
    text::hex(out, low, 12);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(rules: &[Rule], about_checkout: bool, planted: Option<&'static str>) -> String {
        let grammar = Grammar::read(&[rules]).unwrap();
        let mut random = Random::new(1);
        let mut line = Line { random: &mut random, clock: Clock::of_line(0), about_checkout, planted };
        let mut out = Vec::new();
        grammar.write(grammar.named("a").unwrap(), &mut line, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Letters for what stands there: `h` for a digit, also a hexadecimal one.
    fn shape(text: &str) -> String {
        text.chars().map(|char| if char.is_ascii_hexdigit() { 'h' } else { char }).collect()
    }

    #[test]
    fn holes_are_filled() {
        for (text, expected) in [
            ("x <time:hour> y", "x 10:00:00.000 y"),
            ("<@b><@b>", "uvuv"),
            ("<?b>", "uv"),
            ("<n:1>.<log:1>", "0.0"),
            ("<xy|xy>", "xy"),
            ("", ""),
        ] {
            let alternatives = [text];
            // The table of rules is static; that of a test lives as long.
            let rules = [("a", &*alternatives.to_vec().leak()), ("b", &["uv"][..]), ("b.checkout", &["w"])];
            assert_eq!(written(&rules, false, None), expected, "{text}");
        }
        for (text, expected) in [
            ("<digits:4>", "hhhh"),
            ("<hex:18>", "hhhhhhhhhhhhhhhhhh"),
            ("<trace>", "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"),
            ("<uuid>", "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh"),
        ] {
            let rules = [("a", &*vec![text].leak())];
            assert_eq!(shape(&written(&rules, false, None)), expected, "{text}");
        }
    }

    #[test]
    fn a_line_is_about_what_was_asked_for() {
        let rules = [("a", &["<?b> <trace> <n:1>"][..]), ("b", &["other"]), ("b.checkout", &["checkout"])];
        assert_eq!(written(&rules, true, Some("planted")), "checkout planted 0");
    }

    #[test]
    fn an_alternative_counts_as_often_as_it_says() {
        let grammar = Grammar::read(&[&[("a", &["9*x", "y"])]]).unwrap();
        let mut random = Random::new(1);
        let mut out = Vec::new();
        for _ in 0..10_000 {
            let mut line =
                Line { random: &mut random, clock: Clock::of_line(0), about_checkout: false, planted: None };
            grammar.write(Name(0), &mut line, &mut out);
        }
        let seldom = String::from_utf8(out).unwrap().matches('y').count();
        assert!((800..1200).contains(&seldom), "{seldom}");
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        for (rules, named) in [
            (&[("a", &["<@b>"][..])][..], "`b`"),
            (&[("a", &["<what>"])], "<what>"),
            (&[("a", &["<n:x>"])], "<n:x>"),
            (&[("a", &["<time:x>"])], "format"),
            (&[("a", &["<ip"])], "end"),
            (&[("a", &["<@a>"])], "deep"),
            (&[("a", &["x"]), ("a", &["y"])], "same name"),
            (&[("a", &[])], "no alternative"),
        ] {
            let error = Grammar::read(&[rules]).err().unwrap();
            assert!(format!("{error:#}").contains(named), "{error:#}");
        }
    }
}
