//! What a file of tokens is made of.

use weir_api::access::Scope;

use crate::config::schema::{Key, Kind, optional, required};

/// All settings of the file, parents before children.
pub(crate) static KEYS: &[Key] = &[
    optional("token", Kind::Tables, "What one secret is good for."),
    required(
        "token.[].name",
        Kind::Text("a name of 1 to 64 letters, digits, `.`, `_`, `-` and `@`"),
        "What people call it: in lists, logs and errors.",
    ),
    required("token.[].sha256", Kind::Digest, "SHA-256 of the secret, as `weir token new` prints it."),
    required(
        "token.[].scopes",
        Kind::List(&Kind::Choice(&Scope::NAMES)),
        "What it allows: ingest, query, tail, filter, metrics, node, admin.",
    ),
    optional(
        "token.[].topics",
        Kind::List(&Kind::Text("a topic, or its beginning and a * such as shop-*")),
        "Where it allows to send, query and tail; everywhere when not written.",
    ),
    optional("token.[].expires", Kind::Time, "From when on it is good for nothing."),
];
