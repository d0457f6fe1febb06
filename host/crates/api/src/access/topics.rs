//! Which topics a caller may read and write.

use std::fmt;
use std::sync::Arc;

use weir_query::Expr;
use weir_record::limits::{TOKEN_TOPICS_BYTES_MAX, TOKEN_TOPICS_MAX, TOPIC_BYTES_MAX};

/// A set of topics. Every list of patterns must allow a topic; without any, all are allowed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Topics(Vec<Arc<[Pattern]>>);

/// A topic, or how topics begin: the last character is a `*` then.
#[derive(Clone, PartialEq, Eq)]
struct Pattern(String);

/// Patterns that are none. Does not affect state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicsError {
    /// A list without anything would allow nothing.
    #[error("expected at least one topic, got none; leave topics out to allow all of them")]
    Empty,
    /// A pattern has a length that no topic has, or a `*` elsewhere than at its end.
    #[error(
        "expected a topic of 1 to {TOPIC_BYTES_MAX} bytes, or its beginning and a * such as shop-*, got {0:?}"
    )]
    Pattern(String),
    /// More than one token may have.
    #[error("expected at most {TOKEN_TOPICS_MAX} topics with {TOKEN_TOPICS_BYTES_MAX} bytes in all")]
    Many,
}

impl Pattern {
    fn allows(&self, topic: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => topic.starts_with(start),
            None => topic == self.0,
        }
    }

    fn expr(&self) -> Expr {
        match self.0.strip_suffix('*') {
            Some("") => Expr::All,
            Some(start) => Expr::Topics(start.to_owned()),
            None => Expr::Topic(self.0.clone()),
        }
    }
}

impl Topics {
    /// Those of a list: names, and beginnings that end in a `*`.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Topics, TopicsError> {
        let pattern = |text: &str| {
            let plain = text.strip_suffix('*').unwrap_or(text);
            let fits = (1..=TOPIC_BYTES_MAX).contains(&text.len()) && !plain.contains('*');
            fits.then(|| Pattern(text.to_owned()))
                .ok_or_else(|| TopicsError::Pattern(text.chars().take(80).collect()))
        };
        let patterns: Vec<Pattern> = patterns.into_iter().map(pattern).collect::<Result<_, _>>()?;
        if patterns.is_empty() {
            return Err(TopicsError::Empty);
        }
        let topics = Topics(vec![patterns.into()]);
        let written = topics.expr().to_string().len();
        if topics.0[0].len() > TOKEN_TOPICS_MAX || written > TOKEN_TOPICS_BYTES_MAX {
            return Err(TopicsError::Many);
        }
        Ok(topics)
    }

    /// Whether there are topics that are not allowed.
    pub fn is_restricted(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether a topic is allowed.
    pub fn allows(&self, topic: &str) -> bool {
        self.0.iter().all(|list| list.iter().any(|pattern| pattern.allows(topic)))
    }

    /// A query for all that is allowed.
    pub fn expr(&self) -> Expr {
        let any = |list: &Arc<[Pattern]>| Expr::any_of(list.iter().map(Pattern::expr));
        Expr::all_of(self.0.iter().map(any))
    }

    /// What both allow.
    #[must_use]
    pub fn and(mut self, other: Topics) -> Topics {
        self.0.extend(other.0);
        self
    }

    /// The lists, for another node: each a list of patterns.
    pub(crate) fn lists(&self) -> impl Iterator<Item = Vec<&str>> {
        self.0.iter().map(|list| list.iter().map(|pattern| pattern.0.as_str()).collect())
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|list| list.iter().map(|pattern| pattern.0.as_str()))
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.patterns()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_allowed_by_name_and_by_beginning() {
        let topics = Topics::parse(["shop", "team a-*"]).unwrap();
        assert_eq!(topics.expr().to_string(), "topic:shop OR topic:\"team a-\"*");
        for (topic, allowed) in
            [("shop", true), ("shop2", false), ("team a-", true), ("team a-x", true), ("team", false)]
        {
            assert_eq!(topics.allows(topic), allowed, "{topic}");
        }
        assert_eq!((Topics::default().expr(), Topics::default().allows("x")), (Expr::All, true));
        let both = topics.and(Topics::parse(["sh*", "x"]).unwrap());
        assert!(both.allows("shop") && !both.allows("x") && !both.allows("team a-x"));
        assert_eq!(both.expr().to_string(), "(topic:shop OR topic:\"team a-\"*) (topic:sh* OR topic:x)");
        let all = Topics::parse(["*"]).unwrap();
        assert_eq!((all.expr(), all.allows("x"), all.is_restricted()), (Expr::All, true, true));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", "a*b", "**", &"x".repeat(256)] {
            assert!(matches!(Topics::parse([bad]), Err(TopicsError::Pattern(_))), "{bad}");
        }
        assert_eq!(Topics::parse([]), Err(TopicsError::Empty));
        assert_eq!(Topics::parse(std::iter::repeat_n("a", 33)), Err(TopicsError::Many));
        let long: Vec<String> = (0..20).map(|n| format!("{}{n}", "x".repeat(250))).collect();
        assert_eq!(Topics::parse(long.iter().map(String::as_str)), Err(TopicsError::Many));
    }
}
