//! One connection to a broker, made and made ready.

use std::fmt;
use std::time::Duration;

use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::tcp::{AMQPUriTcpExt as _, OwnedIdentity, OwnedTLSConfig};
use lapin::types::FieldTable;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties, Error, ErrorKind};
use tokio::time::timeout;

use crate::ledger::OutOfOrder;
use crate::options::{Declare, Options, QueueType, short};

/// The reply code of a declaration that differs from the queue that is there.
const PRECONDITION_FAILED: u16 = 406;

/// Why a session ended. All of it is on the broker's side, so another session is tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// What lapin says; it has no password in it.
    #[error("{}", told(.0))]
    Amqp(#[from] Error),
    /// No answer.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The queue was deleted, or its leader moved.
    #[error("the broker cancelled the consumer: the queue was deleted, or moved")]
    Cancelled,
    /// The broker does not count as the protocol wants.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// The exchange for what can never be stored did not take a message.
    #[error("the exchange for messages that cannot be stored did not take one: {0}")]
    NotTaken(&'static str),
}

fn told(error: &Error) -> String {
    match error.kind() {
        // The broker's own words are in the middle of lapin's.
        ErrorKind::ProtocolError(error) => error.to_string(),
        ErrorKind::IOError(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {
            "the broker ended the connection".into()
        }
        ErrorKind::ParsingError(_) => "what came is no frame of AMQP 0-9-1: is it a broker's port?".into(),
        ErrorKind::MissingHeartbeatError => "the broker has said nothing for two heartbeats".into(),
        _ => error.to_string(),
    }
}

/// Waits for an answer of the broker, no longer than for a connection.
pub(crate) async fn answer<T>(
    options: &Options,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Trouble> {
    let wait = Duration::from_millis(options.settings.connect_timeout_ms);
    match timeout(wait, call).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(Trouble::Timeout(wait)),
    }
}

/// Where a connection goes, for people.
pub(crate) struct Place<'a>(pub(crate) &'a AMQPUri);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { authority, vhost, .. } = self.0;
        write!(f, "{}:{} vhost {vhost}", authority.host, authority.port)
    }
}

/// Connects to one of the brokers. The purpose is part of the connection's name.
pub(crate) async fn connect(options: &Options, host: usize, purpose: &str) -> Result<Connection, Trouble> {
    let mut uri = options.uris[host].clone();
    uri.query.heartbeat.get_or_insert(options.settings.heartbeat_s);
    let name = format!("{}{purpose}", options.names.connection);
    // Recovery is ours: lapin's would go on with a connection that we have given up.
    let properties = ConnectionProperties::default().with_connection_name(name.as_str().into());
    let tls = OwnedTLSConfig {
        identity: options.tls.client.clone().map(|(certificate, key)| OwnedIdentity::PKCS8 {
            pem: certificate.into_bytes(),
            key: key.into_bytes(),
        }),
        cert_chain: options.tls.ca.clone(),
    };
    let server_name = options.tls.server_name.clone();
    let connecting = async {
        let open = async move |uri: AMQPUri, runtime| {
            let encrypted = uri.scheme == AMQPScheme::AMQPS;
            // The name that the certificate must have may be another than the host that is dialled.
            let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri.clone() };
            let open = plain.connect_async(&runtime).await?;
            if !encrypted {
                return Ok(open);
            }
            let name = server_name.as_deref().unwrap_or(&uri.authority.host);
            Ok(open.into_tls(name, tls.as_ref()).await?)
        };
        Connection::connector(uri, lapin::runtime::default_runtime()?, open, properties).await
    };
    answer(options, connecting).await
}

/// What the operator should know about the queue, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remark {
    /// The queue differs from what the configuration says; it is consumed as it is.
    Differs(String),
    /// It drops messages on its own that were delivered too often.
    NoDeadLetter,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::Differs(why) => {
                write!(f, "the queue differs from what is configured and is consumed as it is: {why}")
            }
            Remark::NoDeadLetter => f.write_str(
                "the queue has a delivery limit: past it the broker drops messages, unless a policy gives the queue a \
                 dead-letter exchange; give it one, or set the argument x-dead-letter-exchange",
            ),
        }
    }
}

/// Declares and binds as configured. A channel that the broker closed on the way is replaced.
pub(crate) async fn declare(
    options: &Options,
    connection: &Connection,
    channel: Channel,
) -> Result<(Channel, Vec<Remark>), Trouble> {
    let mut remarks = Vec::new();
    let passive = match options.settings.declare {
        Declare::No => return Ok((channel, remarks)),
        Declare::Passive => true,
        Declare::Active => false,
    };
    let how =
        QueueDeclareOptions { passive, durable: options.settings.durable, ..QueueDeclareOptions::default() };
    let arguments = options.settings.queue_arguments();
    let has_dead_letter = arguments.contains_key("x-dead-letter-exchange");
    match answer(options, channel.queue_declare(short(&options.settings.queue), how, arguments)).await {
        Ok(_) => {}
        Err(Trouble::Amqp(error)) if !passive && is_precondition(&error) => {
            // Not consuming would help nobody: the broker keeps what nobody takes until it is full.
            remarks.push(Remark::Differs(told(&error)));
            let channel = answer(options, connection.create_channel()).await?;
            return Ok((channel, remarks));
        }
        Err(error) => return Err(error),
    }
    if !passive && options.settings.queue_type == Some(QueueType::Quorum) && !has_dead_letter {
        remarks.push(Remark::NoDeadLetter);
    }
    if !passive {
        for binding in &options.settings.bindings {
            let (exchange, key) = (short(&binding.exchange), short(&binding.routing_key));
            let how = QueueBindOptions::default();
            let queue = short(&options.settings.queue);
            answer(options, channel.queue_bind(queue, exchange, key, how, FieldTable::default())).await?;
        }
    }
    Ok((channel, remarks))
}

/// Whether a channel was closed before it was used, which does not say why.
pub(crate) fn is_closed(error: &Trouble) -> bool {
    let Trouble::Amqp(error) = error else { return false };
    matches!(error.kind(), ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(..))
}

fn is_precondition(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if error.get_id() == PRECONDITION_FAILED)
}

/// Messages in the queue that nobody has.
pub(crate) async fn depth(options: &Options, channel: &Channel) -> Result<u64, Trouble> {
    let how = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let declared =
        answer(options, channel.queue_declare(short(&options.settings.queue), how, FieldTable::default()))
            .await?;
    Ok(u64::from(declared.message_count()))
}
