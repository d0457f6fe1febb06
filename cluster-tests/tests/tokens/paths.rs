//! Names that lead elsewhere: in paths, in every parameter, in headers. The node runs below strace, which sees all that
//! it opens.

use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use weir_cluster_tests::process::{Node, config_head, weir_bin};

use super::world::{ask, ask_all};
use crate::faults::strace::check_usable;

/// What stands in the file that nobody is to read.
const CANARY: &str = "canary-that-sings";
/// Calls by which a file can be reached.
const CALLS: &str = "trace=open,openat,creat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,link,linkat,symlink,symlinkat,truncate";
/// Parameters by route. One that is new is another line here.
const PARAMS: [(&str, &str, &[&str]); 17] = [
    (
        "GET",
        "/api/v1/query",
        &["q", "from", "to", "limit", "order", "before", "after", "filter", "format", "explain"],
    ),
    ("GET", "/api/v1/histogram", &["q", "from", "to", "buckets", "filter"]),
    ("GET", "/api/v1/tail", &["q", "filter", "resume"]),
    ("POST", "/api/v1/ingest", &["topic", "label.path", "durability"]),
    ("POST", "/api/v1/filters", &["name"]),
    ("POST", "/api/v1/cluster/forget", &["node", "force"]),
    ("POST", "/api/v1/cluster/drain", &["node", "cancel"]),
    ("POST", "/api/v1/cluster/rebalance", &["cancel"]),
    ("GET", "/api/v1/node/origin", &["name", "store", "place"]),
    ("POST", "/api/v1/node/filter", &["name", "signature"]),
    ("GET", "/store/query", &["from", "to", "q", "regex"]),
    ("GET", "/store/_query", &["from", "to", "q", "regex"]),
    ("GET", "/store/stream", &["q", "regex", "window"]),
    ("GET", "/ingest/read", &["id"]),
    ("POST", "/ingest/commit", &["id"]),
    ("POST", "/ingest/failed", &["id"]),
    ("GET", "/ui/", &["q", "view", "path"]),
];

/// Ways to write a name that leads out.
fn spellings(canary: &str) -> Vec<String> {
    let up = "../".repeat(12);
    let rooted = canary.trim_start_matches('/').to_owned();
    let mut all = vec![
        canary.to_owned(),
        format!("file://{canary}"),
        "../canary.txt".into(),
        "../../canary.txt".into(),
    ];
    all.extend([
        format!("{up}{rooted}"),
        format!("./{up}{rooted}"),
        format!("x/{up}{rooted}"),
        format!("/{up}{rooted}"),
    ]);
    let mut more = Vec::new();
    for plain in &all[2..8] {
        more.push(plain.replace('.', "%2e"));
        more.push(plain.replace('/', "%2f"));
        more.push(plain.replace("../", "%252e%252e%252f"));
        more.push(plain.replace("../", "..%c0%af"));
        more.push(plain.replace("../", "....//"));
        more.push(plain.replace('/', "%5c"));
        more.push(format!("{plain}%00.zst"));
    }
    all.extend(more);
    all
}

#[test]
fn no_path_and_no_parameter_leads_out_of_the_data_directory() -> Result<()> {
    check_usable()?;
    let dir = tempfile::tempdir()?;
    let canary = dir.path().join("canary.txt");
    std::fs::write(&canary, format!("{CANARY}\n"))?;
    let (config, trace) = (dir.path().join("weir.toml"), dir.path().join("trace"));
    // Everything may be asked of it: no token, no key, and filters of whoever sends some.
    std::fs::write(&config, format!("{}[policy]\nad_hoc_filters = true\n", config_head(dir.path())))?;
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-ttt", "-s", "4096", "-e", CALLS, "-o"]).arg(&trace);
    command.arg(weir_bin()).args(["run", "-c"]).arg(&config);
    command.env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::null());
    let mut node = Node::spawn(command)?;
    node.wait_ready()?;
    ensure!(ask_all(&node, "POST", "/api/v1/ingest?topic=t", "none", b"a line\n")?.status == 200);
    let began = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();

    let spellings = spellings(&canary.display().to_string());
    let mut asked = 0;
    let mut answers = String::new();
    for spelling in &spellings {
        for start in ["", "/", "/ui/", "/api/v1/", "/api/v1/query/", "/store/", "/ingest/", "/-/"] {
            let path = format!("{start}{spelling}");
            let target = if path.starts_with('/') { path } else { format!("/{path}") };
            let answer = ask(&node, "GET", &target, "", b"")?;
            ensure!([400, 404].contains(&answer.status), "{target}: {}", answer.head);
            answers += &answer.body;
            asked += 1;
        }
        for (method, path, params) in PARAMS {
            for param in params {
                let headers = format!(
                    "last-event-id: {spelling}\r\nidempotency-key: {spelling}\r\nreferer: {spelling}\r\n"
                );
                let answer = ask(&node, method, &format!("{path}?{param}={spelling}"), &headers, b"line\n")?;
                answers += &answer.body;
                asked += 1;
            }
        }
    }
    for (path, methods) in weir_api::routes() {
        let body = format!(
            "{{\"origin\": \"{0}\", \"name\": \"{0}\", \"path\": \"{0}\", \"snapshot\": \"{0}\"}}",
            spellings[4]
        );
        for method in methods.iter().filter(|method| *method == "POST") {
            answers +=
                &ask(&node, method.as_str(), path, "content-type: application/json\r\n", body.as_bytes())?
                    .body;
            asked += 1;
        }
    }
    ensure!(asked > 2000, "{asked}");
    ensure!(!answers.contains(CANARY), "the canary sings");
    let (code, log) = node.terminate_told()?;
    ensure!(code == 0 && !log.contains("panicked"), "{log}");

    let text = std::fs::read_to_string(&trace).with_context(|| format!("read {}", trace.display()))?;
    let data = dir.path().join("data").display().to_string();
    let mut opened = 0;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let at: f64 = words.nth(1).and_then(|word| word.parse().ok()).unwrap_or(0.0);
        let Some(path) = line.split('"').nth(1).filter(|_| at > began) else { continue };
        opened += 1;
        let own = path.starts_with(&data) && !path.contains("..");
        // What the process reads of itself, and of the machine; and its configuration, which a reload reads again.
        let machine = path.starts_with("/proc/") || path.starts_with("/sys/");
        ensure!(
            own || machine || path == config.display().to_string(),
            "opened outside of the data directory: {line}"
        );
    }
    ensure!(opened > 0, "the trace shows nothing, so it would show nothing wrong either");
    Ok(())
}
