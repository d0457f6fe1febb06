//! A term of a query that is a condition on a field.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use weir_fields::{Decimal, Glance, Key, Number, Value, is_plain, last_part, visit};
use weir_record::word::words;
use weir_record::{Level, Stream};

use crate::language::{Operand, Operator};
use crate::matcher::literal::{Case, Needle};
use crate::matcher::required::Needles;

/// Bytes of a value below which its field's name is looked for instead.
const VALUE_NEEDLE_BYTES_MIN: usize = 3;
/// Bytes of a value that are looked for: more do not make it rarer.
const VALUE_NEEDLE_BYTES_MAX: usize = 64;

/// A compiled condition.
#[derive(Debug)]
pub(crate) struct Field {
    name: String,
    operator: Operator,
    value: Wanted,
    key: Option<Key>,
}

#[derive(Debug)]
enum Wanted {
    Text(String),
    Number(Decimal),
}

impl Field {
    pub(crate) fn new(name: &str, operator: Operator, value: &Operand) -> Field {
        let value = match value {
            Operand::Text(text) => Wanted::Text(text.clone()),
            // One that is none can only have been built, not read: as a text it finds itself.
            Operand::Number(text) => Number::parse(text.as_bytes())
                .map_or_else(|| Wanted::Text(text.clone()), |number| Wanted::Number(Decimal::new(number))),
        };
        Field { name: name.to_owned(), operator, value, key: Key::new(name) }
    }

    /// What the label of the same name says. An absent one says no, and an empty one is absent.
    pub(crate) fn holds_for_label(&self, stream: &Stream) -> bool {
        let label = stream.label(&self.name).filter(|value| !value.is_empty());
        label.is_some_and(|value| self.holds_for(Value::Whole(value.as_bytes())))
    }

    /// Whether the condition holds for a payload; `absent` is the answer where it has no such field.
    pub(crate) fn matches(&self, payload: &[u8], absent: bool) -> bool {
        if let Some(key) = &self.key {
            match key.glance(payload, &|value| absent || self.holds_for(value)) {
                Glance::Absent => return absent,
                Glance::Unwanted => return false,
                Glance::Unknown => {}
            }
        }
        self.matches_walked(payload, absent)
    }

    /// [`Field::matches`] without a glance first.
    pub(crate) fn matches_walked(&self, payload: &[u8], absent: bool) -> bool {
        // Of several values one is enough, but to be unequal it takes all.
        let (mut seen, mut holds) = (false, self.operator == Operator::NotEqual);
        let stays = holds;
        visit(payload, self.name.as_bytes(), &mut |value| {
            seen = true;
            holds = self.holds_for(value);
            holds == stays
        });
        if seen { holds } else { absent }
    }

    fn holds_for(&self, value: Value<'_>) -> bool {
        match &self.value {
            Wanted::Text(text) => match self.operator {
                Operator::Equal => value.is_text(text.as_bytes()),
                Operator::NotEqual => !value.is_text(text.as_bytes()),
                _ => false,
            },
            Wanted::Number(wanted) => match value.number() {
                Some(number) => self.operator.holds(wanted.order_of(number)),
                None => self.operator == Operator::NotEqual,
            },
        }
    }

    /// The text that every payload holds in which the field has the value; only if there is one.
    fn text(&self) -> Option<&[u8]> {
        match &self.value {
            Wanted::Text(text) if self.operator == Operator::Equal => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// Texts of which one stands in every payload that has the field and matches.
    pub(crate) fn needles(&self) -> Option<Needles> {
        let runs = self.text().into_iter().flat_map(|text| text.split(|byte| !is_plain(*byte)));
        let longest = runs.max_by_key(|run| run.len()).filter(|run| run.len() >= VALUE_NEEDLE_BYTES_MIN);
        if let Some(run) = longest {
            let bytes = run[..run.len().min(VALUE_NEEDLE_BYTES_MAX)].to_vec();
            return Some(Needles::one(Needle { bytes, case: Case::Exact }));
        }
        // One text is found several times as fast as one of three, those with the signs around the key.
        self.key.as_ref().map(|_| Needles::key(last_part(&self.name)))
    }

    /// Words that stand in every payload that has the field and matches.
    pub(crate) fn words(&self) -> Vec<Vec<u8>> {
        let mut all = complete_words(self.name.as_bytes());
        all.extend(self.text().map(complete_words).unwrap_or_default());
        all
    }
}

/// The words of a name or value that are words of every payload that it stands in, too, however it is encoded:
/// those of ASCII alone that no escape can come directly before. What comes behind one is a backslash at worst.
fn complete_words(text: &[u8]) -> Vec<Vec<u8>> {
    words(text)
        .filter(|&(start, end)| text[start..end].is_ascii() && (start == 0 || is_plain(text[start - 1])))
        .map(|(start, end)| text[start..end].to_vec())
        .collect()
}

/// Whether the level of a payload satisfies a condition.
pub(crate) fn level_matches(payload: &[u8], operator: Operator, wanted: Level) -> bool {
    let level = Level::of(payload);
    // Levels are numbered from the gravest on.
    let ordered = !operator.is_order() || level != Level::None;
    ordered && operator.holds((wanted as u8).cmp(&(level as u8)))
}
