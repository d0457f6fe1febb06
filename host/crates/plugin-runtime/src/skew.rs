//! Differences between what a component asks for or offers and what this node has, in words.

use std::fmt;

use crate::kind::Kind;

/// One thing that a component wants and this node does not have, or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Skew {
    /// An import of another package than weir's.
    #[error("imports {name}, which this node does not give to plugins; {advice}")]
    Unknown {
        /// The import.
        name: String,
        /// What to do.
        advice: &'static str,
    },
    /// An interface of weir's package in a version that is not compatible.
    #[error("built for {package} {built_for} (it {way} {interface}), this node has {here}; {}", advice(.built_for, .here))]
    Version {
        /// The package.
        package: String,
        /// Whether it imports or exports it.
        way: Way,
        /// The interface.
        interface: String,
        /// Version in the component.
        built_for: String,
        /// Version of this node.
        here: String,
    },
    /// An interface that weir's package does not have.
    #[error("{way} {name}, which {package} {here} does not have")]
    NoInterface {
        /// Whether it imports or exports it.
        way: Way,
        /// The interface.
        name: String,
        /// The package.
        package: String,
        /// Version of this node.
        here: String,
    },
    /// An interface that this kind of plugin may not have.
    #[error("imports {name}, but a {kind} may import nothing but {allowed}")]
    NotForKind {
        /// The import.
        name: String,
        /// The kind of the plugin.
        kind: Kind,
        /// What it may import.
        allowed: String,
    },
    /// A function that the interface here does not have.
    #[error(
        "imports {interface}.{function}, which {interface} {here} does not have; upgrade this node, or build the plugin with its SDK"
    )]
    NoFunction {
        /// The interface.
        interface: String,
        /// The function.
        function: String,
        /// Version of this node.
        here: String,
    },
    /// A function with another signature.
    #[error(
        "{way} {interface}.{function} as `{there}`, this node has `{here}`; build the plugin with the SDK of this version"
    )]
    Signature {
        /// Whether it imports or exports it.
        way: Way,
        /// The interface.
        interface: String,
        /// The function.
        function: String,
        /// In the component.
        there: String,
        /// In this node.
        here: String,
    },
    /// A function that must be exported and is not.
    #[error("does not export {interface}.{function}")]
    NotExported {
        /// The interface.
        interface: String,
        /// The function.
        function: String,
    },
    /// Interfaces that cannot be read.
    #[error("its interfaces cannot be told in WIT: {0}")]
    Undecodable(String),
    /// None, or several, of the interfaces that make a plugin.
    #[error("a plugin exports one of source, filter, rewrite and aggregate, and this one exports {0}")]
    Kinds(String),
}

/// Direction of an interface, seen from the component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The component wants it.
    Imports,
    /// The component offers it.
    Exports,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Imports => "imports",
            Way::Exports => "exports",
        })
    }
}

fn advice(built_for: &str, here: &str) -> &'static str {
    let number = |text: &str| -> Vec<u64> { text.split('.').map_while(|part| part.parse().ok()).collect() };
    if number(built_for) > number(here) {
        "upgrade this node, or build the plugin with an older SDK"
    } else {
        "build the plugin with the SDK of this version"
    }
}
