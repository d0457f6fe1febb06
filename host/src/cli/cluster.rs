//! `weir cluster`: who belongs to it, and who does not any more.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use weir_api::client::Client;
use weir_api::wire::{ClusterAnswer, JobAnswer, MemberInfo, WorkInfo};

use crate::cli::ask::{NodeArgs, block_on, failure};
use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::terminal::{Color, plain, table};

/// Pause between two looks at a node that is being emptied.
const WAIT: Duration = Duration::from_secs(1);

/// What there is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    Status(Status),
    Drain(Drain),
    Repair(Repair),
    Rebalance(Rebalance),
    Forget(Forget),
}

const STATUS_EXAMPLES: &str = "\
One node is asked: the table is what it knows. `down` is expected and does not answer; `stopped`
went down on purpose with records that others may lack; `left` and `forgotten` are not expected.
`drained` has nothing left that others lack. What is moving is listed below: `repair` and `fill`
come, `give`, `drain` and `hand_over` go.
Exit code 3: a member that is expected does not answer.

Examples:
  weir cluster status
  weir cluster status --json --node http://10.0.0.5:7650";

/// List the members of the cluster, as a node sees them
#[derive(Debug, Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub(crate) struct Status {
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

const FORGET_EXAMPLES: &str = "\
Answers stop to miss what the node may have taken since it was heard last; records that are
known to have been there alone are missed all the same. All nodes forget it. A node that was
forgotten and starts again is a member again.

Examples:
  weir cluster forget 8f3a1c22d4e5b607
  weir cluster forget http://10.0.0.9:7650 --node http://10.0.0.5:7650";

/// Forget a member that will not come back
#[derive(Debug, Args)]
#[command(after_help = FORGET_EXAMPLES)]
pub(crate) struct Forget {
    /// Its id, or the URL of its API, as `weir cluster status` lists them
    #[arg(value_name = "NODE")]
    member: String,
    /// Although it answers: it is a member again as soon as it hears of that
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    node: NodeArgs,
}

const DRAIN_EXAMPLES: &str = "\
An ingest node takes no more records, closes its sources and its ports for lines, and hands
over what it has. A store takes no new copies; the others make copies of what it has, and it
lets go of what is on enough of them. When it is empty it may be stopped: nothing is missed.
What is wanted holds over restarts of the node, until it is called off with --cancel; sources
and ports for lines then begin again when the node is started again.

Examples:
  weir cluster drain 8f3a1c22d4e5b607 --wait
  weir cluster drain http://10.0.0.9:7650 --cancel";

/// Empty a node, so that it can be taken away
#[derive(Debug, Args)]
#[command(after_help = DRAIN_EXAMPLES)]
pub(crate) struct Drain {
    /// Its id, or the URL of its API, as `weir cluster status` lists them
    #[arg(value_name = "NODE")]
    member: String,
    /// Call it off: what is still there stays
    #[arg(long, conflicts_with = "wait")]
    cancel: bool,
    /// Wait until it is empty
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    node: NodeArgs,
}

const REPAIR_EXAMPLES: &str = "\
Copies that are away are made again by themselves after cluster.repair_after. This has it
done at once, by all stores. `weir cluster status` shows how far it is.

Examples:
  weir cluster repair";

/// Make lacking copies now
#[derive(Debug, Args)]
#[command(after_help = REPAIR_EXAMPLES)]
pub(crate) struct Repair {
    #[command(flatten)]
    node: NodeArgs,
}

const REBALANCE_EXAMPLES: &str = "\
A store that has joined gets its share of new records by itself. This moves old ones, too: every
store fetches what belongs to it and lets go of what lies on enough others to which it belongs.
It ends by itself. `weir cluster status` shows how far it is.

Examples:
  weir cluster rebalance
  weir cluster rebalance --cancel";

