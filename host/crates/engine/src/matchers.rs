//! Matchers per class of streams, made once per query.

use std::collections::HashMap;
use std::sync::Arc;

use weir_query::{Matcher, Prune, StreamClass, StreamMatcher};
use weir_record::Stream;
use weir_record::limits::QUERY_STREAMS_CACHED_MAX;
use weir_segment::token;

use crate::piece::Piece;
use crate::searchable::SegmentPiece;
use crate::selection::{Classes, NEVER};

/// What a query asks of the streams of one piece: by their numbers, `None` for those that cannot match.
pub(crate) type PieceMatchers = Arc<[Option<StreamMatcher>]>;

/// What a query asks of the streams of one segment.
#[derive(Debug)]
pub(crate) struct SegmentMatchers {
    /// The class of each stream, [`NEVER`] for those that cannot match.
    pub(crate) class_of: Classes,
    /// Per class what it is searched for.
    pub(crate) classes: Vec<StreamMatcher>,
    /// What filters are asked before anything is read.
    pub(crate) prune: Prune,
    /// Whether records of any stream can match.
    pub(crate) has_all_streams: bool,
}

impl SegmentMatchers {
    /// Whether every record matches.
    pub(crate) fn match_all(&self) -> bool {
        self.has_all_streams && self.classes.iter().all(StreamMatcher::matches_all)
    }

    /// Of the classes of all streams, and what each class is searched for.
    fn new(class_of: Vec<u32>, classes: Vec<StreamMatcher>) -> SegmentMatchers {
        let hash = |word: &[u8]| token::is_filtered(word).then(|| token::hash(word));
        let prune = Prune::any_of(classes.iter().map(|class| class.required_words().hashed(&hash)));
        let has_all_streams = !class_of.contains(&NEVER);
        let class_of = match class_of.as_slice() {
            [first, rest @ ..] if rest.iter().all(|class| class == first) => Classes::Same(*first),
            _ => Classes::Each(class_of),
        };
        SegmentMatchers { class_of, classes, prune, has_all_streams }
    }
}

#[derive(Debug)]
pub(crate) struct Matchers {
    matcher: Matcher,
    known: HashMap<StreamClass, Option<StreamMatcher>>,
    of_segments: HashMap<usize, Option<Arc<SegmentMatchers>>>,
}

impl Matchers {
    pub(crate) fn new(matcher: Matcher) -> Matchers {
        Matchers { matcher, known: HashMap::new(), of_segments: HashMap::new() }
    }

    /// The matchers for a piece; `None` when none of its streams can match.
    pub(crate) fn for_piece(&mut self, piece: &dyn Piece) -> Option<PieceMatchers> {
        let matchers: PieceMatchers = (0..piece.stream_count())
            .map(|number| {
                let stream = piece.stream(number);
                self.for_class(self.matcher.class_of(stream), stream)
            })
            .collect();
        matchers.iter().any(Option::is_some).then_some(matchers)
    }

    /// The matchers for a segment, made once per searchable; `None` when none of its streams can match.
    pub(crate) fn for_segment(
        &mut self,
        source: usize,
        segment: &SegmentPiece,
    ) -> Option<Arc<SegmentMatchers>> {
        if let Some(known) = self.of_segments.get(&source) {
            return known.clone();
        }
        let made = self.make_for_segment(segment.file().streams()).map(Arc::new);
        self.of_segments.insert(source, made.clone());
        made
    }

    fn make_for_segment(&mut self, streams: &[Arc<Stream>]) -> Option<SegmentMatchers> {
        let mut classes: Vec<StreamMatcher> = Vec::new();
        let mut numbers: HashMap<StreamClass, u32> = HashMap::new();
        let mut class_of = Vec::new();
        for stream in streams {
            // Without terms that ask for the stream the first one speaks for all.
            if !class_of.is_empty() && !self.matcher.asks_for_stream() {
                break;
            }
            let class = self.matcher.class_of(stream);
            if let Some(&number) = numbers.get(&class) {
                class_of.push(number);
                continue;
            }
            let number = match self.for_class(class.clone(), stream) {
                Some(matcher) => {
                    classes.push(matcher);
                    (classes.len() - 1) as u32
                }
                None => NEVER,
            };
            numbers.insert(class, number);
            class_of.push(number);
        }
        (!classes.is_empty()).then(|| SegmentMatchers::new(class_of, classes))
    }

    /// The matcher of a class, of which `stream` is one.
    fn for_class(&mut self, class: StreamClass, stream: &Stream) -> Option<StreamMatcher> {
        if let Some(known) = self.known.get(&class) {
            return known.clone();
        }
        // Forgetting all at once is crude, and rare enough not to matter.
        if self.known.len() >= QUERY_STREAMS_CACHED_MAX {
            self.known.clear();
        }
        let made = self.matcher.for_stream(stream);
        self.known.insert(class, made.clone());
        made
    }
}
