//! What operators watch: the metrics of a live node, the alerts, recording rules and dashboard made of them, and the
//! node's own log.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use regex::Regex;
use weir_cluster_tests::process::{Node, config_head, get, post, query, quoted, run, until};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(docs().join(path)).with_context(|| path.to_owned())
}

/// Runs promtool below `docs/prometheus`; what it says, and whether it is content.
fn promtool(args: &[&str], input: &[u8]) -> Result<(bool, String)> {
    let mut command = Command::new("promtool");
    command.current_dir(docs().join("prometheus")).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("promtool cannot be started; cargo xtask test installs it")?;
    child.stdin.take().context("stdin is piped")?.write_all(input)?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

/// What stands behind `key: ` in a file of rules.
fn values(text: &str, key: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key));
    lines.map(|value| value.trim().trim_matches('\'').to_owned()).collect()
}

#[test]
fn every_alert_is_right_tested_and_explained() -> Result<()> {
    let (is_right, said) = promtool(&["check", "rules", "alerts.yml", "recording.yml"], b"")?;
    ensure!(is_right, "{said}");
    let (is_right, said) = promtool(&["test", "rules", "tests.yml"], b"")?;
    ensure!(is_right, "{said}");
    let alerts = values(&read("prometheus/alerts.yml")?, "alert:");
    ensure!(alerts.len() >= 20, "{alerts:?}");
    let (tests, pages) = (read("prometheus/tests.yml")?, read("OPERATIONS.md")?);
    let tested: Vec<String> = values(&tests, "name:");
    for alert in &alerts {
        ensure!(tested.contains(&format!("{alert} fires")), "{alert} has no test that sets it off");
        ensure!(
            pages.contains(&format!("`{alert}`")),
            "docs/OPERATIONS.md does not say what to do about {alert}"
        );
    }
    Ok(())
}

#[test]
fn alerts_and_dashboard_name_what_a_live_node_exports() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("app.log");
    std::fs::write(&log, "a line\n")?;
    let config = dir.path().join("weir.toml");
    let source = format!(
        "[cluster]\nname = \"watched\"\ngossip = \"127.0.0.1:0\"\n[sources.app]\nplugin = \"file-source\"\ngrants.files.logs = {{ include = [{}] }}\n",
        quoted(&log)
    );
    std::fs::write(&config, config_head(dir.path()) + &source)?;
    let node = Node::start(&config)?;
    ensure!(post(&node.url("/api/v1/ingest?topic=t"), "text/plain", b"a line")?.0 == 200);
    until("the source is read", || query(&node, "q=topic:app"), |answer| answer.rows.len() == 1)?;
    let text = String::from_utf8(get(&node.url("/metrics"))?.1)?;
    let (is_right, said) = promtool(&["check", "metrics"], text.as_bytes())?;
    ensure!(is_right && said.is_empty(), "promtool: {said}");

    let exported: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let recorded = values(&read("prometheus/recording.yml")?, "record:");
    let metric = Regex::new(r"\b(?:weir|process)[_:][a-z0-9_:]+")?;
    let mut named = 0;
    for file in ["prometheus/alerts.yml", "prometheus/recording.yml", "grafana/weir.json"] {
        let text = read(file)?;
        if file.ends_with("json") {
            let dashboard: serde_json::Value = serde_json::from_str(&text)?;
            ensure!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 15), "{file}");
        }
        for name in metric.find_iter(&text).map(|found| found.as_str()) {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
            let is_there = exported.contains(name) || base.is_some_and(|base| exported.contains(base));
            ensure!(is_there || recorded.iter().any(|it| it == name), "{file}: no node exports {name}");
            named += 1;
        }
    }
    ensure!(named > 60, "{named}");
    Ok(())
}

