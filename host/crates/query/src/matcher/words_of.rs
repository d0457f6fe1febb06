//! What a term holds, for whoever explains a query.

use alloc::vec::Vec;

use crate::language::Expr;
use crate::matcher::CompileError;
use crate::matcher::field::Field;
use crate::matcher::node::Node;
use crate::matcher::pattern;
use crate::matcher::required::{Needles, required};
pub(crate) use crate::matcher::words::Need;
use crate::matcher::words::{joined, need_of};

/// The words that filters are asked for because of one term. That of a field holds for streams without a label of
/// its name.
pub(crate) fn term(expr: &Expr) -> Result<Option<Need<Vec<u8>>>, CompileError> {
    Ok(match expr {
        Expr::Field { name, operator, value, .. } => {
            let words = Field::new(name, *operator, value).words();
            all(words.into_iter().map(Need::Word).collect())
        }
        other => need_of(&Node::compile(other)?),
    })
}

/// All of several.
pub(crate) fn all(needs: Vec<Need<Vec<u8>>>) -> Option<Need<Vec<u8>>> {
    joined(needs, Need::All)
}

/// One of several.
pub(crate) fn any(needs: Vec<Need<Vec<u8>>>) -> Option<Need<Vec<u8>>> {
    joined(needs, Need::Any)
}

/// Texts of which one stands in everything that a regex matches; none when there are no such texts.
pub(crate) fn texts_of_regex(pattern: &str) -> Result<Vec<Vec<u8>>, CompileError> {
    let needles = required(&pattern::hir(pattern)?);
    Ok(needles.iter().flat_map(Needles::as_slice).map(|needle| needle.bytes.clone()).collect())
}
