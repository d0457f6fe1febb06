//! Stack traces of five languages, each as its runtime prints them.
//!
//! A trace is a group of its own: it begins with its first line, not with the log line before it, unless its
//! runtime prints it below that line (Java's frames).

use weir_plugin_sdk::serde::Deserialize;

use crate::frame::rules::Verdict;

/// A language whose traces are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", rename_all = "lowercase")]
pub(crate) enum Language {
    /// Everything on the JVM.
    Java,
    /// `CPython`'s, chained ones included.
    Python,
    /// Panics with their goroutines.
    Go,
    /// Panics with and without a backtrace.
    Rust,
    /// In either order.
    Ruby,
}

/// What the line before was in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Trace {
    /// Not in one that has to be remembered.
    #[default]
    None,
    /// Below `Traceback (most recent call last):`; the first line that is not indented is the exception.
    Frames,
    /// The exception: another traceback may be chained to it.
    Exception,
    /// The words that chain one.
    Chained,
    /// Within a panic of Go.
    Go,
    /// The first line of a panic of Rust: its message is next.
    RustHead,
    /// Within a panic of Rust.
    Rust,
}

/// What `line` is after a line of which `before` was made.
pub(crate) fn judge(languages: &[Language], before: Trace, line: &[u8]) -> Verdict {
    if let Some(trace) = goes_on_with(before, line) {
        return Verdict::GoesOn(trace);
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    for language in languages {
        let verdict = match language {
            Language::Java => java(line),
            Language::Python => python(line),
            Language::Go => go(line),
            Language::Rust => rust(line),
            Language::Ruby => ruby(line),
        };
        if let Some(verdict) = verdict {
            return verdict;
        }
    }
    Verdict::Begins(Trace::None)
}

/// Lines that only what stands before them makes part of a trace.
fn goes_on_with(before: Trace, line: &[u8]) -> Option<Trace> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let indented = line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    match before {
        Trace::None => None,
        Trace::Frames if indented => Some(Trace::Frames),
        Trace::Frames if line.is_empty() => None,
        Trace::Frames => Some(Trace::Exception),
        Trace::Exception if line.is_empty() => Some(Trace::Exception),
        Trace::Exception => chains(line).then_some(Trace::Chained),
        Trace::Chained if line.is_empty() => Some(Trace::Chained),
        Trace::Chained => is_traceback(line).then_some(Trace::Frames),
        Trace::Go => is_in_go_panic(line).then_some(Trace::Go),
        Trace::RustHead => Some(Trace::Rust),
        Trace::Rust => {
            (indented || line.starts_with(b"note: ") || line == b"stack backtrace:").then_some(Trace::Rust)
        }
    }
}

fn java(line: &[u8]) -> Option<Verdict> {
    let text = line.trim_ascii_start();
    let indented = text.len() < line.len();
    let frame = text.starts_with(b"at ") || text.starts_with(b"... ") || text.starts_with(b"Suppressed: ");
    let cause = text.starts_with(b"Caused by: ") || text.starts_with(b"[CIRCULAR REFERENCE");
    if indented && frame || cause {
        return Some(Verdict::GoesOn(Trace::None));
    }
    // `Exception in thread "main" a.b.CException: why`, or without the thread.
    let name = match line.strip_prefix(&b"Exception in thread \""[..]) {
        Some(rest) => &rest[memchr::memchr(b'"', rest)? + 1..],
        None => line,
    };
    let name = name.strip_prefix(b" ").unwrap_or(name);
    let end = name.iter().position(|byte| !is_name(*byte) && *byte != b'.').unwrap_or(name.len());
    let name = &name[..end];
    let is_exception = [&b"Exception"[..], b"Error", b"Throwable"].iter().any(|end| name.ends_with(end));
    (is_exception && name.contains(&b'.') && !indented).then_some(Verdict::Begins(Trace::None))
}

fn python(line: &[u8]) -> Option<Verdict> {
    is_traceback(line).then_some(Verdict::Begins(Trace::Frames))
}

fn chains(line: &[u8]) -> bool {
    line.starts_with(b"During handling of the above exception, ")
        || line.starts_with(b"The above exception was the direct cause ")
}

fn is_traceback(line: &[u8]) -> bool {
    line == b"Traceback (most recent call last):"
        || line.trim_ascii_start() == b"+ Exception Group Traceback (most recent call last):"
}

fn go(line: &[u8]) -> Option<Verdict> {
    let begins = line.starts_with(b"panic: ") || line.starts_with(b"fatal error: ");
    begins.then_some(Verdict::Begins(Trace::Go))
}

fn is_in_go_panic(line: &[u8]) -> bool {
    line.is_empty()
        || line.starts_with(b"\t")
        || line.starts_with(b"goroutine ")
        || line.starts_with(b"created by ")
        || line.starts_with(b"[signal ")
        || line.starts_with(b"exit status ")
        || line.starts_with(b"runtime stack:")
        || line == b"...additional frames elided..."
        || is_go_call(line)
}

