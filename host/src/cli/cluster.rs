//! `weir cluster`: who belongs to it, and who does not any more.

use std::io::{IsTerminal as _, Write as _};

use clap::{Args, Subcommand};
use weir_api::wire::{ClusterAnswer, MemberInfo};

use crate::cli::ask::{NodeArgs, block_on, failure};
use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::terminal::{Color, plain, table};

/// What there is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    Status(Status),
    Forget(Forget),
}

const STATUS_EXAMPLES: &str = "\
One node is asked: the table is what it knows. `down` is expected and does not answer; `stopped`
went down on purpose with records that others may lack; `left` and `forgotten` are not expected.
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

pub(crate) fn run(args: &Cluster, color: Color) -> Result<Exit, Failure> {
    match args {
        Cluster::Status(args) => status(args, color),
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
        table(&["NODE", "STATE", "ROLES", "ZONE", "HELD", "WAITING", "HEARD", "URL"], &rows, colored)
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
        (member.draining, "draining"),
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
