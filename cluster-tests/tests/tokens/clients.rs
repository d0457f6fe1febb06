//! What the commands show to a node, and what they say when that is not enough.

use anyhow::{Result, ensure};
use weir_cluster_tests::process::{run, run_with_input, weir};

use super::world::World;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn commands_show_a_token_from_a_file_or_the_environment_and_never_from_their_arguments() -> Result<()> {
    let mut world = World::new()?;
    world.add("all", &["--scope", "ingest,query,tail,admin,metrics,filter"])?;
    world.add("reader", &["--scope", "query"])?;
    let node = world.start()?;
    let url = node.url("");
    let (all, reader) = (world.secret_file("all")?, world.secret_file("reader")?);
    let sent = run_with_input(&["forward", "--topic", "shop", "--token-file", &all, &url], b"a line\n")?;
    ensure!(sent.status.success(), "{}", text(&sent.stderr));
    let commands: [&[&str]; 6] = [
        &["query", "line"],
        &["histogram"],
        &["streams"],
        &["cluster", "status"],
        &["plugin", "list"],
        &["query", "--explain", "line"],
    ];
    for command in commands {
        let args = |more: &[&str]| {
            [command, &["--node", &url], more].concat().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let with = |more: &[&str], secret: Option<&str>| {
            let args = args(more);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let mut command = weir(&args);
            if let Some(secret) = secret {
                command.env("WEIR_TOKEN", secret);
            }
            command.output()
        };
        for output in [with(&["--token-file", &all], None)?, with(&[], Some(world.secret("all")))?] {
            ensure!(output.status.success(), "{command:?}: {}", text(&output.stderr));
        }
        let none = with(&[], None)?;
        let said = text(&none.stderr);
        ensure!(
            none.status.code() == Some(1)
                && said.contains("--token-file FILE")
                && said.contains("WEIR_TOKEN"),
            "{said}"
        );
        let refused = with(&["--token", world.secret("all")], None)?;
        let said = text(&refused.stderr);
        ensure!(refused.status.code() == Some(2) && said.contains("--token-file"), "{said}");
        ensure!(!said.contains(&world.secret("all")[5..30]), "{said}");
    }
    for (args, said) in [
        (vec!["plugin", "list", "--node", &url, "--token-file", &reader], "use a token with the scope admin"),
        (vec!["tail", "--node", &url, "--token-file", &reader], "use a token with the scope tail"),
        (vec!["query", "--node", &url, "--token-file", "/nowhere/token"], "cannot read /nowhere/token"),
        (
            vec!["query", "--node", &url, "--token-file", "/etc/hostname"],
            "/etc/hostname: it is no token of weir",
        ),
    ] {
        let output = run(&args)?;
        ensure!(
            output.status.code() == Some(1) && text(&output.stderr).contains(said),
            "{args:?}: {}",
            text(&output.stderr)
        );
    }
    let forward = run(&["forward", "--token", world.secret("all"), &url])?;
    ensure!(forward.status.code() == Some(2) && !text(&forward.stderr).contains(&world.secret("all")[5..30]));
    Ok(())
}

#[test]
fn files_of_tokens_are_made_listed_and_checked() -> Result<()> {
    let mut world = World::new()?;
    let secret = world.add("grafana", &["--scope", "query,metrics", "--expires", "90d"])?;
    let file = world.tokens.display().to_string();
    let listed = run(&["token", "list", &file])?;
    let said = text(&listed.stdout);
    ensure!(listed.status.success() && said.contains("grafana") && said.contains("query,metrics"), "{said}");
    ensure!(!said.contains(&secret[5..30]));
    let checked = text(&run(&["token", "check", &file])?.stdout);
    ensure!(checked.ends_with(": ok, 1 token\n"), "{checked}");
    for (args, code, said) in [
        (vec!["token", "new", "--name", "grafana", "--scope", "query", "--file", &file], 2, "already"),
        (vec!["token", "new", "--name", "a b", "--scope", "query"], 2, "--name"),
        (vec!["token", "new", "--name", "x", "--scope", "quary"], 2, "query"),
        (vec!["token", "new", "--name", "x", "--scope", "admin", "--topic", "shop"], 2, "make two tokens"),
        (vec!["token", "new", "--name", "x", "--scope", "query", "--expires", "soon"], 2, "90d"),
        (vec!["token", "check", "/nowhere.toml"], 1, "cannot read"),
        (
            vec!["token", "new", "--name", "x", "--scope", "query", "--file", "/nowhere/tokens.toml"],
            1,
            "no such file",
        ),
    ] {
        let output = run(&args)?;
        ensure!(output.status.code() == Some(code), "{args:?}: {}", text(&output.stderr));
        ensure!(text(&output.stderr).contains(said), "{args:?}: {}", text(&output.stderr));
    }
    // A node does not begin with a file that is wrong, and says all that is.
    std::fs::write(&world.tokens, "[[token]]\nname = 1\n[[tokn]]\n")?;
    let output = run(&["run", "-c", &world.config()?.display().to_string()])?;
    let said = text(&output.stderr);
    ensure!(output.status.code() == Some(1) && said.matches("tokens.toml:").count() == 4, "{said}");
    ensure!(run(&["token", "check", &file])?.status.code() == Some(78));
    Ok(())
}