/// `main.(*T).f(0xc000, {0x1, 0x2})`.
fn is_go_call(line: &[u8]) -> bool {
    let Some(open) = memchr::memchr(b'(', line) else { return false };
    line.ends_with(b")") && line[..open].contains(&b'.') && !line[..open].contains(&b' ')
}

fn rust(line: &[u8]) -> Option<Verdict> {
    let rest = line.strip_prefix(&b"thread '"[..])?;
    memchr::memmem::find(rest, b" panicked at ")?;
    // Since 1.73 the message has a line of its own.
    let trace = if line.ends_with(b":") { Trace::RustHead } else { Trace::Rust };
    Some(Verdict::Begins(trace))
}

fn ruby(line: &[u8]) -> Option<Verdict> {
    let text = line.trim_ascii_start();
    let indented = text.len() < line.len();
    // `2: from a.rb:1:in 'f'` counts the frames down to the exception.
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let numbered = digits > 0 && text[digits..].starts_with(b": from ");
    if indented && (text.starts_with(b"from ") || numbered) {
        // Only below frames that are counted down stands the exception.
        return Some(Verdict::GoesOn(if numbered { Trace::Frames } else { Trace::None }));
    }
    if line == b"Traceback (most recent call last):" {
        return Some(Verdict::Begins(Trace::Frames));
    }
    let at = memchr::memmem::find(line, b".rb:")? + 4;
    let digits = line[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let within = line[at + digits..].starts_with(b":in ");
    (digits > 0 && within && !indented && line.ends_with(b")")).then_some(Verdict::Begins(Trace::None))
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of the lines of a text, by the rules of all languages.
    fn groups(text: &str) -> Vec<String> {
        let all = [Language::Java, Language::Python, Language::Go, Language::Rust, Language::Ruby];
        let mut groups: Vec<String> = Vec::new();
        let mut trace = Trace::None;
        for line in text.lines() {
            let verdict = judge(&all, trace, line.as_bytes());
            trace = verdict.trace();
            match (verdict, groups.last_mut()) {
                (Verdict::GoesOn(_), Some(group)) => {
                    group.push('\n');
                    group.push_str(line);
                }
                _ => groups.push(line.into()),
            }
        }
        groups
    }

    /// Each text is one group, also between ordinary lines and beside another one.
    fn check(traces: &[&str]) {
        let plain = ["2026-01-02 03:04:05 INFO started (ok)", "{\"level\":\"error\"}", "a.b(c) said: no"];
        for trace in traces {
            for line in plain {
                assert_eq!(groups(&format!("{line}\n{trace}\n{line}")), [line, *trace, line]);
            }
            assert_eq!(groups(&format!("{trace}\n{trace}")).concat().len(), 2 * trace.len());
        }
    }

    #[test]
    fn traces_of_java_are_whole() {
        check(&[
            "java.lang.IllegalStateException: broken\n\tat com.example.A.f(A.java:10)\n\tat com.example.A.main(A.java:3)\nCaused by: java.io.IOException: disk\n\tat com.example.B.g(B.java:7)\n\t... 2 more",
            "Exception in thread \"main\" java.lang.OutOfMemoryError\n\tat a.B.c(Unknown Source)\n\tSuppressed: x.YException: z\n\t\tat a.B.d(B.java:1)",
        ]);
        let below = "2026-01-02 ERROR failed: x.YException: z\n\tat a.B.d(B.java:1)";
        assert_eq!(groups(below), [below]);
    }

    #[test]
    fn traces_of_python_are_whole() {
        check(&[
            "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    f()\n    ~^^\nValueError: no",
            "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nKeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"a.py\", line 3, in g\nRuntimeError",
        ]);
    }

    #[test]
    fn panics_of_go_are_whole() {
        check(&[
            "panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\nmain.(*T).f(...)\n\t/src/a.go:10 +0x1d\nmain.main()\n\t/src/a.go:5 +0x20\nexit status 2",
            "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\t/src/a.go:5 +0x20\n\ngoroutine 5 [select]:\nnet/http.(*Server).Serve(0xc000, {0x1, 0x2})\n\t/src/b.go:1 +0x1\ncreated by main.main in goroutine 1\n\t/src/a.go:4 +0x3",
        ]);
    }

    #[test]
    fn panics_of_rust_are_whole() {
        check(&[
            "thread 'main' panicked at src/main.rs:2:5:\nassertion `left == right` failed\n  left: 1\n right: 2\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            "thread 'worker' (4711) panicked at src/main.rs:2:5:\nboom\nstack backtrace:\n   0: std::panicking::begin_panic\n             at /rustc/x/library/std/src/panicking.rs:1:1\n   1: main\nnote: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.",
            "thread 'main' panicked at 'old style', src/main.rs:2:5\nnote: run with `RUST_BACKTRACE=1`",
        ]);
    }

    #[test]
    fn traces_of_ruby_are_whole() {
        check(&[
            "a.rb:3:in `f': broken (RuntimeError)\n\tfrom a.rb:7:in `g'\n\tfrom a.rb:9:in `<main>'",
            "Traceback (most recent call last):\n\t1: from a.rb:9:in `<main>'\na.rb:3:in `f': broken (RuntimeError)",
        ]);
    }
}
