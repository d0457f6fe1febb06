//! A broker of its own for a test: Debian's RabbitMQ with its own directory and ports, and publishers for it.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::runtime::Runtime;

use crate::process::PATIENCE;

/// Where Debian puts the scripts that do not change the user.
const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";
/// How long a broker that has just started may take for a connection.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Messages whose confirmations are waited for together.
const CONFIRMED_AT_ONCE: usize = 500;

/// A running broker. Ends with the value, and its port mapper, too.
pub struct Broker {
    dir: PathBuf,
    name: String,
    port: u16,
    distribution_port: u16,
    mapper_port: u16,
    tls: Option<u16>,
    server: Option<Child>,
    mapper: Child,
}

impl Broker {
    /// Starts one below `dir` and waits until it listens.
    pub fn start(dir: &Path) -> Result<Broker> {
        Broker::start_with(dir, false)
    }

    /// The same with a port for TLS, for which the certificates are `ca.pem`, `server.pem` and `server.key` in `dir`;
    /// clients need one of the same authority.
    pub fn start_with(dir: &Path, tls: bool) -> Result<Broker> {
        std::fs::create_dir_all(dir)?;
        let [port, distribution_port, mapper_port, tls_port] = free_ports()?;
        std::fs::write(dir.join("plugins"), "[].")?;
        let mapper = Command::new("epmd")
            .args(["-port", &mapper_port.to_string(), "-address", "127.0.0.1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start epmd")?;
        let tls = tls.then_some(tls_port);
        let name = format!("weir-{port}@localhost");
        let mut broker = Broker {
            dir: dir.to_owned(),
            name,
            port,
            distribution_port,
            mapper_port,
            tls,
            server: None,
            mapper,
        };
        broker.configure()?;
        broker.run()?;
        Ok(broker)
    }

    fn configure(&self) -> Result<()> {
        let mut text = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\nloopback_users = none\nlog.file.level = info\n",
            self.port
        );
        if let Some(port) = self.tls {
            let file = |name: &str| self.dir.join(name).display().to_string();
            let _ = write!(
                text,
                "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
                 ssl_options.keyfile = {}\nssl_options.verify = verify_peer\n\
                 ssl_options.fail_if_no_peer_cert = true\n",
                file("ca.pem"),
                file("server.pem"),
                file("server.key"),
            );
        }
        Ok(std::fs::write(self.dir.join("rabbitmq.conf"), text)?)
    }

