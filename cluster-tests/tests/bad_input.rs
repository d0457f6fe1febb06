//! Bad input through the real binary: a clear error, the right exit code, and nothing else harmed.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::{Node, config_head, get, post, query, run, run_with_input, until, weir};

/// Writes a configuration whose data directory lies in `dir`; `rest` goes below it.
fn config(dir: &Path, rest: &str) -> Result<PathBuf> {
    let path = dir.join("weir.toml");
    std::fs::write(&path, config_head(dir) + rest)?;
    Ok(path)
}

/// The command's exit code and what it says on standard error.
fn fails(args: &[&str]) -> Result<(i32, String)> {
    let output = run(args)?;
    Ok((output.status.code().unwrap_or(-1), String::from_utf8(output.stderr)?))
}

#[test]
fn every_mistake_in_a_configuration_is_listed_with_its_place() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path =
        config(dir.path(), "apii = \"x\"\n[storage]\nfull_at = \"lots\"\nseal = { bytes = 5 }\n[nodes]\n")?;
    let shown = path.display().to_string();
    for command in [vec!["run", "-c", &shown], vec!["config", "check", "-c", &shown]] {
        let (code, said) = fails(&command)?;
        ensure!(code == 78, "exit {code}: {said}");
        for place in [":7:1: listen.apii: ", ":9:11: storage.full_at: ", ":10:", ":11:2: nodes: "] {
            ensure!(said.contains(&format!("{shown}{place}")), "no {place} in {said}");
        }
        ensure!(said.contains("did you mean") && said.contains("`api`"), "{said}");
    }
    ensure!(!dir.path().join("data").exists(), "a bad configuration must not touch the disk");
    Ok(())
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_right() -> Result<()> {
    for args in [
        &["quary"][..],
        &["query", "--frm", "1h"],
        &["query", "--format", "xml"],
        &["testsvc", "--rate", "fast"],
        &[],
    ] {
        let (code, said) = fails(args)?;
        ensure!(code == 2 && !said.is_empty(), "{args:?}: exit {code}: {said}");
    }
    let (code, said) = fails(&["query", "--node", "http://127.0.0.1:1", "word"])?;
    ensure!(code == 1 && said.starts_with("weir: ") && said.contains("127.0.0.1:1"), "exit {code}: {said}");
    Ok(())
}

#[test]
fn a_public_address_is_refused_with_the_line_that_allows_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = config(dir.path(), "")?;
    let (code, said) = fails(&["run", "-c", &path.display().to_string(), "--set", "listen.api=0.0.0.0:0"])?;
    ensure!(code == 78, "exit {code}: {said}");
    ensure!(said.contains("insecure = \"yes, I mean it\""), "{said}");
    Ok(())
}

#[test]
fn what_is_taken_or_locked_or_read_only_is_one_clear_line() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = config(dir.path(), "")?.display().to_string();
    let node = Node::start(Path::new(&path))?;
    let (code, said) = fails(&["run", "-c", &path])?;
    ensure!(code == 1 && said.contains("is used by process"), "exit {code}: {said}");

    let address = node.url("").replace("http://", "");
    let other = dir.path().join("other").display().to_string();
    let (code, said) =
        fails(&["run", "-c", &path, "--data-dir", &other, "--set", &format!("listen.api={address}")])?;
    ensure!(code == 1 && said.contains(&format!("cannot listen on {address}")), "exit {code}: {said}");

    let file = dir.path().join("a-file");
    std::fs::write(&file, "")?;
    let (code, said) = fails(&["run", "-c", &path, "--data-dir", &file.display().to_string()])?;
    ensure!(code == 1 && said.contains("a-file"), "exit {code}: {said}");
    ensure!(get(&node.url("/-/ready"))?.0 == 200, "the running node was harmed");
    Ok(())
}

#[test]
fn foreign_and_damaged_files_are_quarantined_and_named_and_the_node_starts() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = config(dir.path(), "")?;
    let node = Node::start(&path)?;
    post(&node.url("/api/v1/ingest"), "text/plain", b"kept\n")?;
    ensure!(node.terminate()? == 0);
    let log = dir.path().join("data/log");
    std::fs::write(log.join("notes.txt"), "not ours")?;
    std::fs::write(log.join("0123456789abcdef-00000001.log"), [0_u8; 5000])?;

    let mut node = Node::start(&path)?;
    let said = node.log();
    ensure!(said.contains("notes.txt") && said.contains("0123456789abcdef-00000001.log"), "{said}");
    ensure!(!log.join("notes.txt").exists(), "left in place");
    ensure!(std::fs::read_dir(dir.path().join("data/quarantine"))?.count() == 2, "not in quarantine");
    ensure!(query(&node, "q=kept")?.rows.len() == 1);
    Ok(())
}