/// Move copies to the stores to which they belong
#[derive(Debug, Args)]
#[command(after_help = REBALANCE_EXAMPLES)]
pub(crate) struct Rebalance {
    /// Call it off: everything stays where it is
    #[arg(long)]
    cancel: bool,
    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) fn run(args: &Cluster, color: Color) -> Result<Exit, Failure> {
    match args {
        Cluster::Status(args) => status(args, color),
        Cluster::Drain(args) => drain(args),
        Cluster::Repair(args) => {
            let client = args.node.client()?;
            told(&block_on(async { client.repair().await.map_err(|error| failure(&error)) })?)
        }
        Cluster::Rebalance(args) => {
            let client = args.node.client()?;
            told(&block_on(async { client.rebalance(args.cancel).await.map_err(|error| failure(&error)) })?)
        }
        Cluster::Forget(args) => forget(args),
    }
}

fn status(args: &Status, color: Color) -> Result<Exit, Failure> {
    let client = args.node.client()?;
    let answer = block_on(async { client.cluster().await.map_err(|error| failure(&error)) })?;
    let text = if args.json {
        format!("{}\n", serde_json::json!(answer))
    } else {
        let rows: Vec<Vec<String>> = answer.members.iter().map(row).collect();
        let colored = color.applies_to(std::io::stdout().is_terminal());
        let members =
            table(&["NODE", "STATE", "ROLES", "ZONE", "HELD", "WAITING", "HEARD", "URL"], &rows, colored);
        members + &work(&answer, colored)
    };
    wrote(std::io::stdout().write_all(text.as_bytes()))?;
    Ok(if lacks(&answer) { Exit::Incomplete } else { Exit::Ok })
}

fn forget(args: &Forget) -> Result<Exit, Failure> {
    let client = args.node.client()?;
    let forgotten =
        block_on(async { client.forget(&args.member, args.force).await.map_err(|error| failure(&error)) })?;
    wrote(writeln!(std::io::stdout(), "forgotten: {}", plain(&forgotten.forgotten)))?;
    Ok(Exit::Ok)
}

fn drain(args: &Drain) -> Result<Exit, Failure> {
    let client = args.node.client()?;
    let answer = block_on(async {
        let answer = client.drain(&args.member, args.cancel).await.map_err(|error| failure(&error))?;
        if args.wait {
            until_empty(&client, args.member.trim_end_matches('/')).await?;
        }
        Ok(answer)
    })?;
    told(&answer)
}

/// Waits until a member is empty, or is not there any more.
async fn until_empty(client: &Client, named: &str) -> Result<(), Failure> {
    let is_meant =
        |member: &MemberInfo| member.node.as_deref() == Some(named) || member.url.as_deref() == Some(named);
    let mut shown = None;
    loop {
        let members = client.cluster().await.map_err(|error| failure(&error))?.members;
        let Some(member) = members.into_iter().find(|member| is_meant(member) && !member.empty) else {
            return Ok(());
        };
        let left: u64 = member.work.iter().map(|work| work.origins_left).sum();
        if shown.replace(left) != Some(left) {
            // For people who wait; nobody else reads it.
            let _ = writeln!(std::io::stderr(), "{left} origins left");
        }
        tokio::time::sleep(WAIT).await;
    }
}

/// Says which nodes know of it now.
fn told(answer: &JobAnswer) -> Result<Exit, Failure> {
    for node in &answer.told {
        wrote(writeln!(std::io::stdout(), "told: {}", plain(node)))?;
    }
    for node in &answer.untold {
        wrote(writeln!(std::io::stderr(), "weir: not told: {}; tell it again when it answers", plain(node)))?;
    }
    Ok(if answer.untold.is_empty() { Exit::Ok } else { Exit::Incomplete })
}

