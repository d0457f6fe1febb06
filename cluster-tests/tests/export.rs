//! `weir segment export`, of segments that a node has made: what other tools read is what a query says.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use weir_cluster_tests::process::{Node, config_head, get, post, run, until, weir, weir_bin};
use weir_cluster_tests::small_disk::SmallDisk;

/// A node's segments, and what it answers about them.
struct Stored {
    dir: tempfile::TempDir,
    /// Lines of the query API, sorted by their ids.
    lines: Vec<String>,
}

impl Stored {
    /// Stores lines of several streams, any bytes among them, and stops the node.
    fn new(lines: usize) -> Result<Stored> {
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("weir.toml");
        std::fs::write(&config, config_head(dir.path()) + "[storage]\nseal = { age = \"100ms\" }\n")?;
        let node = Node::start(&config)?;
        for (stream, odd) in [
            ("topic=web&label.host=w1&label.env=prod", &b"\xff\x00 no text\n"[..]),
            ("topic=bare", b"\n\"quoted\", and more\r\n"),
            ("topic=shop&label.note=a%22b%2C%20%C3%A9", "ü✓\u{1f600}\tNULL\nnull\n".as_bytes()),
        ] {
            let text: Vec<String> = (0..lines).map(|number| format!("line {number} of {stream}\n")).collect();
            let body = [odd, text.concat().as_bytes()].concat();
            let (status, _) = post(&node.url(&format!("/api/v1/ingest?{stream}")), "text/plain", &body)?;
            ensure!(status == 200, "status {status}");
        }
        let (_, answer) = get(&node.url("/api/v1/query?from=0&format=ndjson"))?;
        let mut lines: Vec<String> = String::from_utf8(answer)?.lines().map(str::to_owned).collect();
        let stats = lines.pop().unwrap_or_default();
        ensure!(stats.contains("\"complete\":true"), "{stats}");
        let stored = Stored { dir, lines };
        let exported = || stored.export(&["--format", "ndjson"]);
        let count = |output: &Output| output.stdout.lines().count();
        until("all of it is in segments", exported, |output| count(output) == stored.lines.len())?;
        ensure!(node.terminate()? == 0, "the node stops cleanly");
        Ok(stored)
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("data/store")
    }

    /// Runs the command over all segments.
    fn export(&self, args: &[&str]) -> Result<Output> {
        let store = self.store().display().to_string();
        run(&[&["segment", "export"], args, &[&store]].concat())
    }

    /// The records as a table has them: time in milliseconds, and whatever is not there as null.
    fn table(&self) -> Result<Vec<Value>> {
        let row = |line: &String| {
            let record: Value = serde_json::from_str(line)?;
            let time = record["time"].as_str().context("a time")?;
            let (payload, encoded) = (record["payload"].clone(), record["payload_base64"].clone());
            Ok(json!([record["id"], time, record["topic"], record["labels"], payload, encoded]))
        };
        self.lines.iter().map(row).collect()
    }
}

/// What DuckDB makes of a table, a JSON array a row, sorted by id.
fn duckdb(from: &str) -> Result<Vec<Value>> {
    const SCRIPT: &str = r#"
import duckdb, json, sys
rows = duckdb.sql(f"""
    select id, strftime(time at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%gZ'), topic, to_json(labels)::varchar,
           payload, payload_base64
    from {sys.argv[1]} order by id
""").fetchall()
for id, time, topic, labels, *payload in rows:
    print(json.dumps([id, time, topic, json.loads(labels), *payload]))
"#;
    let python = std::env::var_os("WEIR_DUCKDB").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/duckdb/bin/python3"),
        PathBuf::from,
    );
    let output = Command::new(&python).args(["-c", SCRIPT, from]).output();
    let output = output
        .with_context(|| format!("{} cannot be started; cargo xtask test makes it", python.display()))?;
    ensure!(output.status.success(), "{from}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[track_caller]
fn same(what: &str, got: &[Value], expected: &[Value]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (got, expected) in got.iter().zip(expected) {
        assert_eq!(got, expected, "{what}");
    }
}

#[test]
fn duckdb_reads_of_parquet_and_csv_what_the_query_says() -> Result<()> {
    let stored = Stored::new(2_000)?;
    let expected = stored.table()?;
    ensure!(expected.len() > 6_000, "{} records", expected.len());
    let at = |name: &str| stored.dir.path().join(name).display().to_string();

    let (file, folder) = (at("all.parquet"), at("hive"));
    let to_file = stored.export(&["--format", "parquet", "--out", &file])?;
    ensure!(to_file.status.success() && to_file.stdout.is_empty(), "{to_file:?}");
    same("one file", &duckdb(&format!("'{file}'"))?, &expected);

    let to_folder = stored.export(&["--format", "parquet", "--out", &folder])?;
    ensure!(to_folder.status.success(), "{to_folder:?}");
    same("a folder", &duckdb(&format!("'{folder}/**/*.parquet'"))?, &expected);
    // The names of the folders are columns, and right ones.
    let hive = format!(
        "(from read_parquet('{folder}/**/*.parquet', hive_partitioning = true)
          where strftime(time at time zone 'UTC', '%Y-%m-%d %H') = date || ' ' || hour)"
    );
    same("dates and hours", &duckdb(&hive)?, &expected);

    let again = stored.export(&["--format", "parquet", "--out", &file])?;
    ensure!(again.status.code() == Some(1), "{again:?}");
    ensure!(String::from_utf8_lossy(&again.stderr).contains("the file exists"), "{again:?}");
    ensure!(stored.export(&["--format", "parquet", "--out", &file, "--force"])?.status.success());

    let csv = at("all.csv");
    std::fs::write(&csv, stored.export(&["--format", "csv", "--out", "-"])?.stdout)?;
    // Said rather than guessed: one column per type, and text as it stands.
    let columns = "{'id': 'VARCHAR', 'time': 'TIMESTAMPTZ', 'topic': 'VARCHAR', 'labels': 'JSON', \
                   'payload': 'VARCHAR', 'payload_base64': 'VARCHAR'}";
    let options = "header = true, quote = '\"', escape = '\"', allow_quoted_nulls = false";
    same("csv", &duckdb(&format!("read_csv('{csv}', columns = {columns}, {options})"))?, &expected);
    Ok(())
}

