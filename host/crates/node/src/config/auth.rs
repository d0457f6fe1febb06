//! Who may do what, and what this process shows to others.

use weir_record::limits::{TOKEN_QUERIES_DEFAULT, TOKEN_REQUESTS_PER_S_DEFAULT};

use crate::config::check::{Checked, Table};
use crate::config::kind::Simple;
use crate::config::place::{Place, Problems};
use crate::config::resolve::Told;
use crate::config::resolved::{AuthConfig, Cluster, Secret};

/// Whether whoever asks must show a token.
pub(crate) fn asks_for_tokens(settings: &Table) -> bool {
    settings.table("auth").is_some_and(|table| table.get("tokens_file").is_some())
}

/// `[auth]`; none where nobody is asked for a token.
pub(crate) fn auth(
    settings: &Table,
    cluster: Option<&Cluster>,
    problems: &mut Problems,
) -> Result<Option<AuthConfig>, Told> {
    let named = settings.0.iter().find(|named| named.name == "auth").ok_or(Told)?;
    let Checked::Table(table) = &named.item.value else { return Err(Told) };
    let Some(file) = table.get("tokens_file") else {
        if named.name_place == Place::Default {
            return Ok(None);
        }
        let text = "expected tokens_file to name a file of tokens, got nothing; weir token new makes one";
        problems.error(&named.name_place, "auth", text);
        return Err(Told);
    };
    let Checked::Simple(Simple::Path(tokens_file)) = &file.value else { return Err(Told) };
    if cluster.is_some_and(|cluster| cluster.has_others() && cluster.key_file.is_none()) {
        let text = "expected cluster.key_file beside it, got nothing; nodes that ask for tokens know each other by a key";
        problems.error(&file.place, "auth.tokens_file", text);
        return Err(Told);
    }
    let number = |name: &str, default: u64| match table.get(name).map(|item| &item.value) {
        None => Ok(default),
        Some(Checked::Simple(Simple::Integer(number))) => u64::try_from(*number).map_err(|_| Told),
        Some(_) => Err(Told),
    };
    let queries_max = number("queries", TOKEN_QUERIES_DEFAULT as u64)?;
    Ok(Some(AuthConfig {
        tokens_file: tokens_file.clone(),
        requests_per_s: number("requests_per_s", TOKEN_REQUESTS_PER_S_DEFAULT)?,
        queries_max: usize::try_from(queries_max).map_err(|_| Told)?,
    }))
}

/// What is shown to the nodes that records are shipped to.
pub(crate) fn forward_token(settings: &Table) -> Result<Option<Secret>, Told> {
    let Some(item) = settings.table("forward").ok_or(Told)?.get("token") else { return Ok(None) };
    match &item.value {
        Checked::Simple(Simple::Secret(text)) => Ok(Some(Secret::Inline(text.clone()))),
        Checked::Simple(Simple::Path(path)) => Ok(Some(Secret::File(path.clone()))),
        _ => Err(Told),
    }
}