    /// Starts the server on what is there.
    pub fn run(&mut self) -> Result<()> {
        let log = File::create(self.dir.join("output"))?;
        let child = self
            .script("rabbitmq-server")
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: the script leaves the work to others.
            .process_group(0)
            .spawn()
            .context("start rabbitmq-server: is it installed?")?;
        self.server = Some(child);
        let deadline = Instant::now() + PATIENCE;
        // The port is open a little before connections are taken.
        while TcpStream::connect(("127.0.0.1", self.port)).is_err()
            || Publisher::connect_within(&self.uri(), ATTEMPT).is_err()
        {
            if let Some(status) = self.server.as_mut().and_then(|server| server.try_wait().ok().flatten()) {
                bail!("the broker ended ({status}): {}", std::fs::read_to_string(self.dir.join("output"))?);
            }
            ensure!(Instant::now() < deadline, "the broker does not answer");
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Ends the server at once, as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        self.end(Signal::KILL)
    }

    /// Ends the server in order.
    pub fn stop(&mut self) -> Result<()> {
        self.end(Signal::TERM)
    }

    fn end(&mut self, signal: Signal) -> Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        let group = Pid::from_child(&server);
        kill_process_group(group, signal)?;
        server.wait()?;
        // The script may be gone before the others of its group are.
        let deadline = Instant::now() + PATIENCE;
        while kill_process_group(group, signal).is_ok() {
            ensure!(Instant::now() < deadline, "the broker does not end");
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Holds the server, or lets it go on.
    pub fn pause(&self, is_paused: bool) -> Result<()> {
        let signal = if is_paused { Signal::STOP } else { Signal::CONT };
        let server = self.server.as_ref().context("the broker runs")?;
        Ok(kill_process_group(Pid::from_child(server), signal)?)
    }

    /// `amqp://guest:guest@127.0.0.1:port/%2f`
    pub fn uri(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// The same with TLS.
    pub fn tls_uri(&self) -> Result<String> {
        Ok(format!("amqps://guest:guest@127.0.0.1:{}/%2f", self.tls.context("the broker has no TLS")?))
    }

    /// Runs `rabbitmqctl`; what it says.
    pub fn control(&self, args: &[&str]) -> Result<String> {
        let Output { status, stdout, stderr } =
            self.script("rabbitmqctl").args(["--quiet", "--node", &self.name]).args(args).output()?;
        let said = String::from_utf8_lossy(&stdout).into_owned();
        ensure!(status.success(), "rabbitmqctl {args:?}: {said}{}", String::from_utf8_lossy(&stderr));
        Ok(said)
    }

    /// A connection to publish over.
    pub fn publisher(&self) -> Result<Publisher> {
        Publisher::connect(&self.uri())
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(Path::new(SCRIPTS).join(name));
        let path = |name: &str| self.dir.join(name);
        command
            .env("HOME", &self.dir)
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("ERL_EPMD_PORT", self.mapper_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", path("mnesia"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins"))
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none")
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // What has ended already refuses; nothing else can be done here.
        if let Some(mut server) = self.server.take() {
            let group = Pid::from_child(&server);
            let _ = kill_process_group(group, Signal::KILL);
            let _ = server.wait();
        }
        let _ = kill_process(Pid::from_child(&self.mapper), Signal::KILL);
        let _ = self.mapper.wait();
    }
}

/// Ports that nobody has just now.
fn free_ports() -> Result<[u16; 4]> {
    let mut ports = [0; 4];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// A message to publish.
#[derive(Debug, Clone, Default)]
pub struct Letter {
    /// Its bytes.
    pub body: Vec<u8>,
    /// Empty for none.
    pub id: String,
    /// Unix seconds, 0 for none.
    pub time_s: u64,
    /// Unix milliseconds in a header, 0 for none.
    pub time_ms: i64,
}

/// Publishes with confirms: what it has returned from is the broker's.
pub struct Publisher {
    runtime: Runtime,
    /// Ends with the publisher.
    connection: Connection,
    channel: Channel,
}

impl Publisher {
    /// Connects.
    pub fn connect(uri: &str) -> Result<Publisher> {
        Publisher::connect_within(uri, PATIENCE)
    }

    fn connect_within(uri: &str, patience: Duration) -> Result<Publisher> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let connecting = async {
            let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            lapin::Result::Ok((connection, channel))
        };
        let (connection, channel) =
            runtime.block_on(async { tokio::time::timeout(patience, connecting).await })??;
        Ok(Publisher { runtime, connection, channel })
    }

    /// Makes a durable queue with arguments.
    pub fn declare(&self, queue: &str, arguments: &[(&str, AMQPValue)]) -> Result<()> {
        let mut table = FieldTable::default();
        for (name, value) in arguments {
            table.insert((*name).into(), value.clone());
        }
        let how = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        self.runtime.block_on(self.channel.queue_declare(queue.into(), how, table))?;
        Ok(())
    }

    /// Removes a queue with all that is in it.
    pub fn delete(&self, queue: &str) -> Result<()> {
        let deleting = self.channel.queue_delete(queue.into(), QueueDeleteOptions::default());
        self.runtime.block_on(deleting)?;
        Ok(())
    }

    /// Messages of a queue that nobody has.
    pub fn depth(&self, queue: &str) -> Result<u32> {
        let how = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declaring = self.channel.queue_declare(queue.into(), how, FieldTable::default());
        Ok(self.runtime.block_on(declaring)?.message_count())
    }

    /// Publishes to a queue; returns when the broker has confirmed all.
    pub fn publish(&self, queue: &str, letters: &[Letter]) -> Result<()> {
        self.publish_to("", queue, letters)
    }

    /// Publishes to an exchange; returns when the broker has confirmed all.
    pub fn publish_to(&self, exchange: &str, key: &str, letters: &[Letter]) -> Result<()> {
        self.runtime.block_on(async {
            for some in letters.chunks(CONFIRMED_AT_ONCE) {
                let mut confirmations = Vec::with_capacity(some.len());
                for letter in some {
                    let how = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
                    let publishing = self.channel.basic_publish(
                        exchange.into(),
                        key.into(),
                        how,
                        &letter.body,
                        properties(letter),
                    );
                    confirmations.push(publishing.await?);
                }
                for confirmation in confirmations {
                    let confirmed = tokio::time::timeout(PATIENCE, confirmation).await??;
                    ensure!(
                        confirmed.is_ack() && confirmed.take_message().is_none(),
                        "a message was refused"
                    );
                }
            }
            Ok(())
        })
    }

    /// Takes one message out of a queue: its body and the value of a header.
    pub fn take(&self, queue: &str, header: &str) -> Result<Option<(Vec<u8>, String)>> {
        let how = lapin::options::BasicGetOptions { no_ack: true };
        let taken = self.runtime.block_on(self.channel.basic_get(queue.into(), how))?;
        Ok(taken.map(|message| {
            let headers = message.delivery.properties.headers().as_ref();
            let text = match headers.and_then(|headers| headers.inner().get(header)) {
                Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
                other => format!("{other:?}"),
            };
            (message.delivery.data, text)
        }))
    }

    /// Ends in order.
    pub fn close(self) -> Result<()> {
        Ok(self.runtime.block_on(self.connection.close(200, "done".into()))?)
    }
}

fn properties(letter: &Letter) -> BasicProperties {
    let mut properties = BasicProperties::default().with_delivery_mode(2);
    if !letter.id.is_empty() {
        properties = properties.with_message_id(letter.id.as_str().into());
    }
    if letter.time_s > 0 {
        properties = properties.with_timestamp(letter.time_s);
    }
    if letter.time_ms > 0 {
        let mut table = FieldTable::default();
        table.insert("timestamp_in_ms".into(), AMQPValue::LongLongInt(letter.time_ms));
        properties = properties.with_headers(table);
    }
    properties
}
