//! Matchers per stream, made once per query.

use std::collections::HashMap;
use std::sync::Arc;

use weir_query::{Matcher, StreamMatcher};
use weir_record::Stream;
use weir_record::limits::QUERY_STREAMS_CACHED_MAX;

use crate::piece::Piece;

/// What a query asks of the streams of one piece: by their numbers, `None` for those that cannot match.
pub(crate) type PieceMatchers = Arc<[Option<StreamMatcher>]>;

#[derive(Debug)]
pub(crate) struct Matchers {
    matcher: Matcher,
    known: HashMap<Arc<Stream>, Option<StreamMatcher>>,
}

impl Matchers {
    pub(crate) fn new(matcher: Matcher) -> Matchers {
        Matchers { matcher, known: HashMap::new() }
    }

    /// The matchers for a piece; `None` when none of its streams can match.
    pub(crate) fn for_piece(&mut self, piece: &dyn Piece) -> Option<PieceMatchers> {
        let matchers: PieceMatchers =
            (0..piece.stream_count()).map(|number| self.for_stream(piece.stream(number))).collect();
        matchers.iter().any(Option::is_some).then_some(matchers)
    }

    fn for_stream(&mut self, stream: &Arc<Stream>) -> Option<StreamMatcher> {
        if let Some(known) = self.known.get(stream) {
            return known.clone();
        }
        // Forgetting all at once is crude, and rare enough not to matter.
        if self.known.len() >= QUERY_STREAMS_CACHED_MAX {
            self.known.clear();
        }
        let made = self.matcher.for_stream(stream);
        self.known.insert(Arc::clone(stream), made.clone());
        made
    }
}
