//! Components that go to where the records are: by the policy of the nodes there, signed, or brought along.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{encode, get, post, quoted, until, weir};

const SETTINGS: &str = "[storage]\nseal = { age = \"100ms\" }";
const RECORDS: usize = 600;

/// `count`, as a component that no node has embedded.
fn component(dir: &Path, name: &str) -> Result<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins/count.wasm");
    let mut bytes =
        std::fs::read(&built).with_context(|| format!("{}: cargo xtask plugins", built.display()))?;
    // A custom section: its name, and nothing in it.
    bytes.extend([0, name.len() as u8 + 1, name.len() as u8]);
    bytes.extend(name.as_bytes());
    let path = dir.join(format!("{name}.wasm"));
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// What `weir` says, and how it ends.
fn run(args: &[&str]) -> Result<(i32, String, String)> {
    let output = weir(args).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr)))
}

/// Two stores, an ingest and a query node, configured each by name; every record is on both stores.
fn start(configs: &[(&str, &str)]) -> Result<Cluster> {
    let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 2, SETTINGS)?;
    for (name, config) in configs {
        cluster.configure(name, config)?;
    }
    cluster.start_all()?;
    let query = cluster.url("q");
    let complete = |(status, body): &(u16, Vec<u8>)| {
        *status == 200 && String::from_utf8_lossy(body).contains("\"complete\":true")
    };
    until("the nodes know each other", || ask(&query, "x"), complete)?;
    let lines: Vec<String> = (0..RECORDS).map(|n| format!("{{\"n\":{n},\"odd\":{}}}\n", n % 2)).collect();
    let lines = lines.concat();
    let (status, _) =
        post(&format!("{}/api/v1/ingest?topic=t", cluster.url("i")), "text/plain", lines.as_bytes())?;
    ensure!(status == 200, "status {status}");
    cluster.until_metric("i", "weir_backlog_origins", |origins| origins == 0.0)?;
    Ok(cluster)
}

fn ask(url: &str, q: &str) -> Result<(u16, Vec<u8>)> {
    get(&format!("{url}/api/v1/query?q={}", encode(q)))
}

fn answer(url: &str, q: &str) -> Result<(u16, String)> {
    let (status, body) = ask(url, q)?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

#[test]
fn a_component_goes_to_the_nodes_whose_policy_has_it_or_its_key_and_to_no_other() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = component(dir.path(), "mine")?;
    let key = dir.path().join("key").display().to_string();
    let (code, public, _) = run(&["plugin", "keygen", &key])?;
    ensure!(code == 0 && public.starts_with("ed25519:"), "{public}");
    let (code, _, again) = run(&["plugin", "keygen", &key])?;
    ensure!(code == 1 && again.contains("it is there already"), "{again}");
    let (code, signed, error) = run(&["plugin", "sign", "--key", &key, &file.display().to_string()])?;
    ensure!(code == 0 && signed.contains(public.trim()), "{signed}{error}");
    let digest =
        signed.split("sha256:").nth(1).and_then(|rest| rest.split(',').next()).context("a digest")?;

    let own = format!("[plugins.mine]\npath = {}\n", quoted(&file));
    let listed = format!("[policy]\nfilters = [\"sha256:{digest}\"]\n");
    let signing = format!("[policy]\nkeys = [\"{}\"]\n", public.trim());
    // The ingest node has a log that may have to be read as well.
    let mut cluster = start(&[("q", &own), ("i", &listed), ("s1", &listed), ("s2", &signing)])?;
    let query = cluster.url("q");
    for gone in ["s1", "s2"] {
        cluster.kill(gone)?;
        let one = |(status, body): &(u16, String)| *status == 200 && body.contains(r#"{\"count\":600}"#);
        // Beside one that every node has itself, for which nobody's policy gives leave.
        until("the other store counts", || answer(&query, "topic:t | sample 1 | mine"), one)?;
        cluster.start(gone)?;
        until("both answer", || answer(&query, "topic:t | count"), one)?;
    }

    // Without its signature one of the stores does not run it, and says so; nothing else is harmed.
    std::fs::remove_file(dir.path().join("mine.wasm.sig"))?;
    cluster.kill("s1")?;
    let refused = |(status, _): &(u16, String)| *status != 200;
    let restarted = |cluster: &mut Cluster| -> Result<()> {
        cluster.kill("s2")?;
        cluster.start("s2")
    };
    restarted(&mut cluster)?;
    let (status, body) = until("it is refused", || answer(&query, "topic:t | mine"), refused)?;
    ensure!(
        status == 400 && body.contains("filter_refused") && body.contains("it is not signed"),
        "{status} {body}"
    );
    ensure!(body.contains(&format!("write sha256:{digest} into policy.filters")), "{body}");
    let (status, body) = answer(&query, "topic:t | count")?;
    ensure!(status == 200 && body.contains(r#"{\"count\":600}"#), "{body}");
    Ok(())
}

#[test]
fn a_filter_is_brought_along_where_the_policy_says_so() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = component(dir.path(), "brought")?;
    let filter = format!("{}=by odd", file.display());
    let open = "[policy]\nad_hoc_filters = true\n";
    let mut cluster = start(&[("i", open), ("s1", open), ("s2", open), ("q", open)])?;
    let query = cluster.url("q");
    let ask = |url: &str| run(&["query", "--node", url, "--from", "0", "topic:t", "--filter", &filter]);
    let (code, out, error) = ask(&query)?;
    ensure!(code == 0, "{code}: {error}");
    let lines: Vec<&str> = out.lines().collect();
    ensure!(lines.len() == 2 && lines.iter().all(|line| line.contains(r#""count":300"#)), "{out}");
    // One that answers no queries itself passes both on.
    let ingest = cluster.url("i");
    let done = |(code, _, _): &(i32, String, String)| *code == 0;
    let (_, passed, _) = until("it knows who answers", || ask(&ingest), done)?;
    ensure!(passed == out, "{passed}");

    // A node that does not want it any more refuses, and says what would have to be done.
    cluster.configure("q", "")?;
    let (status, told) = post(&format!("{query}/-/reload"), "text/plain", b"")?;
    let told = String::from_utf8_lossy(&told).into_owned();
    ensure!(status == 200 && told.contains("policy: another one"), "{status} {told}");
    let (code, _, error) = ask(&query)?;
    ensure!(
        code == 1 && error.contains("does not run on this node") && error.contains("policy.ad_hoc_filters"),
        "{error}"
    );
    let garbage = dir.path().join("garbage.wasm");
    std::fs::write(&garbage, "no component")?;
    let (code, _, error) = run(&["query", "--node", &ingest, "--filter", &garbage.display().to_string()])?;
    ensure!(code == 1 && error.contains("garbage.wasm"), "{code}: {error}");
    Ok(())
}
