//! A real node whose configuration changes under it: what has changed begins anew where it was, nothing else is touched.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use weir_cluster_tests::process::{Node, config_head, get, post, query, quoted, run, until};

struct World {
    dir: tempfile::TempDir,
    config: PathBuf,
}

impl World {
    fn new() -> Result<World> {
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("weir.toml");
        Ok(World { dir, config })
    }

    /// Makes these the sources: names, and settings beside what they follow.
    fn configure(&self, sources: &[(&str, &str)], rest: &str) -> Result<()> {
        let mut text = config_head(self.dir.path());
        for (name, settings) in sources {
            let path = quoted(&self.dir.path().join(format!("{name}.log")));
            let _ = write!(
                text,
                "[sources.{name}]\nplugin = \"file-source\"\n{settings}\ngrants.files.logs = {{ include = [{path}] }}\n"
            );
        }
        Ok(std::fs::write(&self.config, text + rest)?)
    }

    fn write(&self, name: &str, line: &str) -> Result<()> {
        let path = self.dir.path().join(format!("{name}.log"));
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(writeln!(file, "{line}")?)
    }
}

/// Status and text of a reload.
fn reload(node: &Node) -> Result<(u16, String)> {
    let (status, body) = post(&node.url("/-/reload"), "text/plain", b"")?;
    Ok((status, String::from_utf8(body)?))
}

/// The lines of a topic with the label `env`, oldest first.
fn lines(node: &Node, topic: &str) -> Result<Vec<(String, String)>> {
    let answer = query(node, &format!("q=topic:{topic}"))?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(answer.rows.iter().map(|row| (text(&row["payload"]), text(&row["labels"]["env"]))).collect())
}

fn until_lines(node: &Node, topic: &str, want: &[(&str, &str)]) -> Result<()> {
    let want: Vec<(String, String)> =
        want.iter().map(|(line, env)| ((*line).to_owned(), (*env).to_owned())).collect();
    until(topic, || lines(node, topic), |lines| *lines == want).map(drop)
}

/// How often each source was opened.
fn opened(node: &mut Node) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for line in node.log().lines().filter(|line| line.contains("source opened")) {
        let name = line.split("source=").nth(1).unwrap_or_default().trim_matches('"').to_owned();
        *times.entry(name).or_default() += 1;
    }
    times
}

/// The value of a metric, labels included; none where it is not.
fn metric(node: &Node, line: &str) -> Result<Option<f64>> {
    let text = String::from_utf8(get(&node.url("/metrics"))?.1)?;
    Ok(text.lines().find_map(|it| it.strip_prefix(line)?.trim().parse().ok()))
}

#[test]
fn sources_that_changed_go_on_where_they_were_and_the_others_are_not_touched() -> Result<()> {
    let world = World::new()?;
    for name in ["kept", "other", "gone", "new"] {
        world.write(name, "one")?;
    }
    let env = |env: &str| format!("labels = {{ env = \"{env}\" }}");
    let (test, prod) = (env("test"), env("prod"));
    world.configure(&[("kept", &test), ("other", &test), ("gone", &test)], "")?;
    let mut node = Node::start(&world.config)?;
    for name in ["kept", "other", "gone"] {
        until_lines(&node, name, &[("one", "test")])?;
    }
    let (status, said) = reload(&node)?;
    ensure!((status, said.as_str()) == (200, "reloaded\n"), "nothing has changed: {status}: {said}");

    world.configure(&[("new", &prod), ("kept", &test), ("other", &prod)], "[query]\ntimeout = \"7s\"\n")?;
    let (status, said) = reload(&node)?;
    let want = "reloaded\nsources started: new\nsources restarted: other\nsources stopped: gone\n\
                changed, and wait for a restart of the process: query\n";
    ensure!((status, said.as_str()) == (200, want), "{status}: {said}");
    for name in ["kept", "other", "gone", "new"] {
        world.write(name, "two")?;
    }
    until_lines(&node, "new", &[("one", "prod"), ("two", "prod")])?;
    until_lines(&node, "other", &[("one", "test"), ("two", "prod")])?;
    until_lines(&node, "kept", &[("one", "test"), ("two", "test")])?;
    until_lines(&node, "gone", &[("one", "test")])?;
    let connected = |name: &str| metric(&node, &format!("weir_source_connected{{source=\"{name}\"}}"));
    until("a source without a metric", || connected("gone"), Option::is_none)?;
    ensure!(connected("kept")? == Some(1.0), "a source that runs has one");

    // What was away goes on where it was.
    world.configure(&[("new", &prod), ("kept", &test), ("other", &prod), ("gone", &test)], "")?;
    let (status, said) = reload(&node)?;
    ensure!((status, said.as_str()) == (200, "reloaded\nsources started: gone\n"), "{status}: {said}");
    until_lines(&node, "gone", &[("one", "test"), ("two", "test")])?;
    let times: BTreeMap<String, usize> =
        [("gone", 2), ("kept", 1), ("new", 1), ("other", 2)].map(|(name, n)| (name.to_owned(), n)).into();
    until("the log", || Ok(opened(&mut node)), |opened| *opened == times)?;

    // The log knows where they are, too.
    node.kill()?;
    let node = Node::start(&world.config)?;
    for name in ["kept", "other", "gone", "new"] {
        world.write(name, "three")?;
        until("the last line", || lines(&node, name), |lines| lines.len() >= 3)?;
        ensure!(lines(&node, name)?.len() == 3, "{name}: {:?}", lines(&node, name)?);
    }
    ensure!(node.terminate()? == 0, "a clean stop");
    Ok(())
}

