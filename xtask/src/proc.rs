//! Running other programs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// Runs to the end; output goes to stderr, since stdout belongs to the caller's result.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = line_of(command);
    let status =
        command.stdout(std::io::stderr()).status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// What a command prints to stdout. Fails with its stderr.
pub(crate) fn capture(command: &mut Command) -> anyhow::Result<String> {
    let line = line_of(command);
    let output = command.output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({}): {}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Runs to the end and hands every line of output to `seen` while it passes on to stderr.
/// Returns whether the program succeeded.
pub(crate) fn watch(command: &mut Command, seen: &mut dyn FnMut(&str)) -> anyhow::Result<bool> {
    let line = line_of(command);
    let (reader, writer) = std::io::pipe().context("make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
    // The command holds the write ends; while it lives the reader below would never see the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut lines = BufReader::new(reader);
    let mut bytes = Vec::new();
    let mut terminal = std::io::stderr();
    loop {
        bytes.clear();
        if lines.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        terminal.write_all(&bytes)?;
        seen(without_colours(&String::from_utf8_lossy(&bytes)).trim_end());
    }
    Ok(child.wait()?.success())
}

/// Runs for at most `limit`, silently; for programs that say little. `Err` says why it did not
/// succeed: the first line of its stderr that says `error`, if any.
pub(crate) fn within(command: &mut Command, limit: Duration) -> Result<(), String> {
    let started = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => {
                let mut said = String::new();
                let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
                let error = said.lines().find_map(|line| line.trim().strip_prefix("error: "));
                return Err(error.map_or_else(|| status.to_string(), str::to_owned));
            }
            None if started.elapsed() < limit => std::thread::sleep(Duration::from_millis(50)),
            None => {
                // Ended by its own handle; a failure to do so means that it is gone already.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no answer within {} s", limit.as_secs()));
            }
        }
    }
}

/// The command as one would type it.
pub(crate) fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The text without terminal escape sequences of the form `ESC [ … letter`.
fn without_colours(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        rest = after.find(|c: char| c.is_ascii_alphabetic()).map_or("", |end| &after[end + 1..]);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_out_and_text_stays() {
        for (line, expected) in [
            ("plain", "plain"),
            ("\u{1b}[1;32mok\u{1b}[0m. 3 passed", "ok. 3 passed"),
            ("cut \u{1b}[", "cut "),
            ("", ""),
        ] {
            assert_eq!(without_colours(line), expected);
        }
    }

    #[test]
    fn watched_lines_come_from_both_streams_and_the_end_is_seen() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        assert!(!watch(&mut command, &mut |line| lines.push(line.to_owned())).unwrap());
        lines.sort();
        assert_eq!(lines, ["err", "out"]);
    }

    #[test]
    fn a_command_that_hangs_is_ended_at_its_limit() {
        let error = within(Command::new("sleep").arg("60"), Duration::from_millis(100)).unwrap_err();
        assert!(error.contains("no answer"), "{error}");
    }
}
