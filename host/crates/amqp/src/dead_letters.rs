//! Puts what can never be stored where the operator wants it, and only then lets the broker forget it.
//!
//! Over a connection of its own: a broker that is short of memory stops reading from connections that publish, and
//! acknowledgements must not wait behind that.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::AMQPValue;
use lapin::{Channel, Confirmation, Connection};

use crate::back_off::BackOff;
use crate::broker::{Trouble, answer, connect};
use crate::desk::Refused;
use crate::message::Message;
use crate::options::{DeadLetter, Options, short};
use crate::queue::Shared;

/// Where the reason stands in what is put there.
const REASON: &str = "x-weir-reason";
/// And the source that gave it up.
const SOURCE: &str = "x-weir-source";

/// Runs until the queue stops. What waits then comes again from the broker.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut back_off = BackOff::new(shared.options.uris.len());
    let mut open: Option<(Connection, Channel)> = None;
    loop {
        let refused = shared.refused.notified();
        let next = shared.desk.lock().next_refused();
        let Some(next) = next else {
            tokio::select! {
                () = refused => continue,
                () = shared.stop.cancelled() => return,
            }
        };
        match publish(&shared, &mut open, back_off.host(), &next).await {
            Ok(()) => {
                back_off.worked();
                tracing::warn!(
                    source = shared.name,
                    reason = next.why,
                    "a message that cannot be stored went to dead_letter"
                );
                shared.buried(&next);
            }
            Err(error) => {
                open = None;
                let pause_ms = back_off.failed(fastrand::u32(..));
                tracing::error!(source = shared.name, %error, again_in_ms = pause_ms, "dead_letter is out of reach");
                shared.desk.lock().refused_again(next);
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
                    () = shared.stop.cancelled() => return,
                }
            }
        }
    }
}

/// Publishes a message and waits until the broker has it.
async fn publish(
    shared: &Shared,
    open: &mut Option<(Connection, Channel)>,
    host: usize,
    refused: &Refused<Message>,
) -> Result<(), Trouble> {
    let options = &shared.options;
    let Some(to) = &options.settings.dead_letter else { return Ok(()) };
    let usable = |(connection, channel): &(Connection, Channel)| {
        connection.status().connected() && channel.status().connected()
    };
    if !open.as_ref().is_some_and(usable) {
        *open = Some(prepare(options, host).await?);
    }
    let Some((_, channel)) = open else { return Ok(()) };
    let message = &refused.entry.message;
    let how = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let (exchange, key) = (short(&to.exchange), short(routing_key(to, message)));
    let properties = marked(shared, refused);
    let publishing = channel.basic_publish(exchange, key, how, &message.body, properties);
    let confirmation = answer(options, publishing).await?;
    match answer(options, confirmation).await? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) | Confirmation::NotRequested => {
            Err(Trouble::NotTaken("no queue is bound to it"))
        }
        Confirmation::Nack(_) => Err(Trouble::NotTaken("the broker refused it")),
    }
}

async fn prepare(options: &Options, host: usize) -> Result<(Connection, Channel), Trouble> {
    let connection = connect(options, host, " dead letters").await?;
    let channel = answer(options, connection.create_channel()).await?;
    answer(options, channel.confirm_select(ConfirmSelectOptions::default())).await?;
    Ok((connection, channel))
}

fn routing_key<'a>(to: &'a DeadLetter, message: &'a Message) -> &'a str {
    to.routing_key.as_deref().unwrap_or(&message.envelope.routing_key)
}

/// The message's own properties, with the reason. It survives a restart of the broker there.
fn marked(shared: &Shared, refused: &Refused<Message>) -> lapin::BasicProperties {
    let properties = refused.entry.message.properties.clone();
    let mut headers = properties.headers().clone().unwrap_or_default();
    headers.insert(REASON.into(), AMQPValue::LongString(refused.why.as_str().into()));
    headers.insert(SOURCE.into(), AMQPValue::LongString(shared.name.as_str().into()));
    // A user-id that is not ours would be refused.
    let mut out = lapin::BasicProperties::default().with_headers(headers).with_delivery_mode(2);
    if let Some(value) = properties.content_type() {
        out = out.with_content_type(value.clone());
    }
    if let Some(value) = properties.content_encoding() {
        out = out.with_content_encoding(value.clone());
    }
    if let Some(value) = properties.correlation_id() {
        out = out.with_correlation_id(value.clone());
    }
    if let Some(value) = properties.message_id() {
        out = out.with_message_id(value.clone());
    }
    if let Some(value) = properties.timestamp() {
        out = out.with_timestamp(*value);
    }
    if let Some(value) = properties.kind() {
        out = out.with_type(value.clone());
    }
    if let Some(value) = properties.app_id() {
        out = out.with_app_id(value.clone());
    }
    out
}