#[test]
fn a_broken_configuration_leaves_the_one_before_in_force_and_says_why() -> Result<()> {
    let world = World::new()?;
    world.write("app", "one")?;
    world.configure(&[("app", "")], "")?;
    let mut node = Node::start(&world.config)?;
    until_lines(&node, "app", &[("one", "")])?;
    let good = std::fs::read_to_string(&world.config)?;
    let success = |node: &Node| metric(node, "weir_config_reload_success");
    ensure!(success(&node)? == Some(1.0), "a start is a success: {:?}", success(&node)?);
    let begun = metric(&node, "weir_config_reload_success_timestamp_seconds")?;

    // As `weir config check` says it: every problem, with its line.
    for broken in ["[sources.app]\nplugin", "durability = \"sored\"\n[qeury]\ntimeout = 3\n"] {
        std::fs::write(&world.config, format!("{good}{broken}"))?;
        let (status, said) = reload(&node)?;
        let answer: serde_json::Value = serde_json::from_str(&said)?;
        ensure!(status == 500 && answer["error"]["code"] == "bad_config", "{status}: {said}");
        let checked = run(&["config", "check", "-c", &world.config.display().to_string()])?;
        let checked = String::from_utf8(checked.stderr)?;
        let problems = answer["error"]["message"].as_str().context("a message")?;
        for line in problems.lines() {
            ensure!(checked.lines().any(|it| it == line), "{line:?} is not in {checked}");
        }
        ensure!(checked.lines().count() == problems.lines().count() + 1, "{checked}\n{problems}");
        ensure!(success(&node)? == Some(0.0), "the last one was wrong");
    }
    node.wait_line("is not reloaded")?;

    // What shows only when plugins are asked: settings that one does not take, a grant that one lacks, a file that is none.
    let plugin = quoted(&world.config);
    for (broken, want) in [
        ("config = { max_line_bytes = \"long\" }\n".to_owned(), "max_line_bytes"),
        ("[sources.b]\nplugin = \"file-source\"\n".to_owned(), "needs files \"logs\""),
        (format!("[sources.b]\nplugin = \"b\"\n[plugins.b]\npath = {plugin}\n"), "plugins.b: plugin b"),
        ("[sources.b]\nplugin = \"b\"\n[plugins.b]\npath = \"/nowhere.wasm\"\n".to_owned(), "/nowhere.wasm"),
    ] {
        std::fs::write(&world.config, format!("{good}{broken}"))?;
        let (status, said) = reload(&node)?;
        ensure!(
            status == 500 && said.contains(want.replace('"', "\\\"").as_str()),
            "{want}: {status}: {said}"
        );
        ensure!(said.contains("weir.toml:"), "where it is: {said}");
    }
    std::fs::remove_file(&world.config)?;
    ensure!(reload(&node)?.0 == 500, "there is no file");

    world.write("app", "two")?;
    until_lines(&node, "app", &[("one", ""), ("two", "")])?;
    ensure!(opened(&mut node).values().sum::<usize>() == 1, "it has never been touched");
    ensure!(
        metric(&node, "weir_config_reload_success_timestamp_seconds")? == begun,
        "nothing came into force"
    );
    std::fs::write(&world.config, good)?;
    ensure!(reload(&node)? == (200, "reloaded\n".into()), "mended");
    ensure!(success(&node)? == Some(1.0), "mended");
    ensure!(metric(&node, "weir_config_reload_success_timestamp_seconds")? > begun, "and in force since");
    Ok(())
}

#[test]
fn a_hangup_reloads_and_a_plugin_whose_file_has_changed_runs_anew() -> Result<()> {
    let world = World::new()?;
    let path = world.dir.path().join("mine.wasm");
    let embedded =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins/file-source.wasm");
    let mut bytes = std::fs::read(&embedded).with_context(|| format!("read {}", embedded.display()))?;
    std::fs::write(&path, &bytes)?;
    world.write("app", "one")?;
    world.write("other", "one")?;
    world.configure(&[("other", "")], "")?;
    let log = quoted(&world.dir.path().join("app.log"));
    let mine = format!(
        "[sources.app]\nplugin = \"mine\"\ngrants.files.logs = {{ include = [{log}] }}\n\
         [plugins.mine]\npath = {}\n",
        quoted(&path)
    );
    world.configure(&[("other", "")], &mine)?;
    let mut node = Node::start(&world.config)?;
    until_lines(&node, "app", &[("one", "")])?;
    until_lines(&node, "other", &[("one", "")])?;

    // A custom section changes what a file is, and not what it does.
    bytes.extend([0, 6, 5, b'a', b'g', b'a', b'i', b'n']);
    std::fs::write(&path, &bytes)?;
    let pid = Pid::from_raw(i32::try_from(node.pid())?).context("a process id")?;
    kill_process(pid, Signal::HUP)?;
    node.wait_line("configuration reloaded; sources restarted: app; plugins loaded anew: mine")?;
    world.write("app", "two")?;
    until_lines(&node, "app", &[("one", ""), ("two", "")])?;
    ensure!(
        opened(&mut node) == [("app".to_owned(), 2), ("other".to_owned(), 1)].into(),
        "{:?}",
        opened(&mut node)
    );
    ensure!(node.terminate()? == 0, "SIGTERM still ends it");
    Ok(())
}
