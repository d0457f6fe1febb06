//! The command line, by hand: an argument parser would be half of what xtask compiles.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use crate::bench::corpus;

/// Shown by `--help` and below every usage error.
pub(crate) const USAGE: &str = "\
usage: cargo xtask <command>

  demo [--exit-after 10s] [--port 7650]
                    build, start a node on log lines of its own, show where to look
  test [--long]     build, lint and test everything; ends with `N passed, N failed`
  build             target/release/weir, one file with the standard plugins inside
  dist [--weir FILE] [--to DIR]
                    a tar archive, a Debian package and the files of an image, in target/dist/;
                    --weir packs that binary and builds nothing
  ui                the page, from host/ui/src into host/ui/dist; needs npm, which no other command does
  plugins           every plugin of the workspace as a component, into target/plugins/
  plugins --path DIR
                    one plugin crate from anywhere; prints the component's path
  plugins --toolchain rustup|debian
                    build with that one instead of what the machine offers first
  bench [--quick] [--weir FILE] [--gib N] [figure]…
                    measure; all figures, or those named; --quick takes a sixteenth of the
                    data, --weir measures that binary and builds nothing, --gib is how much
                    the figures of search take
  bench --victorialogs URL --loki URL search
                    the same beside stores that are running there, which get the same lines
  corpus [--bytes N] [--seed N] FILE
                    write the log lines that `bench search` is about, 1 GiB of them

What a command lacks it installs, and says so.";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Plugins(Plugins),
    Build,
    Dist(Dist),
    Ui,
    Demo(Demo),
    Test {
        /// The full figures instead of the share that fits a normal run.
        long: bool,
    },
    Bench(Bench),
    Corpus(Corpus),
}

/// Options of `dist`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Dist {
    /// A binary that is there already, instead of one that is built.
    pub(crate) weir: Option<PathBuf>,
    /// A folder that is made anew, instead of `target/dist`.
    pub(crate) to: Option<PathBuf>,
}

/// Options of `plugins`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plugins {
    /// One crate outside the workspace, instead of all inside.
    pub(crate) path: Option<PathBuf>,
    /// The toolchain to use, instead of the first that works.
    pub(crate) toolchain: Option<ToolchainName>,
}

/// The two ways to compile for wasm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolchainName {
    Rustup,
    Debian,
}

/// Options of `bench`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Bench {
    /// Names of figures; empty = all.
    pub(crate) only: Vec<String>,
    /// A binary that is there already, instead of one that is built.
    pub(crate) weir: Option<PathBuf>,
    /// A share of the data: shows that the figures work, not what they are.
    pub(crate) quick: bool,
    /// How large the corpus of the figures of search is, instead of what they take else.
    pub(crate) gib: Option<u64>,
    /// What the figure of search is held against as well.
    pub(crate) peers: Peers,
}

/// Other log stores that are running, by the URLs of their APIs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Peers {
    pub(crate) victorialogs: Option<String>,
    pub(crate) loki: Option<String>,
}

/// Options of `corpus`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Corpus {
    /// Where to write it.
    pub(crate) file: PathBuf,
    /// How large it is; the last line is whole.
    pub(crate) bytes: u64,
    /// Another seed gives other lines.
    pub(crate) seed: u64,
}

/// Options of `demo`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Demo {
    /// End by itself after this long; without it Ctrl-C ends it.
    pub(crate) exit_after: Option<Duration>,
    /// Where the page and the API listen, or the next free port above.
    pub(crate) port: u16,
}

/// Parses the words after `cargo xtask`.
pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut words: VecDeque<String> = words.collect();
    let command = words.pop_front().ok_or("no command given")?;
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return Ok(Command::Help);
    }
    match command.as_str() {
        "help" | "--help" | "-h" => Ok(Command::Help),
        "plugins" => plugins(words).map(Command::Plugins),
        "build" => none(&words).map(|()| Command::Build),
        "dist" => dist(words).map(Command::Dist),
        "ui" => none(&words).map(|()| Command::Ui),
        "demo" => demo(words).map(Command::Demo),
        "test" => test(words),
        "bench" => bench(words).map(Command::Bench),
        "corpus" => corpus(words).map(Command::Corpus),
        other => Err(format!("unknown command `{other}`")),
    }
}

fn dist(mut words: VecDeque<String>) -> Result<Dist, String> {
    let mut options = Dist::default();
    while let Some(word) = words.pop_front() {
        match word.as_str() {
            "--weir" => options.weir = Some(PathBuf::from(value(&word, &mut words)?)),
            "--to" => options.to = Some(PathBuf::from(value(&word, &mut words)?)),
            _ => return Err(format!("dist: unknown option `{word}`")),
        }
    }
    Ok(options)
}

fn plugins(mut words: VecDeque<String>) -> Result<Plugins, String> {
    let mut options = Plugins::default();
    while let Some(word) = words.pop_front() {
        match word.as_str() {
            "--path" => options.path = Some(PathBuf::from(value(&word, &mut words)?)),
            "--toolchain" => options.toolchain = Some(toolchain(&value(&word, &mut words)?)?),
            _ => return Err(format!("plugins: unknown option `{word}`")),
        }
    }
    Ok(options)
}

/// Also the form of the environment variable `WEIR_WASM_TOOLCHAIN`.
pub(crate) fn toolchain(name: &str) -> Result<ToolchainName, String> {
    match name {
        "rustup" => Ok(ToolchainName::Rustup),
        "debian" => Ok(ToolchainName::Debian),
        _ => Err(format!("toolchain `{name}`: expected `rustup` or `debian`")),
    }
}

