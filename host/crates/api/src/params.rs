//! Parameters of a request: `name=value` pairs of a URL or a form, each name known or refused.

use crate::error::ApiError;

/// Decoded pairs in the order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Decodes `application/x-www-form-urlencoded` text. A `%` that begins no escape stands for itself,
    /// as people type it in shells; what does not decode to UTF-8 is refused.
    pub(crate) fn parse(text: &str) -> Result<Params, ApiError> {
        let mut params = Params::default();
        params.extend(text)?;
        Ok(params)
    }

    /// Adds the pairs of more text.
    pub(crate) fn extend(&mut self, text: &str) -> Result<(), ApiError> {
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or_else(|| not_utf8(name))?;
            let value = decode(value).ok_or_else(|| not_utf8(&name))?;
            self.pairs.push((name, value));
        }
        Ok(())
    }

    /// Adds one pair.
    pub(crate) fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.pairs.push((name.into(), value.into()));
    }

    /// Takes the value of a name out. Twice the same name is refused: one of them would be ignored.
    pub(crate) fn take(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        let Some(at) = self.pairs.iter().position(|(other, _)| other == name) else { return Ok(None) };
        let (_, value) = self.pairs.remove(at);
        if self.pairs.iter().any(|(other, _)| other == name) {
            return Err(ApiError::bad_request("bad_parameter", format!("parameter {name} is given twice")));
        }
        Ok(Some(value))
    }

    /// Takes out all pairs whose name begins with `prefix`, without it.
    pub(crate) fn take_prefixed(&mut self, prefix: &str) -> Vec<(String, String)> {
        let (taken, left) =
            std::mem::take(&mut self.pairs).into_iter().partition(|(name, _)| name.starts_with(prefix));
        self.pairs = left;
        let strip = |(name, value): (String, String)| (name[prefix.len()..].to_owned(), value);
        taken.into_iter().map(strip).collect()
    }

    /// Refuses what nobody took. `known` are the names that the route takes.
    pub(crate) fn finish(self, known: &[&str]) -> Result<(), ApiError> {
        let Some((name, _)) = self.pairs.first() else { return Ok(()) };
        let shown: String = name.chars().take(80).collect();
        let hint = match nearest(&shown, known) {
            Some(near) => format!("did you mean {near}?"),
            None if known.is_empty() => "this route takes no parameters".into(),
            None => format!("known are {}", known.join(", ")),
        };
        Err(ApiError::bad_request("unknown_parameter", format!("unknown parameter {shown:?}")).hint(hint))
    }
}

/// The name that was probably meant.
pub(crate) fn nearest<'a>(got: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|name| (strsim::damerau_levenshtein(got, name), *name));
    scored.filter(|(distance, name)| *distance <= 1 + name.len() / 3).min().map(|(_, name)| name)
}

fn not_utf8(name: &str) -> ApiError {
    let shown: String = name.chars().take(80).collect();
    ApiError::bad_request("bad_parameter", format!("parameter {shown:?} is not UTF-8"))
        .hint("bytes that are no UTF-8 can be searched for with a regex, as in /\\xff/")
}

fn decode(text: &str) -> Option<String> {
    String::from_utf8(decode_bytes(text)).ok()
}

/// Decodes one name or value, whatever bytes it stands for.
pub(crate) fn decode_bytes(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |offset| bytes.get(at + offset).and_then(|&d| char::from(d).to_digit(16));
        match (byte, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    out
}

/// Appends a name or value in the form that [`Params::parse`] reads.
pub(crate) fn encode(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => {
                out.push('%');
                out.push(HEX[usize::from(byte >> 4)].into());
                out.push(HEX[usize::from(byte & 15)].into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_are_decoded_and_taken_by_name() {
        let mut params = Params::parse("topic=a+b%2Bc&label.host=w%C3%A9b&&q=100%&label.x=&flag").unwrap();
        assert_eq!(params.take("topic").unwrap().as_deref(), Some("a b+c"));
        assert_eq!(params.take("q").unwrap().as_deref(), Some("100%"));
        assert_eq!(params.take("flag").unwrap().as_deref(), Some(""));
        assert_eq!(params.take("no").unwrap(), None);
        let labels = params.take_prefixed("label.");
        assert_eq!(labels, [("host".into(), "wéb".into()), ("x".into(), String::new())]);
        assert_eq!(params.finish(&[]), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = Params::parse("topci=a").unwrap().finish(&["topic", "durability"]).unwrap_err();
        assert_eq!(error.message(), "unknown parameter \"topci\"");
        assert_eq!(error.envelope().error.hint.as_deref(), Some("did you mean topic?"));
        let error = Params::parse("zzzzz=a").unwrap().finish(&["topic"]).unwrap_err();
        assert_eq!(error.envelope().error.hint.as_deref(), Some("known are topic"));
        let error = Params::parse("q=a&q=b").unwrap().take("q").unwrap_err();
        assert_eq!(error.message(), "parameter q is given twice");
        assert_eq!(Params::parse("q=%ff").unwrap_err().message(), "parameter \"q\" is not UTF-8");
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(name in ".{1,20}", value in ".{0,40}") {
            let mut text = String::new();
            encode(&mut text, &name);
            text.push('=');
            encode(&mut text, &value);
            prop_assert_eq!(Params::parse(&text).unwrap().pairs, [(name, value)]);
        }
    }
}
