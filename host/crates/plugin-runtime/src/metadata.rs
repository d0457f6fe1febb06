//! The metadata in a core module, looked at before the encoder: it is made for what compilers put out, and goes round for
//! ever over packages of WIT that depend on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::catch_unwind;

use wit_parser::decoding::decode_world;

/// The first byte of a form of metadata that compilers of before 2023 left, and that the encoder would still take.
const OLD_FORM: u8 = 3;

/// Which packages each package depends on, over all sections of metadata of a module.
#[derive(Debug, Default)]
pub(crate) struct Packages(BTreeMap<String, BTreeSet<String>>);

impl Packages {
    /// Takes in one section. What cannot be read is left to the encoder, which says why; what only the encoder can read
    /// is refused.
    pub(crate) fn add(&mut self, section: &[u8]) -> Result<(), String> {
        if section.first() == Some(&OLD_FORM) {
            return Err("its metadata has a form of years ago; build it with a wit-bindgen of today".into());
        }
        let Ok(Ok((resolve, _))) = catch_unwind(|| decode_world(section)) else { return Ok(()) };
        for (id, package) in &resolve.packages {
            let direct = resolve.package_direct_deps(id).map(|on| resolve.packages[on].name.to_string());
            self.0.entry(package.name.to_string()).or_default().extend(direct);
        }
        Ok(())
    }

    /// Whether they can be put in an order in which each comes behind what it depends on.
    pub(crate) fn check(mut self) -> Result<(), String> {
        while !self.0.is_empty() {
            let before = self.0.len();
            let open: BTreeSet<String> = self.0.keys().cloned().collect();
            self.0.retain(|_, on| !on.is_disjoint(&open));
            if self.0.len() == before {
                let names: Vec<&str> = self.0.keys().map(String::as_str).take(4).collect();
                return Err(format!("packages of its metadata depend on each other: {}", names.join(", ")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_depend_on_each_other_are_found() {
        for (edges, is_right) in [
            (&[][..], true),
            (&[("a", "b"), ("b", "c"), ("a", "c")], true),
            (&[("a", "b"), ("b", "a")], false),
            (&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b"), ("e", "a")], false),
        ] {
            let mut packages = Packages::default();
            for (from, to) in edges {
                packages.0.entry((*to).to_owned()).or_default();
                packages.0.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            }
            assert_eq!(packages.check().is_ok(), is_right, "{edges:?}");
        }
    }

    #[test]
    fn the_old_form_is_refused_and_nonsense_is_the_encoders_to_tell() {
        assert!(Packages::default().add(b"\x03\x00").unwrap_err().contains("years ago"));
        for section in [&b""[..], b"nonsense", b"\0asm\x0d\0\x01\0"] {
            assert_eq!(Packages::default().add(section), Ok(()), "{section:?}");
        }
    }
}