fn demo(mut words: VecDeque<String>) -> Result<Demo, String> {
    let mut options = Demo { exit_after: None, port: 7650 };
    while let Some(word) = words.pop_front() {
        match word.as_str() {
            "--exit-after" => options.exit_after = Some(duration(&value(&word, &mut words)?)?),
            "--port" => {
                let text = value(&word, &mut words)?;
                options.port = text.parse().map_err(|_| format!("--port `{text}`: expected 1 to 65535"))?;
            }
            _ => return Err(format!("demo: unknown option `{word}`")),
        }
    }
    Ok(options)
}

fn bench(mut words: VecDeque<String>) -> Result<Bench, String> {
    let mut options = Bench::default();
    while let Some(word) = words.pop_front() {
        match word.as_str() {
            "--quick" => options.quick = true,
            "--victorialogs" => options.peers.victorialogs = Some(value(&word, &mut words)?),
            "--loki" => options.peers.loki = Some(value(&word, &mut words)?),
            "--gib" => options.gib = Some(gib(&value(&word, &mut words)?)?),
            "--weir" => options.weir = Some(PathBuf::from(value(&word, &mut words)?)),
            _ if word.starts_with('-') => return Err(format!("bench: unknown option `{word}`")),
            _ => options.only.push(word),
        }
    }
    Ok(options)
}

fn corpus(mut words: VecDeque<String>) -> Result<Corpus, String> {
    let (mut file, mut bytes, mut seed) = (None, corpus::BYTES, corpus::SEED);
    while let Some(word) = words.pop_front() {
        match word.as_str() {
            "--bytes" => bytes = number(&word, &value(&word, &mut words)?)?,
            "--seed" => seed = number(&word, &value(&word, &mut words)?)?,
            _ if word.starts_with('-') => return Err(format!("corpus: unknown option `{word}`")),
            _ if file.is_some() => return Err(format!("corpus: one file, not also `{word}`")),
            _ => file = Some(PathBuf::from(word)),
        }
    }
    Ok(Corpus { file: file.ok_or("corpus: needs a file to write to")?, bytes, seed })
}

fn test(words: VecDeque<String>) -> Result<Command, String> {
    let mut long = false;
    for word in words {
        match word.as_str() {
            "--long" => long = true,
            _ => return Err(format!("test: unknown option `{word}`")),
        }
    }
    Ok(Command::Test { long })
}

/// `10s`, `5m`, or bare seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (digits, seconds) = match text.as_bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        _ => (text, 1),
    };
    let count: u32 = digits.parse().map_err(|_| format!("`{text}`: expected a time such as 10s or 5m"))?;
    Ok(Duration::from_secs(u64::from(count) * seconds))
}

/// The size of a corpus: more than a disk of ours holds is a mistake.
fn gib(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(gib @ 1..=1024) => Ok(gib),
        _ => Err(format!("--gib `{text}`: expected 1 to 1024")),
    }
}

fn number(option: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{option} `{text}`: expected a number"))
}

fn value(option: &str, words: &mut VecDeque<String>) -> Result<String, String> {
    words.pop_front().ok_or_else(|| format!("{option}: needs a value"))
}

fn none(words: &VecDeque<String>) -> Result<(), String> {
    words.front().map_or(Ok(()), |word| Err(format!("unexpected `{word}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn commands_and_their_options_are_understood() {
        let demo = |seconds: Option<u64>, port| {
            Command::Demo(Demo { exit_after: seconds.map(Duration::from_secs), port })
        };
        for (line, expected) in [
            ("build", Command::Build),
            ("test", Command::Test { long: false }),
            ("test --long", Command::Test { long: true }),
            ("demo", demo(None, 7650)),
            ("demo --exit-after 10s --port 80", demo(Some(10), 80)),
            ("demo --exit-after 2m", demo(Some(120), 7650)),
            ("bench idle", Command::Bench(Bench { only: vec!["idle".into()], ..Bench::default() })),
            (
                "bench --quick idle --weir x seen",
                Command::Bench(Bench {
                    only: vec!["idle".into(), "seen".into()],
                    weir: Some("x".into()),
                    quick: true,
                    ..Bench::default()
                }),
            ),
            ("corpus x", Command::Corpus(Corpus { file: "x".into(), bytes: 1 << 30, seed: 1 })),
            ("corpus --bytes 9 --seed 8 x", Command::Corpus(Corpus { file: "x".into(), bytes: 9, seed: 8 })),
            (
                "bench --gib 2 --loki a --victorialogs b",
                Command::Bench(Bench {
                    gib: Some(2),
                    peers: Peers { victorialogs: Some("b".into()), loki: Some("a".into()) },
                    ..Bench::default()
                }),
            ),
            ("plugins", Command::Plugins(Plugins::default())),
            (
                "plugins --path x --toolchain debian",
                Command::Plugins(Plugins { path: Some("x".into()), toolchain: Some(ToolchainName::Debian) }),
            ),
            ("build --help", Command::Help),
        ] {
            assert_eq!(parsed(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, named) in [
            ("", "no command"),
            ("biuld", "biuld"),
            ("build now", "now"),
            ("demo --port 70000", "70000"),
            ("demo --exit-after soon", "soon"),
            ("demo --exit-after s", "`s`"),
            ("plugins --path", "--path"),
            ("plugins --toolchain gcc", "gcc"),
            ("test --longer", "--longer"),
            ("bench --fast", "--fast"),
            ("bench --weir", "--weir"),
            ("bench --gib 0", "`0`"),
            ("corpus", "a file"),
            ("corpus --bytes 1e9 x", "1e9"),
            ("corpus x y", "`y`"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
