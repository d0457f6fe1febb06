//! `docs/CONFIGURATION.md` is made of the schema, so that it says what counts.

use std::fmt::Write as _;
use std::path::Path;

use crate::config::schema::{KEYS, Key, Kind, Support, Unset};
use crate::config::units::{format_bytes, format_duration_ms};

const HEAD: &str = "\
# Configuration

Made from the schema by a test (`WEIR_BLESS=1 cargo nextest run --workspace -E 'test(the_page_on_configuration)'` writes it anew); `weir config schema` prints the same as a JSON Schema for editors.

A node needs no configuration: `weir run` has all roles, `./weir-data`, and listens on this machine alone. `weir run -c weir.toml` reads a file. `-c DIR` reads `DIR/weir.toml` and lays `DIR/conf.d/*.toml` over it, in the order of their names; so does `-c DIR/weir.toml`. Tables are joined key by key; of everything else, lists too, the last file counts, and `weir config show` says where each setting comes from. `--set key=value` wins over files. Relative paths are taken from the directory of `weir.toml`.

`weir config check -c weir.toml` lists every mistake with its place; unknown settings are mistakes. `${VAR}`, `${VAR:-default}` and `${VAR:?message}` are replaced inside strings, after parsing. A secret may come from a file: `uri_file` in place of `uri`.

`POST /-/reload` and SIGHUP read all of it again. Sources, plugins and `[policy]` follow at once; the answer names what waits for the next start. A configuration that is wrong changes nothing.

In the paths below `*` stands for a name that you choose, and `[]` for an element of a list. Durations are written `90s`, `2h30m`, `7d`; sizes `64MiB`, `100GB`.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut section = "";
    for key in KEYS {
        let top = key.path.split('.').next().unwrap_or_default();
        if top != section {
            section = top;
            let _ = write!(page, "\n## `[{top}]`\n\n");
            if matches!(key.kind, Kind::Table | Kind::Names(_)) {
                let _ = writeln!(page, "{}\n", sentence(key));
            }
            page.push_str("| setting | takes | when not written | |\n|---|---|---|---|\n");
        }
        if !matches!(key.kind, Kind::Table | Kind::Names(_)) {
            let unset = match key.unset {
                Unset::Default(written) => format!("`{written}`"),
                Unset::Required => "must be written".to_owned(),
                Unset::Absent => String::new(),
            };
            let takes = takes(&key.kind);
            let _ = writeln!(page, "| `{}` | {takes} | {unset} | {} |", key.path, sentence(key));
        }
    }
    page
}

fn sentence(key: &Key) -> String {
    let doc = key.doc.replace('|', "\\|");
    match key.support {
        Support::Now => doc,
        Support::Refused(why) => format!("{doc} Refused: {why}."),
    }
}

fn takes(kind: &Kind) -> String {
    match kind {
        Kind::Labels => "names and values".into(),
        Kind::List(inner) => format!("a list: {}", takes(inner)),
        Kind::Tables => "a list of tables".into(),
        Kind::Text(what) => (*what).into(),
        Kind::Secret(what) => format!("{what}; secret"),
        Kind::Choice(choices) => {
            choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ")
        }
        Kind::Bool => "`true` or `false`".into(),
        Kind::Integer(low, high) => format!("a number, {low} to {high}"),
        Kind::Duration(low, high) => {
            format!("a duration, {} to {}", format_duration_ms(*low), format_duration_ms(*high))
        }
        Kind::Bytes(low, high) => format!("a size, {} to {}", format_bytes(*low), format_bytes(*high)),
        Kind::OrUnlimited(inner) => format!("{}, or `unlimited`", takes(inner)),
        Kind::OrOff(inner) => format!("{}, or `off`", takes(inner)),
        Kind::Percent => "a share, `95%`".into(),
        Kind::Socket => "an IP address and port".into(),
        Kind::HostPort => "a host and port".into(),
        Kind::Url(schemes) => format!("a URL ({})", schemes.join(", ")),
        Kind::Path => "a path".into(),
        Kind::Glob | Kind::GlobOrName => "a pattern of paths".into(),
        Kind::Digest => "a SHA-256".into(),
        Kind::PublicKey => "`ed25519:` and a key".into(),
        _ => "anything".into(),
    }
}

#[test]
fn the_page_on_configuration_is_what_the_schema_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/CONFIGURATION.md");
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/CONFIGURATION.md is not what the schema says; WEIR_BLESS=1 with this test writes it anew"
    );
}
