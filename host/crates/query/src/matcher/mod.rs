//! Which records an expression means.
//!
//! Three steps, each doing once what the next would repeat: [`Matcher::compile`] per query,
//! [`Matcher::for_stream`] per stream (topic and label terms become constants there), and
//! [`StreamMatcher::scan`] per buffer of payloads. A scan does not go from record to record: it looks for
//! the rarest text that every match must hold in the whole buffer, and tests the expression only on the
//! records in which that was found.

mod field;
mod highlights;
mod literal;
mod node;
pub(crate) mod pattern;
mod pattern_words;
mod required;
mod scan;
mod words;
pub(crate) mod words_of;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use weir_record::Stream;
use weir_record::limits::{QUERY_REGEXES_MAX, REGEX_BYTES_MAX};

use crate::language::Expr;
pub use highlights::Highlights;
use node::{Node, Resolved};
pub use scan::StreamMatcher;
pub use words::{Prune, RequiredWords};

/// An expression that cannot be searched for. Does not affect state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// More than [`QUERY_REGEXES_MAX`] regular expressions.
    #[error("the query has {0} regexes, more than {QUERY_REGEXES_MAX}; write alternatives as one /a|b|c/")]
    Regexes(usize),
    /// A regular expression that takes more than [`REGEX_BYTES_MAX`] when compiled.
    #[error(
        "the regex /{pattern}/ needs more than {REGEX_BYTES_MAX} bytes when compiled; \
         make its repetitions {{n,m}} smaller, or write (?-u) before \\w and \\d to leave Unicode out"
    )]
    RegexTooLarge {
        /// The regular expression.
        pattern: String,
    },
    /// A regular expression with an error in it. The parser finds these first.
    #[error("the regex /{pattern}/ is not valid: {message}")]
    Regex {
        /// The regular expression.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
}

/// What holds for all streams alike.
#[derive(Debug, Clone)]
enum Verdict {
    /// Terms ask for topic or labels: each stream is its own case.
    Varies,
    /// The same for all.
    Same(Option<StreamMatcher>),
}

/// What the terms that ask for the stream say of one stream. Streams of one class have one matcher: a query
/// rarely knows more than two classes, however many streams there are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamClass(Vec<u64>);

/// A compiled query. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Matcher {
    root: Node,
    any_stream: Verdict,
}

impl Matcher {
    /// Compiles an expression. Memory is bounded by [`QUERY_REGEXES_MAX`] times [`REGEX_BYTES_MAX`].
    pub fn compile(expr: &Expr) -> Result<Matcher, CompileError> {
        Node::compile(expr).map(Matcher::new)
    }

    /// All records of one stream, whatever marks weir has set on them.
    pub fn of_source(stream: &Arc<Stream>) -> Matcher {
        Matcher::new(Node::Source(Arc::clone(stream)))
    }

    fn new(root: Node) -> Matcher {
        let any_stream = if root.asks_for_stream() {
            Verdict::Varies
        } else {
            Verdict::Same(matcher_of(root.resolve(None)))
        };
        Matcher { root, any_stream }
    }

    /// The class of a stream, for whoever keeps matchers per class instead of per stream.
    pub fn class_of(&self, stream: &Stream) -> StreamClass {
        let (mut bits, mut count) = (Vec::new(), 0);
        if matches!(self.any_stream, Verdict::Varies) {
            self.root.ask_stream(stream, &mut |holds| {
                if count % 64 == 0 {
                    bits.push(0_u64);
                }
                if let Some(last) = bits.last_mut() {
                    *last |= u64::from(holds) << (count % 64);
                }
                count += 1;
            });
        }
        StreamClass(bits)
    }

    /// Whether terms ask for topic or labels; if not, all streams are of one class.
    pub fn asks_for_stream(&self) -> bool {
        matches!(self.any_stream, Verdict::Varies)
    }

    /// The matcher for the records of one stream; `None` when no record of it can match.
    pub fn for_stream(&self, stream: &Stream) -> Option<StreamMatcher> {
        match &self.any_stream {
            Verdict::Same(matcher) => matcher.clone(),
            Verdict::Varies => matcher_of(self.root.resolve(Some(stream))),
        }
    }
}

fn matcher_of(resolved: Resolved) -> Option<StreamMatcher> {
    match resolved {
        Resolved::Never => None,
        Resolved::Always => Some(StreamMatcher::all()),
        Resolved::Depends(node) => Some(StreamMatcher::new(node)),
    }
}

#[cfg(test)]
mod tests;
