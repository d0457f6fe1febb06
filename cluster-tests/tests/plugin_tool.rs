//! `weir plugin new`, `build`, `check`, `test`, `run`, `bench`: as somebody uses them who writes a plugin, outside of
//! any checkout.

#[path = "plugin_tool/messages.rs"]
mod messages;
#[path = "plugin_tool/page.rs"]
mod page;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::{run_with_input, weir};

/// `weir plugin …` in a folder, with an environment in which plugins are built where others were before.
fn plugin(dir: &Path, args: &[&str]) -> Result<Output> {
    let mut command = weir(&[&["plugin"], args].concat());
    command.current_dir(dir).env("CARGO_TARGET_DIR", guest_target());
    command.output().with_context(|| format!("start weir plugin {args:?}"))
}

/// Where plugins are compiled: std for wasm may have to be, once.
fn guest_target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guest")
}

/// What a command says that ends well.
fn said(output: &Output) -> Result<String> {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{}: {out}{err}", output.status);
    Ok(out.into_owned())
}

/// A new project, built.
fn built(dir: &Path, kind: &str, name: &str) -> Result<PathBuf> {
    said(&plugin(dir, &["new", kind, name])?)?;
    let project = dir.join(name);
    let component = said(&plugin(&project, &["build"])?)?;
    ensure!(Path::new(component.trim()).is_file(), "{component}");
    Ok(project)
}

#[test]
fn every_kind_of_project_builds_and_passes_as_it_is_made() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for (kind, name, params) in [
        ("filter", "tool-filter", r#"{"text":"error"}"#),
        ("rewrite", "tool-rewrite", r#"{"text":"user"}"#),
        ("aggregate", "tool-aggregate", r#"{"by":["status"]}"#),
        ("source", "tool-source", ""),
    ] {
        let project = built(dir.path(), kind, name)?;
        let args: &[&str] = if params.is_empty() { &["check"] } else { &["check", "--params", params] };
        let checked = said(&plugin(&project, args)?)?;
        ensure!(checked.contains(&format!("{kind}-plugin of weir:plugin ")), "{checked}");
        ensure!(!checked.contains("wrong") && !checked.contains("doubtful"), "{checked}");
        if kind != "source" {
            let tested = said(&plugin(&project, &["test"])?)?;
            ensure!(tested.ends_with(" passed, 0 failed\n"), "{tested}");
            let figures = said(&plugin(&project, &["bench", "--params", params, "--seconds", "0"])?)?;
            ensure!(figures.contains("ns/record"), "{figures}");
        }
    }
    Ok(())
}

/// The compilers of both come from their registries.
#[test]
fn filters_in_javascript_and_python_build_and_pass_as_they_are_made() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for lang in ["js", "python"] {
        let name = format!("in-{lang}");
        said(&plugin(dir.path(), &["new", "filter", &name, "--lang", lang])?)?;
        let project = dir.path().join(&name);
        let component = said(&plugin(&project, &["build"])?)?;
        ensure!(Path::new(component.trim()).is_file(), "{component}");
        let checked = said(&plugin(&project, &["check", "--params", r#"{"text":"error"}"#])?)?;
        ensure!(checked.contains("filter-plugin of weir:plugin "), "{checked}");
        ensure!(!checked.contains("wrong") && !checked.contains("wasi"), "{checked}");
        let tested = said(&plugin(&project, &["test"])?)?;
        ensure!(tested.ends_with("2 passed, 0 failed\n"), "{tested}");
    }
    Ok(())
}

#[test]
fn lines_go_through_standard_filters_as_in_a_query() -> Result<()> {
    let input = b"path=/a status=200\npath=/b status=500\npath=/a status=500\n";
    for (args, expected) in [
        (&["grep", "--params", r#"{"patterns":["500"]}"#][..], "path=/b status=500\npath=/a status=500\n"),
        (&["where", "--params", r#"{"condition":"status<500"}"#], "path=/a status=200\n"),
        (
            &["count", "--params", r#"{"by":["path"]}"#],
            "{\"path\":\"/a\",\"count\":2}\n{\"path\":\"/b\",\"count\":1}\n",
        ),
        (
            &["count", "--params", r#"{"by":["topic","host"]}"#, "--topic", "shop", "--label", "host=web1"],
            "{\"topic\":\"shop\",\"host\":\"web1\",\"count\":3}\n",
        ),
        (
            &["redact", "--params", r#"{"what":["/path=(.)/"]}"#],
            "path=[redacted]a status=200\npath=[redacted]b status=500\npath=[redacted]a status=500\n",
        ),
    ] {
        let output = run_with_input(&[&["plugin", "run"], args].concat(), input)?;
        ensure!(said(&output)? == expected, "{args:?}: {output:?}");
    }
    Ok(())
}

#[test]
fn every_standard_filter_passes_its_check() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for (name, params) in [
        ("count", r#"{"by":["level","status"]}"#),
        ("dedup", "{}"),
        ("fields", r#"{"fields":["status","level"]}"#),
        ("grep", r#"{"patterns":["error","/took_ms\":[0-9]+/"]}"#),
        ("patterns", "{}"),
        ("redact", r#"{"what":["email","card","token"]}"#),
        ("sample", r#"{"share":0.5}"#),
        ("stats", r#"{"field":"status","by":["level"]}"#),
        ("top", r#"{"by":["status"]}"#),
        ("where", r#"{"condition":"status>=404"}"#),
    ] {
        let checked = said(&plugin(dir.path(), &["check", name, "--params", params])?)?;
        ensure!(!checked.contains("doubtful") && !checked.contains("not tried"), "{name}: {checked}");
    }
    Ok(())
}

#[test]
fn figures_come_with_the_native_equivalent_where_there_is_one() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let args = [
        "bench",
        "grep",
        "--params",
        r#"{"patterns":["/timeout after [0-9]+ ms/"]}"#,
        "--seconds",
        "0",
        "--json",
    ];
    let figures: serde_json::Value = serde_json::from_str(&said(&plugin(dir.path(), &args)?)?)?;
    for name in ["record_ns", "native_record_ns", "open_us", "memory_bytes", "asked_share", "native_found"] {
        ensure!(figures[name].as_f64().is_some_and(|figure| figure > 0.0), "{name}: {figures}");
    }
    ensure!(figures["partial_bytes"].is_null(), "{figures}");
    Ok(())
}

/// A shell command that ends, in a folder.
fn bash(dir: &Path, before: &[&str], script: &str) -> Result<Output> {
    let bin = weir_cluster_tests::process::weir_bin().canonicalize()?;
    let bin = bin.parent().context("weir lies in a folder")?;
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let (program, rest) = before.split_first().map_or(("bash", &[][..]), |(program, rest)| (*program, rest));
    let mut command = Command::new(program);
    command.args(rest);
    if !before.is_empty() {
        command.arg("bash");
    }
    command.args(["-e", "-c", script]).current_dir(dir).env("PATH", path);
    command.env("NO_COLOR", "1").env_remove("RUST_LOG").env("CARGO_TARGET_DIR", guest_target());
    command.output().context("start bash")
}