#[test]
fn json_lines_are_those_of_the_query_and_damage_costs_its_block() -> Result<()> {
    let stored = Stored::new(2_000)?;
    let sorted = |output: &Output| -> Result<Vec<String>> {
        let mut lines: Vec<String> =
            std::str::from_utf8(&output.stdout)?.lines().map(str::to_owned).collect();
        // An id is the first thing in a line.
        lines.sort();
        Ok(lines)
    };
    let whole = stored.export(&[])?;
    ensure!(whole.status.success() && whole.stderr.is_empty(), "{whole:?}");
    assert_eq!(sorted(&whole)?, stored.lines);
    let until_end = stored.export(&["--from", "1h", "--to", "now+1h"])?;
    assert_eq!(sorted(&until_end)?, stored.lines);
    ensure!(stored.export(&["--to", "1h"])?.stdout.is_empty(), "nothing is an hour old");

    let mut segments =
        std::fs::read_dir(stored.store())?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "zst"));
    let hurt = segments.pop().context("a segment")?;
    let mut bytes = std::fs::read(&hurt)?;
    bytes[20] ^= 1;
    std::fs::write(&hurt, bytes)?;
    let rest = stored.export(&[])?;
    let told = String::from_utf8_lossy(&rest.stderr);
    let expected = format!("weir: {}: block 0 at offset 0 is damaged in its data", hurt.display());
    ensure!(rest.status.code() == Some(1) && told.starts_with(&expected), "{told}");
    let rest = sorted(&rest)?;
    ensure!(rest.len() < stored.lines.len() && rest.iter().all(|line| stored.lines.contains(line)));
    let verified = run(&["segment", "verify", &hurt.display().to_string()])?;
    ensure!(verified.status.code() == Some(1), "{verified:?}");
    ensure!(String::from_utf8_lossy(&verified.stdout).contains("block 0 at offset 0 "), "{verified:?}");
    Ok(())
}

#[test]
fn a_reader_that_leaves_is_no_error_and_a_full_disk_leaves_no_half_file() -> Result<()> {
    // More than a pipe and the disk below hold.
    let stored = Stored::new(20_000)?;
    let store = stored.store().display().to_string();
    let mut child =
        weir(&["segment", "export", &store]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut first = String::new();
    BufReader::new(child.stdout.take().context("stdout is piped")?).read_line(&mut first)?;
    ensure!(stored.lines.contains(&first.trim_end().to_owned()), "{first}");
    let mut told = String::new();
    child.stderr.take().context("stderr is piped")?.read_to_string(&mut told)?;
    ensure!(child.wait()?.success() && told.is_empty(), "{told}");

    let small = stored.dir.path().join("small");
    let disk = SmallDisk::mount(&small, 1)?;
    let prefix = disk.prefix();
    let there = |args: &[&str]| -> Result<Output> {
        Ok(Command::new(&prefix[0]).args(&prefix[1..]).args(args).output()?)
    };
    let (bin, out) = (weir_bin().display().to_string(), small.join("all.ndjson").display().to_string());
    let full = there(&[&bin, "segment", "export", "--out", &out, &store])?;
    let told = String::from_utf8_lossy(&full.stderr);
    ensure!(full.status.code() == Some(1) && told.contains("No space left on device"), "{told}");
    ensure!(told.starts_with(&format!("weir: {out}: ")), "{told}");
    let listed = there(&["ls", "-A", &small.display().to_string()])?;
    ensure!(listed.status.success() && listed.stdout.is_empty(), "{listed:?}");
    Ok(())
}