/// A table of what is moving; nothing when nothing is.
fn work(answer: &ClusterAnswer, colored: bool) -> String {
    let dash = || "-".to_owned();
    let of = |member: &MemberInfo, work: &WorkInfo| {
        vec![
            member.node.as_deref().map_or_else(dash, plain),
            plain(&work.what),
            work.origins_done.to_string(),
            work.origins_left.to_string(),
            work.bytes_left.to_string(),
            work.bytes_per_s.to_string(),
            work.eta_s.map_or_else(dash, |eta_s| format!("{eta_s}s")),
        ]
    };
    let works = answer.members.iter().flat_map(|member| member.work.iter().map(move |work| of(member, work)));
    let rows: Vec<Vec<String>> = works.collect();
    if rows.is_empty() {
        return String::new();
    }
    let names = ["NODE", "MOVES", "DONE", "LEFT", "BYTES LEFT", "BYTES/S", "ETA"];
    format!("\n{}", table(&names, &rows, colored))
}

/// Whether a member that is expected does not answer.
fn lacks(answer: &ClusterAnswer) -> bool {
    answer.members.iter().any(|member| matches!(member.state.as_str(), "down" | "stopped"))
}

fn row(member: &MemberInfo) -> Vec<String> {
    let dash = || "-".to_owned();
    let text = |text: &Option<String>| text.as_deref().map_or_else(dash, plain);
    let number = |number: Option<u64>| number.map_or_else(dash, |number| number.to_string());
    let mut state = plain(&member.state);
    for (is, word) in [
        (member.own, "asked"),
        (member.full, "full"),
        (member.draining && !member.empty, "draining"),
        (member.draining && member.empty, "drained: it may be stopped"),
        (member.state == "up" && member.answers == Some(false), "API silent"),
        (member.rival.is_some(), "id used twice"),
    ] {
        if is {
            state.push_str(", ");
            state.push_str(word);
        }
    }
    let roles = if member.roles.is_empty() { dash() } else { plain(&member.roles.join(",")) };
    vec![
        text(&member.node),
        state,
        roles,
        text(&member.zone),
        number(member.held_bytes),
        number(member.waiting_origins),
        text(&member.heard),
        text(&member.url),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_is_wrong_and_what_is_not_known_is_a_dash() {
        let member = MemberInfo {
            node: Some("00ab".into()),
            state: "up".into(),
            answers: Some(false),
            full: true,
            roles: vec!["store".into(), "query".into()],
            url: Some("http://a:1".into()),
            ..MemberInfo::default()
        };
        let expected = ["00ab", "up, full, API silent", "store,query", "-", "-", "-", "-", "http://a:1"];
        assert_eq!(row(&member), expected);
    }

    #[test]
    fn what_moves_is_listed_with_what_is_left_and_an_end_if_one_can_be_told() {
        let work_of = |what: &str, eta_s| WorkInfo {
            what: what.into(),
            origins_done: 2,
            origins_left: 3,
            bytes_done: 20,
            bytes_left: 30,
            bytes_per_s: 10,
            eta_s,
        };
        let member = MemberInfo {
            node: Some("00ab".into()),
            work: vec![work_of("fill", Some(3)), work_of("drain", None)],
            ..MemberInfo::default()
        };
        let answer = |members| ClusterAnswer { gossip: true, replication: 2, members };
        let text = work(&answer(vec![member]), false);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[2], ["00ab", "fill", "2", "3", "30", "10", "3s"]);
        assert_eq!(lines[3], ["00ab", "drain", "2", "3", "30", "10", "-"]);
        assert_eq!(work(&answer(vec![MemberInfo::default()]), false), "");
    }

    #[test]
    fn only_expected_members_are_lacked() {
        let with = |state: &str| ClusterAnswer {
            gossip: true,
            replication: 2,
            members: vec![MemberInfo { state: state.into(), ..MemberInfo::default() }],
        };
        for (state, expected) in [
            ("up", false),
            ("suspect", false),
            ("down", true),
            ("stopped", true),
            ("left", false),
            ("forgotten", false),
        ] {
            assert_eq!(lacks(&with(state)), expected, "{state}");
        }
    }
}
