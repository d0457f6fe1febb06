//! A delivery as it is kept until it is stored.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use weir_plugin_runtime::Envelope;
use weir_record::limits::AMQP_HEADERS_MAX;

use crate::desk::Arrived;

/// Headers that brokers set on the way: not the same when a message comes again.
const OF_BROKERS: [&str; 6] =
    ["x-death", "x-delivery-count", "x-acquired-count", "x-stream-offset", "timestamp_in_ms", "x-opt-"];
/// Where RabbitMQ's own plugin puts a timestamp that is finer than the property.
const TIME_MS: &str = "timestamp_in_ms";

/// A message with all that may be needed of it.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) body: Vec<u8>,
    pub(crate) envelope: Arc<Envelope>,
    /// 0 for none.
    pub(crate) time_ms: u64,
    /// Place in a stream.
    pub(crate) offset: Option<u64>,
    /// As it came, for the exchange that may get it.
    pub(crate) properties: BasicProperties,
}

impl Message {
    /// Takes a delivery. `last` is the envelope of the message before: mostly this one has the same.
    pub(crate) fn new(delivery: Delivery, last: &mut Arc<Envelope>) -> (Message, Arrived) {
        let Delivery { exchange, routing_key, redelivered, properties, data: body, .. } = delivery;
        let envelope = Envelope {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            properties: named(&properties),
            headers: headers(&properties),
        };
        if **last != envelope {
            *last = Arc::new(envelope);
        }
        let message = Message {
            envelope: Arc::clone(last),
            time_ms: time_ms(&properties),
            offset: number(&properties, "x-stream-offset"),
            properties,
            body,
        };
        let mut hash = DefaultHasher::new();
        message.body.hash(&mut hash);
        message.envelope.routing_key.hash(&mut hash);
        message.message_id().hash(&mut hash);
        message.time_ms.hash(&mut hash);
        let arrived = Arrived { bytes: message.body.len(), hash: hash.finish(), redelivered };
        (message, arrived)
    }

    /// Empty for none.
    pub(crate) fn message_id(&self) -> &str {
        self.properties.message_id().as_ref().map_or("", |id| id.as_str())
    }

    /// How often a queue with a delivery limit has delivered it already.
    pub(crate) fn delivery_count(&self) -> Option<u64> {
        number(&self.properties, "x-delivery-count")
    }
}

fn number(properties: &BasicProperties, header: &str) -> Option<u64> {
    let headers = properties.headers().as_ref()?.inner();
    match headers.get(header)? {
        AMQPValue::LongLongInt(n) => u64::try_from(*n).ok(),
        AMQPValue::LongInt(n) => u64::try_from(*n).ok(),
        AMQPValue::LongUInt(n) => Some(u64::from(*n)),
        AMQPValue::ShortInt(n) => u64::try_from(*n).ok(),
        AMQPValue::ShortUInt(n) => Some(u64::from(*n)),
        AMQPValue::ShortShortInt(n) => u64::try_from(*n).ok(),
        AMQPValue::ShortShortUInt(n) => Some(u64::from(*n)),
        AMQPValue::Timestamp(n) => Some(*n),
        _ => None,
    }
}

/// The property is in whole seconds.
fn time_ms(properties: &BasicProperties) -> u64 {
    let seconds = || properties.timestamp().unwrap_or_default().saturating_mul(1000);
    number(properties, TIME_MS).unwrap_or_else(seconds)
}

fn named(properties: &BasicProperties) -> Vec<(String, String)> {
    let texts = [
        ("content-type", properties.content_type()),
        ("content-encoding", properties.content_encoding()),
        ("correlation-id", properties.correlation_id()),
        ("reply-to", properties.reply_to()),
        ("expiration", properties.expiration()),
        ("type", properties.kind()),
        ("user-id", properties.user_id()),
        ("app-id", properties.app_id()),
    ];
    texts.into_iter().filter_map(|(name, text)| Some((name.into(), text.as_ref()?.to_string()))).collect()
}

fn headers(properties: &BasicProperties) -> Vec<(String, String)> {
    let all = properties.headers().iter().flat_map(FieldTable::inner);
    let own = all.filter(|(name, _)| !OF_BROKERS.iter().any(|theirs| name.as_str().starts_with(theirs)));
    let texts = own.filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
    texts.take(AMQP_HEADERS_MAX).collect()
}

fn text(value: &AMQPValue) -> Option<String> {
    Some(match value {
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::ShortShortInt(value) => value.to_string(),
        AMQPValue::ShortShortUInt(value) => value.to_string(),
        AMQPValue::ShortInt(value) => value.to_string(),
        AMQPValue::ShortUInt(value) => value.to_string(),
        AMQPValue::LongInt(value) => value.to_string(),
        AMQPValue::LongUInt(value) => value.to_string(),
        AMQPValue::LongLongInt(value) => value.to_string(),
        AMQPValue::Float(value) => value.to_string(),
        AMQPValue::Double(value) => value.to_string(),
        AMQPValue::Timestamp(value) => value.to_string(),
        AMQPValue::ShortString(value) => value.to_string(),
        AMQPValue::LongString(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(properties: BasicProperties) -> (Message, Arrived) {
        let mut delivery = Delivery::mock(1, "ex".into(), "rk".into(), true, b"body".to_vec());
        delivery.properties = properties;
        Message::new(delivery, &mut Arc::default())
    }

    #[test]
    fn simple_headers_become_text_and_those_of_brokers_stay_behind() {
        let mut table = FieldTable::default();
        table.insert("n".into(), AMQPValue::LongInt(-7));
        table.insert("b".into(), AMQPValue::Boolean(true));
        table.insert("t".into(), AMQPValue::LongString("ä".into()));
        table.insert("deep".into(), AMQPValue::FieldTable(FieldTable::default()));
        table.insert("x-delivery-count".into(), AMQPValue::LongLongInt(3));
        table.insert("x-death".into(), AMQPValue::Void);
        let properties = BasicProperties::default().with_headers(table).with_app_id("cart".into());
        let (message, arrived) = message(properties);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(message.envelope.headers, [pair("b", "true"), pair("n", "-7"), pair("t", "ä")]);
        assert_eq!(message.envelope.properties, [pair("app-id", "cart")]);
        assert_eq!((message.delivery_count(), arrived.redelivered, arrived.bytes), (Some(3), true, 4));
    }

    #[test]
    fn the_finer_time_wins() {
        let properties = BasicProperties::default().with_timestamp(1_700_000_000);
        assert_eq!(message(properties.clone()).0.time_ms, 1_700_000_000_000);
        let mut table = FieldTable::default();
        table.insert(TIME_MS.into(), AMQPValue::LongLongInt(1_700_000_000_123));
        assert_eq!(message(properties.with_headers(table)).0.time_ms, 1_700_000_000_123);
        assert_eq!(message(BasicProperties::default().with_timestamp(u64::MAX)).0.time_ms, u64::MAX);
    }

    #[test]
    fn what_brokers_add_does_not_make_it_another_message() {
        let mut table = FieldTable::default();
        table.insert("x-delivery-count".into(), AMQPValue::LongLongInt(1));
        let plain = BasicProperties::default().with_message_id("a".into());
        let again = plain.clone().with_headers(table);
        let other = plain.clone().with_message_id("b".into());
        assert_eq!(message(plain.clone()).1.hash, message(again).1.hash);
        assert_ne!(message(plain).1.hash, message(other).1.hash);
    }
}
