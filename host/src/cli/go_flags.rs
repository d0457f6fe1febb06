//! The command lines of OK Log and of its RabbitMQ fork, turned into ours before they are parsed.
//!
//! Flags there have one dash and a long name (`-prefix=A`, `-store host:7650`, booleans bare), and addresses have
//! three shapes (`host`, `host:port`, `tcp://host:port`). Only names in the table of a command are touched, and
//! only with one dash where ours has the same name: a line that is ours stays as it is.

mod address;
mod table;

use std::ffi::OsString;

use crate::cli::exit::Failure;
pub(crate) use address::line_port;
use table::{Means, Takes, flag_of};

/// The arguments of the process in our own style. `arguments` begin with the program. Fails where a flag of OK
/// Log asks for what we do otherwise, with what to do instead.
pub(crate) fn normalised(arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>, Failure> {
    let mut arguments = arguments.into_iter();
    let mut out: Vec<OsString> = arguments.next().into_iter().collect();
    let Some(command) = arguments.next() else { return Ok(out) };
    // OK Log reads its mode in any case.
    let lower = command.to_str().map(str::to_ascii_lowercase);
    let Some(command) = lower.filter(|command| table::COMMANDS.contains(&command.as_str())) else {
        out.push(command);
        out.extend(arguments);
        return Ok(out);
    };
    out.push(command.clone().into());
    let mut asked = Asked::default();
    while let Some(argument) = arguments.next() {
        let Some((name, value)) = argument.to_str().and_then(flag) else {
            let end = argument == "--";
            out.push(argument);
            if end {
                out.extend(arguments.by_ref());
            }
            continue;
        };
        let one_dash = !argument.to_string_lossy().starts_with("--");
        asked.ours |= !one_dash && name == "regex";
        let Some(flag) = flag_of(&command, name).filter(|_| one_dash || !table::OURS.contains(&name)) else {
            out.push(argument);
            continue;
        };
        let value = match (flag.takes, value) {
            (Takes::Value, Some(value)) => value.to_owned(),
            (Takes::Value, None) => arguments
                .next()
                .and_then(|value| value.into_string().ok())
                .ok_or_else(|| Failure::usage(format!("-{name}: expected a value behind it")))?,
            (Takes::Nothing, value) => match value.unwrap_or("true") {
                "true" | "t" | "T" | "TRUE" | "True" | "1" => String::new(),
                "false" | "f" | "F" | "FALSE" | "False" | "0" => continue,
                other => {
                    return Err(Failure::usage(format!("-{name}: expected true or false, got {other:?}")));
                }
            },
        };
        translate(name, flag.means, value, &mut out, &mut asked)?;
    }
    asked.finish(&mut out);
    Ok(out)
}

/// Name and value of `-name`, `--name`, `-name=value`. Numbers and lone dashes are no flags.
fn flag(argument: &str) -> Option<(&str, Option<&str>)> {
    let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    let (name, value) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
    name.starts_with(|c: char| c.is_ascii_alphabetic()).then_some((name, value))
}

/// What several flags ask for together.
#[derive(Debug, Default)]
struct Asked {
    /// What every `-peer` names.
    join: Vec<String>,
    q: Option<String>,
    regex: bool,
    /// `--regex` stands there already.
    ours: bool,
}

impl Asked {
    /// The nodes to join, and the query in our language: a pattern, or these bytes anywhere.
    fn finish(self, out: &mut Vec<OsString>) {
        if !self.join.is_empty() {
            out.extend(["--set".into(), format!("cluster.join={:?}", self.join).into()]);
        }
        let Some(q) = self.q.filter(|q| !q.is_empty()) else { return };
        if self.regex && !self.ours {
            out.push("--regex".into());
        }
        let words = if self.regex || self.ours {
            q
        } else {
            format!("\"{}\"", q.replace('\\', r"\\").replace('"', "\\\""))
        };
        // Behind `--`, for it may begin with a dash.
        out.extend(["--".into(), words.into()]);
    }
}

fn translate(
    name: &str,
    means: Means,
    value: String,
    out: &mut Vec<OsString>,
    asked: &mut Asked,
) -> Result<(), Failure> {
    match means {
        Means::Same => out.push(joined(name, &value)),
        Means::Flag(ours) => out.push(joined(ours, &value)),
        Means::Switches(ours) => out.extend(ours.iter().map(Into::into)),
        Means::Set(key) => out.extend(["--set".into(), format!("{key}={value}").into()]),
        Means::Listen(key, port) => {
            let socket =
                address::socket(&value, port).map_err(|why| Failure::usage(format!("-{name}: {why}")))?;
            out.extend(["--set".into(), format!("{key}={socket}").into()]);
        }
        Means::Join(port) => {
            let socket =
                address::socket(&value, port).map_err(|why| Failure::usage(format!("-{name}: {why}")))?;
            asked.join.push(socket);
        }
        Means::Node => {
            let url = address::api(&value).map_err(|why| Failure::usage(format!("-{name}: {why}")))?;
            out.push(joined("node", &url));
        }
        Means::Q => asked.q = Some(value),
        Means::Regex => asked.regex = true,
        Means::Nothing => {}
        Means::Refused(why) => return Err(Failure::usage(format!("-{name}: {why}"))),
    }
    Ok(())
}

fn joined(flag: &str, value: &str) -> OsString {
    format!("--{flag}={value}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    fn check(line: &str) -> Result<String, Failure> {
        let arguments = normalised(line.split(' ').map(OsString::from))?;
        Ok(arguments.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn lines_of_oklog_become_ours() {
        for (theirs, ours) in [
            (
                "weir forward -prefix=FREEGO_WORK -mq=amqp://u:p@h:5672/v?heartbeat=15 tcp://host:10011 tcp://host:10021",
                "weir forward --prefix=FREEGO_WORK --mq=amqp://u:p@h:5672/v?heartbeat=15 tcp://host:10011 tcp://host:10021",
            ),
            ("weir Forward -debug -prefix A -prefix B h", "weir forward --prefix=A --prefix=B h"),
            ("weir forward -api tcp://0.0.0.0:7650 h", "weir forward --set listen.api=0.0.0.0:7650 h"),
            ("weir forward -api localhost h", "weir forward --set listen.api=localhost:7650 h"),
            (
                "weir ingest -ingest.path data/i -ingest.fast=tcp://10.0.0.1 -ingest.segment-flush-age 5s",
                "weir ingest --data-dir=data/i --set listen.fast=10.0.0.1:7651 --set storage.seal.age=5s",
            ),
            (
                "weir store --store.path=d -store.segment-replication-factor 3 -store.segment-retain 168h",
                "weir store --data-dir=d --set cluster.replication=3 --set retention.age=168h",
            ),
            (
                "weir ingest -cluster tcp://127.0.0.1:10019 -peer 127.0.0.1:10029 -peer=tcp://b -cluster.advertise-addr c",
                "weir ingest --set cluster.gossip=127.0.0.1:10019 --set cluster.advertise=c --set \
                 cluster.join=[\"127.0.0.1:10029\", \"b:7659\"]",
            ),
            (
                "weir query -store tcp://h:1 -from 1h -to now -q a.b -ulid -v",
                "weir query --node=http://h:1 --from=1h --to=now --format=oklog --stats -- \"a.b\"",
            ),
            ("weir query -regex -q a.b -store h", "weir query --node=http://h:7650 --regex -- a.b"),
            ("weir query -regex=false -q \"a\\b", "weir query -- \"\\\"a\\\\b\""),
            ("weir query --regex -q a.b", "weir query --regex -- a.b"),
            ("weir query -q -x", "weir query -- \"-x\""),
            ("weir query -q=", "weir query"),
            (
                "weir stream -store 10.6.1.1:9 -window 1s -q x",
                "weir stream --node=http://10.6.1.1:9 -- \"x\"",
            ),
            ("weir testsvc -id a -size 512 -rate=5", "weir testsvc --id=a --size=512 --rate=5"),
        ] {
            assert_eq!(check(theirs).as_deref(), Ok(ours), "{theirs}");
        }
    }

    #[test]
    fn lines_that_are_ours_stay_as_they_are() {
        for line in [
            "weir",
            "weir run -c weir.toml --roles ingest,store",
            "weir forward --topic shop --label env=prod http://a:7650",
            "weir forward -c forwarder.toml",
            "weir query -A 3 -C 2 --regex --from -5m error -- -healthz -q",
            "weir query payment -- -v",
            "weir testsvc --rate 5 --size=100",
            "weir plugin list -v",
            "weir --version",
            "weir QUARY -q x",
        ] {
            assert_eq!(check(line).as_deref(), Ok(line));
        }
    }

    #[test]
    fn what_has_no_counterpart_is_refused_in_words() {
        for (line, said) in [
            ("weir query -q", "-q: expected a value behind it"),
            ("weir query -regex=maybe -q x", "-regex: expected true or false"),
            ("weir query -store http://", "-store: "),
            ("weir ingest -api bad_address:x", "-api: "),
            ("weir ingest -topic-mode dynamic", "-topic-mode: "),
            ("weir store -filesystem virtual", "-filesystem: "),
        ] {
            let failure = check(line).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{line}");
            assert!(failure.message.starts_with(said), "{line}: {}", failure.message);
        }
    }

    #[test]
    fn a_flag_may_be_given_often_and_keeps_its_order() {
        assert_eq!(
            check("weir forward -prefix=b -prefix=a -prefix=b h").as_deref(),
            Ok("weir forward --prefix=b --prefix=a --prefix=b h")
        );
    }
}