#[test]
fn any_bytes_are_stored_as_they_are() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = Node::start(&config(dir.path(), "")?)?;
    let mut body = b"nul \0 percent %s %d 100% crlf\r\nutf8 \xff\xfe \xc3\x28\n\n\x1b[31mred\n".to_vec();
    body.extend(std::iter::repeat_n(b'x', 1 << 20));
    body.push(b'\n');
    let (status, answer) = post(&node.url("/api/v1/ingest?topic=bytes"), "text/plain", &body)?;
    ensure!(status == 200, "{}", String::from_utf8_lossy(&answer));
    let (_, stored) = get(&node.url("/api/v1/query?format=text&q=topic:bytes"))?;
    ensure!(stored == body, "{} bytes came back for {}", stored.len(), body.len());
    Ok(())
}

#[test]
fn a_line_of_many_mebibytes_comes_in_parts_that_say_so() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("long.log");
    let mut long = vec![b'a'; 100 << 20];
    long.extend_from_slice(b"\nafter\n");
    std::fs::write(&log, &long)?;
    let source =
        format!("[sources.long]\nplugin = \"file-source\"\ngrants.files.logs = {{ include = [{log:?}] }}\n");
    let node = Node::start(&config(dir.path(), &source)?)?;
    until("the line after", || query(&node, "q=after"), |answer| answer.rows.len() == 1)?;
    for (part, count) in [("first", 1), ("middle", 98), ("last", 1)] {
        let (status, body) = get(&node.url(&format!("/api/v1/query?format=text&q=label._part:{part}")))?;
        ensure!(status == 200 && body.len() == count * ((1 << 20) + 1), "{part}: {} bytes", body.len());
    }
    Ok(())
}

#[test]
fn a_source_that_cannot_run_is_named_and_the_others_go_on() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("good.log");
    std::fs::write(&log, "good line\n")?;
    let bad = dir.path().join("bad.wasm");
    std::fs::write(&bad, "this is not wasm")?;
    let rest = format!(
        "[plugins.bad]\npath = {bad:?}\n[sources.broken]\nplugin = \"bad\"\n\
         [sources.ungranted]\nplugin = \"file-source\"\n\
         [sources.good]\nplugin = \"file-source\"\ngrants.files.logs = {{ include = [{log:?}] }}\n"
    );
    let mut node = Node::start(&config(dir.path(), &rest)?)?;
    until("the good source", || query(&node, "q=good"), |answer| answer.rows.len() == 1)?;
    let said = node.log();
    ensure!(said.contains("broken") && said.contains("not a WebAssembly file"), "{said}");
    ensure!(said.contains("ungranted") && said.contains("grants.files.logs"), "{said}");
    let (_, plugins) = get(&node.url("/api/v1/plugins"))?;
    let plugins = String::from_utf8(plugins)?;
    ensure!(plugins.contains("failed"), "{plugins}");
    Ok(())
}

#[test]
fn a_missing_plugin_file_is_found_before_a_port_is_bound() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = config(dir.path(), "[sources.s]\nplugin = \"file-sorce\"\n")?;
    let (code, said) = fails(&["run", "-c", &path.display().to_string()])?;
    ensure!(code == 78 && said.contains("file-sorce") && said.contains("file-source"), "exit {code}: {said}");
    Ok(())
}

#[test]
fn bad_requests_get_an_error_that_helps() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = Node::start(&config(dir.path(), "")?)?;
    for (path, status, part) in [
        ("/api/v1/query?q=%28a", 400, "column"),
        ("/api/v1/query?q=a&formt=text", 400, "did you mean format"),
        ("/api/v1/query?q=/%28%5Cw%7B1,200%7D%29%7B200%7D/", 400, "needs more than"),
        ("/api/v1/query?from=yesterdayish", 400, "RFC3339"),
        ("/api/v1/nothing", 404, "error"),
        ("/api/v1/ingest", 405, "POST"),
    ] {
        let (got, body) = get(&node.url(path))?;
        let body = String::from_utf8(body)?;
        ensure!(got == status && body.contains(part), "{path}: {got} {body}");
    }
    let (got, body) = post(&node.url("/api/v1/ingest?topic="), "text/plain", b"x")?;
    ensure!(got == 400, "{got} {}", String::from_utf8_lossy(&body));
    Ok(())
}