#[test]
fn the_log_of_a_node_is_found_by_a_query_in_both_formats() -> Result<()> {
    for (format, question) in
        [("json", "topic:weir level:info message:ready"), ("logfmt", "topic:weir ready level:info")]
    {
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("weir.toml");
        let log = format!("[log]\nformat = \"{format}\"\ntopic = \"weir\"\n");
        std::fs::write(&config, config_head(dir.path()) + &log)?;
        let mut node = Node::start(&config)?;
        let params = format!("q={}", weir_cluster_tests::process::encode(question));
        let answer = until("its own log", || query(&node, &params), |answer| !answer.rows.is_empty())?;
        let row = &answer.rows[0];
        ensure!(row["labels"]["service"] == "weir" && row["labels"]["node"].is_string(), "{row}");
        let told = node.wait_line("ready")?;
        if format == "json" {
            let line: serde_json::Value = serde_json::from_str(&told)?;
            ensure!(
                line["level"] == "info" && line["time"].is_string() && line["target"].is_string(),
                "{told}"
            );
        } else {
            ensure!(told.starts_with("time=") && told.contains(" level=info message="), "{told}");
        }
        // Keeping the log makes no log: nothing more comes of what came.
        let count = || -> Result<usize> { Ok(query(&node, "q=topic:weir&limit=100000")?.rows.len()) };
        let before = count()?;
        ensure!(post(&node.url("/api/v1/ingest?topic=other"), "text/plain", b"x")?.0 == 200);
        until("others are stored", || query(&node, "q=topic:other"), |answer| answer.rows.len() == 1)?;
        let sealed = || -> Result<String> { Ok(String::from_utf8(get(&node.url("/metrics"))?.1)?) };
        until("all is sealed", sealed, |text| text.contains("\nweir_ingest_log_records 0\n"))?;
        ensure!(count()? <= before + 8, "{before} lines have become {}", count()?);
        let metrics = sealed()?;
        ensure!(metrics.contains("weir_log_lines_total{level=\"info\"}"), "its lines are counted");
        ensure!(node.terminate()? == 0);
    }
    Ok(())
}

#[test]
fn a_directory_is_a_configuration_and_a_reload_sees_new_files_in_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let parts = dir.path().join("conf.d");
    std::fs::create_dir(&parts)?;
    let config = dir.path().display().to_string();
    let told = |args: &[&str]| -> Result<(Option<i32>, String)> {
        let output = run(args)?;
        Ok((
            output.status.code(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        ))
    };
    let (code, text) = told(&["config", "check", "-c", &config])?;
    ensure!(
        code == Some(78) && text.contains("no configuration in it, expected weir.toml or conf.d/*.toml"),
        "{text}"
    );

    std::fs::write(dir.path().join("weir.toml"), config_head(dir.path()))?;
    std::fs::write(parts.join("10-wrong.toml"), "[storage]\nfull_at = \"7\"\n")?;
    std::fs::write(parts.join("notes.txt"), "not read")?;
    std::fs::write(parts.join(".hidden.toml"), "not read")?;
    let (code, text) = told(&["config", "check", "-c", &config])?;
    ensure!(
        code == Some(78) && text.contains("conf.d/10-wrong.toml:2:11: storage.full_at: expected"),
        "{text}"
    );
    std::fs::remove_file(parts.join("10-wrong.toml"))?;

    let node = Node::start(dir.path())?;
    let log = dir.path().join("app.log");
    std::fs::write(&log, "from a part\n")?;
    let source = format!(
        "[sources.app]\nplugin = \"file-source\"\ngrants.files.logs = {{ include = [{}] }}\n",
        quoted(&log)
    );
    std::fs::write(parts.join("20-app.toml"), source)?;
    let (status, body) = post(&node.url("/-/reload"), "text/plain", b"")?;
    ensure!(status == 200, "{}", String::from_utf8_lossy(&body));
    until("the new source", || query(&node, "q=topic:app"), |answer| answer.rows.len() == 1)?;
    std::fs::write(parts.join("30-wrong.toml"), "[nood]\n")?;
    let (status, body) = post(&node.url("/-/reload"), "text/plain", b"")?;
    let body = String::from_utf8_lossy(&body);
    ensure!(status == 500 && body.contains("30-wrong.toml:1:2: nood"), "{status} {body}");
    Ok(())
}

/// All source text of the host.
fn sources(dir: &Path, into: &mut String) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[test]
fn the_page_on_trouble_quotes_what_is_really_said() -> Result<()> {
    let mut code = String::new();
    sources(&docs().join("../host"), &mut code)?;
    let page = read("TROUBLESHOOTING.md")?;
    let mut quoted = 0;
    for row in page.lines().filter(|line| line.starts_with("| \"")) {
        let said = row.trim_start_matches("| \"").split("\" |").next().unwrap_or_default();
        ensure!(code.contains(said), "docs/TROUBLESHOOTING.md quotes {said:?}, which nothing says");
        quoted += 1;
    }
    ensure!(quoted > 25, "{quoted}");
    Ok(())
}
