//! How a query was understood, as it goes out: the first line of an answer to `explain=1`.

use serde::{Deserialize, Serialize};
use weir_query::Explanation;

/// `{"explain":{…}}`: the first line of an answer that explains; the last one has the statistics, and no record
/// stands between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainLine {
    /// How the query was understood.
    pub explain: QueryExplained,
}

/// How a query was understood. Unknown fields are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QueryExplained {
    /// The query as it was understood: it reads as the same query.
    pub query: String,
    /// The whole words without which a block is not read: `(a b)` both, `(a|b)` one of them; `null` when no
    /// filter can exclude anything.
    pub filters: Option<String>,
    /// The terms, in their order.
    pub terms: Vec<TermExplained>,
}

/// A term, or a group of the terms that follow it and are nested deeper.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TermExplained {
    /// In how many groups it stands.
    pub depth: usize,
    /// The term; of a group what joins it.
    pub term: String,
    /// What it finds, and what spares reading.
    pub does: String,
    /// What to write for a faster query that may mean the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<Explanation> for QueryExplained {
    fn from(explanation: Explanation) -> QueryExplained {
        let Explanation { query, filters, terms } = explanation;
        let terms = terms.into_iter().map(|term| TermExplained {
            depth: term.depth,
            term: term.term,
            does: term.does,
            hint: term.hint,
        });
        QueryExplained { query, filters, terms: terms.collect() }
    }
}
