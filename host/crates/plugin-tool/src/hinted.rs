//! Whether a record has what the hints of a plugin say that it must have: what a store tests before the plugin is asked.

use memchr::memmem;
use weir_plugin_runtime::Hints;
use weir_record::word::words;

/// Whether a store would ask the plugin about this record.
pub(crate) fn may_matter(hints: &Hints, payload: &[u8]) -> bool {
    let has_word = |wanted: &String| words(payload).any(|(from, to)| &payload[from..to] == wanted.as_bytes());
    let has_text = |wanted: &Vec<u8>| memmem::find(payload, wanted).is_some();
    hints.words.iter().all(|list| list.iter().any(has_word))
        && hints.literals.iter().all(|list| list.iter().any(has_text))
}

/// The hints in words; empty when there are none.
pub(crate) fn told(hints: &Hints) -> String {
    let text = |bytes: &Vec<u8>| format!("{:?}", String::from_utf8_lossy(bytes));
    let words = hints.words.iter().map(|list| format!("a word of {}", list.join(", ")));
    let texts = hints.literals.iter().map(|list| list.iter().map(text).collect::<Vec<_>>().join(", "));
    let texts = texts.map(|list| format!("a text of {list}"));
    words.chain(texts).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_must_have_one_that_is_there() {
        let hints = |words: &[&[&str]], literals: &[&[&str]]| Hints {
            words: words.iter().map(|list| list.iter().map(ToString::to_string).collect()).collect(),
            literals: literals
                .iter()
                .map(|list| list.iter().map(|it| it.as_bytes().to_vec()).collect())
                .collect(),
            ..Hints::default()
        };
        for (hints, payload, may) in [
            (hints(&[], &[]), "", true),
            (hints(&[&["error", "warn"]], &[]), "an error here", true),
            (hints(&[&["error"]], &[]), "errors", false),
            (hints(&[], &[&["rror"]]), "errors", true),
            (hints(&[&["a"], &["b"]], &[]), "a c", false),
            (hints(&[&["a"]], &[&["x", "c"]]), "a c", true),
        ] {
            assert_eq!(may_matter(&hints, payload.as_bytes()), may, "{payload}");
        }
    }
}
