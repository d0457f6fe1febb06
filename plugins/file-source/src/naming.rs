//! The labels of a file: its path, and what a pattern finds in it.

use regex::bytes::Regex;
use weir_plugin_sdk::Failure;
use weir_plugin_sdk::limits::{LABEL_VALUE_BYTES_MAX, LABELS_MAX};

use crate::frame::compile;

/// Labels as a batch takes them.
pub(crate) type Labels = Vec<(String, String)>;

/// The label of the path.
pub(crate) const PATH: &str = "path";

/// How labels are made of a path.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    pattern: Option<Regex>,
}

impl Naming {
    /// `pattern`: its named groups become labels.
    pub(crate) fn new(pattern: Option<&str>) -> Result<Naming, Failure> {
        let Some(pattern) = pattern else { return Ok(Naming::default()) };
        let pattern = compile("path_labels", pattern)?;
        let names: Vec<&str> = pattern.capture_names().flatten().collect();
        let refuse = |why: &str| {
            let words = format_args!("path_labels: {:?} {why}", pattern.as_str());
            Err(Failure::bad_config("config.path-labels", words))
        };
        if names.is_empty() {
            return refuse("has no named group: write (?P<service>[^/]+) where a label is to come from");
        }
        if let Some(name) = names.iter().find(|name| name.starts_with('_') || **name == PATH) {
            return refuse(&format!("would make a label {name}, which has a meaning already"));
        }
        if names.len() + 4 > LABELS_MAX {
            return refuse("has more groups than a stream may have labels");
        }
        Ok(Naming { pattern: Some(pattern) })
    }

    /// The labels of the file that was found at `path`.
    pub(crate) fn labels(&self, path: &str) -> Labels {
        let mut labels = vec![(PATH.to_owned(), value(path))];
        let Some(pattern) = &self.pattern else { return labels };
        let Some(found) = pattern.captures(path.as_bytes()) else { return labels };
        for name in pattern.capture_names().flatten() {
            if let Some(group) = found.name(name).filter(|group| !group.is_empty()) {
                labels.push((name.to_owned(), value(&String::from_utf8_lossy(group.as_bytes()))));
            }
        }
        labels
    }
}

/// Text as a label may have it: a name may hold control characters, a label may not.
fn value(text: &str) -> String {
    let mut label: String =
        text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    let end = (0..=LABEL_VALUE_BYTES_MAX.min(label.len())).rev().find(|end| label.is_char_boundary(*end));
    label.truncate(end.unwrap_or(0));
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_hold_what_a_label_may() {
        for (path, expected) in [
            ("/var/log/a b.log".to_string(), "/var/log/a b.log".to_string()),
            ("/a\nb\u{7f}".into(), "/a\u{fffd}b\u{fffd}".into()),
            ("é".repeat(2049), "é".repeat(2048)),
            (format!("x{}", "é".repeat(2048)), format!("x{}", "é".repeat(2047))),
        ] {
            assert_eq!(value(&path), expected);
        }
    }

    #[test]
    fn named_groups_of_a_path_are_labels() {
        let pattern =
            r"/(?P<pod>[^_/]+)_(?P<namespace>[^_]+)_(?P<container>.+)-[0-9a-f]{4}\.log(?P<old>\.\d+)?$";
        let naming = Naming::new(Some(pattern)).unwrap();
        for (path, expected) in [
            ("/c/web-1_shop_nginx-00ff.log", "pod=web-1 namespace=shop container=nginx"),
            ("/c/web-1_shop_nginx-00ff.log.1", "pod=web-1 namespace=shop container=nginx old=.1"),
            ("/c/other.log", ""),
        ] {
            let labels: Vec<_> =
                naming.labels(path)[1..].iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(labels.join(" "), expected, "{path}");
        }
        for (pattern, words) in [("(a)", "no named group"), ("(?P<path>a)", "path"), ("(", "wrong")] {
            assert!(Naming::new(Some(pattern)).unwrap_err().message.contains(words));
        }
    }
}