#[test]
fn an_unreadable_data_directory_is_one_clear_line() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = config(dir.path(), "")?.display().to_string();
    let locked = dir.path().join("read-only");
    std::fs::create_dir(&locked)?;
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555))?;
    // Permissions do not hold root back, a read-only file system does: /proc is one for everybody.
    let target = if rustix::process::geteuid().is_root() {
        Path::new("/proc/weir").into()
    } else {
        locked.join("data")
    };
    let (code, said) = fails(&["run", "-c", &path, "--data-dir", &target.display().to_string()])?;
    ensure!(code == 1 && said.contains(&target.display().to_string()), "exit {code}: {said}");
    ensure!(said.lines().filter(|line| line.starts_with("weir: ")).count() == 1, "{said}");
    Ok(())
}

#[test]
fn a_full_disk_refuses_with_507_and_says_so() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = config(dir.path(), "[storage]\nfull_at = \"1%\"\n")?;
    let node = Node::start(&path)?;
    let (status, body) = post(&node.url("/api/v1/ingest"), "text/plain", b"x\n")?;
    let body = String::from_utf8(body)?;
    ensure!(status == 507 && body.contains("full"), "{status} {body}");
    ensure!(get(&node.url("/-/healthy"))?.0 == 200, "a full disk is no reason to die");
    let (_, metrics) = get(&node.url("/metrics"))?;
    ensure!(String::from_utf8(metrics)?.contains("\nweir_disk_full 1\n"), "the metric does not say so");
    Ok(())
}

#[test]
fn a_source_never_passes_over_what_a_full_disk_refused() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("app.log");
    std::fs::write(&log, "one\ntwo\n")?;
    for durability in ["received", "stored"] {
        let source = format!(
            "[storage]\nfull_at = \"1%\"\n[sources.app]\nplugin = \"file-source\"\ndurability = \"{durability}\"\n\
             grants.files.logs = {{ include = [{log:?}] }}\n"
        );
        let node = Node::start(&config(dir.path(), &source)?)?;
        let metrics = || Ok(String::from_utf8(get(&node.url("/metrics"))?.1)?);
        // Refused and tried again, by the same sender: nothing is skipped and nothing counts as lost.
        until("it is tried again", metrics, |text| {
            text.contains("weir_rejected_total{reason=\"disk_full\"} 2")
        })?;
        let (_, plugins) = get(&node.url("/api/v1/plugins"))?;
        let plugins: serde_json::Value = serde_json::from_slice(&plugins)?;
        let mut all = plugins["plugins"].as_array().into_iter().flatten();
        let source = all.find(|plugin| plugin["name"] == "file-source").unwrap_or(&serde_json::Value::Null);
        let instance = &source["instances"][0];
        ensure!(instance["name"] == "app" && instance["records"] == 0, "{durability}: {plugins}");
        let none = "weir_rejected_total{reason=\"out_of_order\"} 0\n";
        ensure!(metrics()?.contains(none), "{durability}: a later batch was handed on");
    }
    let node = Node::start(&config(
        dir.path(),
        &format!("[sources.app]\nplugin = \"file-source\"\ngrants.files.logs = {{ include = [{log:?}] }}\n"),
    )?)?;
    until("room again", || query(&node, "q=topic:app"), |answer| answer.rows.len() == 2)?;
    Ok(())
}

#[test]
fn forward_reads_standard_input_to_its_end() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = Node::start(&config(dir.path(), "")?)?;
    let url = node.url("");
    let output =
        run_with_input(&["forward", "--topic", "shop", &url], b"GET /a%20b 100%d\nlast without newline")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (_, body) = get(&node.url("/api/v1/query?format=text&q=topic:shop"))?;
    ensure!(body == b"GET /a%20b 100%d\nlast without newline\n", "{}", String::from_utf8_lossy(&body));
    let output = run(&["query", "--node", &url, "topic:shop"])?;
    ensure!(output.status.success() && output.stdout == body, "{output:?}");
    Ok(())
}

#[test]
fn a_reader_that_leaves_early_is_no_error() -> Result<()> {
    let mut child = weir(&["testsvc", "--rate", "0", "--size", "200"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let mut stdout = child.stdout.take().context("stdout is piped")?;
    let mut some = [0; 1000];
    std::io::Read::read_exact(&mut stdout, &mut some)?;
    drop(stdout);
    let output = child.wait_with_output()?;
    ensure!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
