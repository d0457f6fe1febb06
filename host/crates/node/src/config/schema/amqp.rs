//! Settings of a queue of RabbitMQ that a source is granted.

use weir_record::limits::{
    AMQP_CONSUMERS_MAX, AMQP_HOLD_MS_MAX, AMQP_HOLD_MS_MIN, AMQP_MESSAGE_BYTES_MAX, AMQP_PREFETCH_MAX,
};

use super::{Key, Kind, is, optional, required, table};

/// All of them.
pub(super) const KEYS: &[Key] = &[
    optional(
        "sources.*.grants.amqp",
        Kind::Names("grant"),
        "Queues of RabbitMQ, by the name the plugin asks for.",
    ),
    table("sources.*.grants.amqp.*", "One queue, and how it is consumed."),
    required(
        "sources.*.grants.amqp.*.uri",
        Kind::Secret("a URI such as amqp://user:password@host/vhost"),
        "Broker, credentials and virtual host; `amqps` for TLS.",
    ),
    optional(
        "sources.*.grants.amqp.*.hosts",
        Kind::List(&Kind::Text("a host, or a host and port such as mq2:5672")),
        "Further brokers of the same cluster, tried in turn; all else is as in uri.",
    ),
    required("sources.*.grants.amqp.*.queue", Kind::Text("the name of a queue"), "What to consume."),
    is(
        "sources.*.grants.amqp.*.declare",
        Kind::Choice(&["no", "passive", "active"]),
        r#""passive""#,
        "What is done about the queue first: nothing; wait until it is there; or make it, with its bindings.",
    ),
    optional(
        "sources.*.grants.amqp.*.queue_type",
        Kind::Choice(&["classic", "quorum", "stream"]),
        "Its type. Needed for streams; else for declaring it.",
    ),
    is("sources.*.grants.amqp.*.durable", Kind::Bool, "true", "Whether a declared queue survives a restart."),
    optional(
        "sources.*.grants.amqp.*.arguments",
        Kind::Free,
        "Further arguments of its declaration: texts, whole numbers, true or false.",
    ),
    optional(
        "sources.*.grants.amqp.*.bindings",
        Kind::Tables,
        "What a queue that is declared actively is bound to.",
    ),
    required(
        "sources.*.grants.amqp.*.bindings.[].exchange",
        Kind::Text("the name of an exchange"),
        "An exchange that is there.",
    ),
    optional(
        "sources.*.grants.amqp.*.bindings.[].routing_key",
        Kind::Text("a routing key"),
        "With this key.",
    ),
    is(
        "sources.*.grants.amqp.*.single_active_consumer",
        Kind::Bool,
        "false",
        "Whether a declared queue feeds one consumer at a time, and the next when that is gone.",
    ),
    is(
        "sources.*.grants.amqp.*.exclusive",
        Kind::Bool,
        "false",
        "Whether others are refused while this one consumes. Classic queues alone.",
    ),
    optional(
        "sources.*.grants.amqp.*.priority",
        Kind::Integer(-1_000, 1_000),
        "Among consumers of the queue; higher ones get messages first.",
    ),
    is(
        "sources.*.grants.amqp.*.consumers",
        Kind::Integer(1, AMQP_CONSUMERS_MAX),
        "1",
        "Consumers, each with a connection of its own. With more than one, order is kept by timestamps alone.",
    ),
    is(
        "sources.*.grants.amqp.*.prefetch",
        Kind::Integer(1, AMQP_PREFETCH_MAX as i64),
        "1000",
        "Messages that a consumer may have unacknowledged. A session begins with 16 and grows.",
    ),
    is(
        "sources.*.grants.amqp.*.prefetch_bytes",
        Kind::Bytes(1 << 20, 1 << 30),
        r#""32MiB""#,
        "Bytes that all consumers may have unacknowledged, as far as the messages before tell.",
    ),
    optional(
        "sources.*.grants.amqp.*.consumer_tag",
        Kind::Text("a text"),
        "What the broker calls the consumer. `weir-SOURCE` when not written.",
    ),
    optional(
        "sources.*.grants.amqp.*.connection_name",
        Kind::Text("a text"),
        "What the broker's management page calls the connection. `weir SOURCE` when not written.",
    ),
    is(
        "sources.*.grants.amqp.*.heartbeat",
        Kind::Duration(1_000, 600_000),
        r#""60s""#,
        "After twice this without a word a connection is given up. A heartbeat in the URI wins.",
    ),
    is(
        "sources.*.grants.amqp.*.connect_timeout",
        Kind::Duration(100, 300_000),
        r#""10s""#,
        "What the broker may take for each answer.",
    ),
    table("sources.*.grants.amqp.*.tls", "For amqps."),
    optional(
        "sources.*.grants.amqp.*.tls.ca",
        Kind::Path,
        "Certificates to trust, as PEM, beside those of the system.",
    ),
    optional(
        "sources.*.grants.amqp.*.tls.cert",
        Kind::Path,
        "Our own certificate, as PEM, if the broker wants one.",
    ),
    optional("sources.*.grants.amqp.*.tls.key", Kind::Path, "Its key."),
    optional(
        "sources.*.grants.amqp.*.tls.server_name",
        Kind::Text("a host name"),
        "The name that the broker's certificate must have. The host of the URI when not written.",
    ),
    optional(
        "sources.*.grants.amqp.*.stream_offset",
        Kind::Choice(&["first", "last", "next"]),
        "Where the first start begins in a stream; later ones go on where they were. `first` when not written.",
    ),
    table(
        "sources.*.grants.amqp.*.dead_letter",
        "Where messages go that can never be stored: too long, or refused by the plugin.",
    ),
    optional(
        "sources.*.grants.amqp.*.dead_letter.exchange",
        Kind::Text("the name of an exchange"),
        "An exchange with a queue bound to it. The default exchange when only routing_key is written.",
    ),
    optional(
        "sources.*.grants.amqp.*.dead_letter.routing_key",
        Kind::Text("a routing key"),
        "The message's own when not written.",
    ),
    is(
        "sources.*.grants.amqp.*.hold_timeout",
        Kind::Duration(AMQP_HOLD_MS_MIN, AMQP_HOLD_MS_MAX),
        r#""5m""#,
        "How long messages may wait to be stored before they are given back and no more are taken until storing works.",
    ),
    is(
        "sources.*.grants.amqp.*.message_bytes",
        Kind::Bytes(1 << 10, AMQP_MESSAGE_BYTES_MAX as u64),
        r#""16MiB""#,
        "Longer messages go to dead_letter. Without one they stop the source.",
    ),
];
