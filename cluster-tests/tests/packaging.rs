//! What others install: the archive, the Debian package, the unit, the image and the manifests of Kubernetes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use weir_cluster_tests::process::{Node, get, weir, weir_bin};

fn packaging(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/packaging").join(path)
}

/// What a command prints; fails with what it says where it fails.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

/// `cargo xtask dist` with the binary that is tested; the folder that it fills.
fn dist(to: &Path) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = std::env::var_os("WEIR_XTASK").map_or_else(
        || {
            let mut cargo = Command::new("cargo");
            cargo.arg("xtask");
            cargo
        },
        Command::new,
    );
    let weir = std::fs::canonicalize(weir_bin())?;
    output(command.current_dir(root).args(["dist", "--weir"]).arg(weir).arg("--to").arg(to)).map(drop)
}

fn file(dir: &Path, ending: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
    let found =
        entries.iter().map(std::fs::DirEntry::path).find(|path| path.display().to_string().ends_with(ending));
    found.with_context(|| format!("no {ending} in {entries:?}"))
}

#[test]
fn the_package_installs_a_node_whose_configuration_is_right() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (made, root) = (dir.path().join("dist"), dir.path().join("root"));
    dist(&made)?;
    output(Command::new("sha256sum").current_dir(&made).args(["--check", "--strict", "SHA256SUMS"]))?;
    let deb = file(&made, ".deb")?;
    let control = output(Command::new("dpkg-deb").arg("-I").arg(&deb))?;
    for field in
        ["Package: weir", "Version: 0.", "Depends: libc6", "conffiles", "postinst", "prerm", "postrm"]
    {
        ensure!(control.contains(field), "{field} in {control}");
    }
    ensure!(!control.contains('@') || control.matches('@').count() == 1, "{control}");
    let content = output(Command::new("dpkg-deb").arg("-c").arg(&deb))?;
    for (line, of) in [
        ("-rwxr-xr-x root/root", "./usr/bin/weir"),
        ("-rw-r--r-- root/root", "./usr/lib/systemd/system/weir.service"),
        ("-rw-r----- root/root", "./etc/weir/weir.toml"),
        ("-rw-r--r-- root/root", "./usr/share/man/man1/weir-run.1.gz"),
        ("-rw-r--r-- root/root", "./usr/share/bash-completion/completions/weir"),
        ("drwxr-xr-x root/root", "./etc/weir/conf.d/"),
    ] {
        let found = content.lines().any(|it| it.starts_with(line) && it.ends_with(of));
        ensure!(found, "{line} {of} in {content}");
    }

    output(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&root))?;
    let controls = dir.path().join("controls");
    output(Command::new("dpkg-deb").arg("-e").arg(&deb).arg(&controls))?;
    output(
        Command::new("md5sum")
            .current_dir(&root)
            .args(["--check", "--strict", "--quiet"])
            .arg(controls.join("md5sums")),
    )?;
    for script in ["postinst", "prerm", "postrm"] {
        output(Command::new("sh").arg("-n").arg(controls.join(script)))?;
    }
    for listed in std::fs::read_to_string(controls.join("conffiles"))?.lines() {
        ensure!(root.join(listed.trim_start_matches('/')).is_file(), "{listed} is in the package");
    }
    // What was installed runs as it is configured, but for where its data lies and what it listens on.
    let installed = root.join("usr/bin/weir");
    output(Command::new(&installed).args(["config", "check", "-c"]).arg(root.join("etc/weir")))?;
    let mut command = Command::new(&installed);
    command.args(["run", "-c"]).arg(root.join("etc/weir")).arg("--data-dir").arg(dir.path().join("data"));
    for port in ["api", "fast", "durable"] {
        command.args(["--set", &format!("listen.{port}=127.0.0.1:0")]);
    }
    let mut node = Node::spawn(command)?;
    node.wait_ready()?;
    let healthy = |arg: &str| weir(&["healthcheck", arg, "--node", &node.url("")]).output();
    ensure!(healthy("--ready")?.status.success() && healthy("--live")?.status.success());
    let url = node.url("");
    ensure!(node.terminate()? == 0);
    let output = weir(&["healthcheck", "--node", &url]).output()?;
    ensure!(output.status.code() == Some(1), "a node that is gone is not ready");

    let archive = file(&made, ".tar.gz")?;
    let listed = self::output(Command::new("tar").arg("-tzf").arg(&archive))?;
    for path in ["/weir", "/weir.toml", "/LICENSE", "/docs/OPERATIONS.md", "/packaging/systemd/weir.service"]
    {
        ensure!(listed.lines().any(|line| line.ends_with(path)), "{path} in {listed}");
    }
    Ok(())
}

#[test]
fn the_unit_fits_what_a_node_does() -> Result<()> {
    let unit = std::fs::read_to_string(packaging("systemd/weir.service"))?;
    let value = |key: &str| {
        unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
    };
    let seconds = |key: &str| value(key).trim_end_matches('s').parse::<u64>();
    ensure!(value("Type") == "notify", "the node tells when it is ready");
    let limit = weir_record::limits::STOP_MS_MAX / 1000;
    ensure!(seconds("TimeoutStopSec")? > limit, "it may drain to the end");
    let stall_ms = weir_record::limits::HEART_LOOK_MS * u64::from(weir_record::limits::HEART_LOOKS_MAX);
    ensure!(seconds("WatchdogSec")? * 1000 > 2 * stall_ms, "a stall is told before the node is ended for it");
    ensure!(value("RestartPreventExitStatus") == "78", "a wrong configuration is not tried again and again");
    let has_analyze = Command::new("systemd-analyze").arg("--version").output().is_ok();
    if has_analyze {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("weir.service");
        // It looks for the program, and for the page of the manual.
        let here = unit.replace("/usr/bin/weir", "/bin/true").replace("Documentation=man:weir(1)\n", "");
        std::fs::write(&path, here)?;
        let verified = Command::new("systemd-analyze").arg("verify").arg(&path).output()?;
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        ensure!(!said.contains("weir.service"), "{said}");
        let offline = ["security", "--offline=true", "--threshold=25"];
        output(Command::new("systemd-analyze").args(offline).arg(&path))?;
    }
    Ok(())
}

#[test]
fn the_manifests_are_yaml_and_what_they_configure_is_right() -> Result<()> {
    let path = packaging("kubernetes/weir.yaml");
    let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let json = output(Command::new("python3").args(["-c", script]).arg(&path))
        .context("python3 with yaml; cargo xtask test installs it")?;
    let documents: Vec<serde_json::Value> = serde_json::from_str(&json)?;
    let of = |kind: &str| documents.iter().find(|it| it["kind"] == kind).with_context(|| kind.to_owned());
    for kind in ["ConfigMap", "Service", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy"] {
        of(kind)?;
    }
    let pod = &of("StatefulSet")?["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let grace = pod["terminationGracePeriodSeconds"].as_u64().context("a grace period")?;
    let before = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().context("a pause")?;
    ensure!(grace > before + weir_record::limits::STOP_MS_MAX / 1000, "{grace} s are too few to drain");

    let dir = tempfile::tempdir()?;
    let config = of("ConfigMap")?["data"]["weir.toml"].as_str().context("a configuration")?;
    let file = dir.path().join("weir.toml");
    std::fs::write(&file, config)?;
    let check = |file: &Path| {
        let mut command = weir(&["config", "check", "-c"]);
        output(command.arg(file).env("POD_IP", "10.0.0.1").env("NODE_NAME", "worker-1"))
    };
    check(&file)?;
    check(&packaging("docker/weir.container.toml"))?;
    check(&packaging("weir.toml"))?;

    // The probes ask what a node answers.
    let data = dir.path().join("data").display().to_string();
    let mut command = weir(&["run", "--data-dir", &data]);
    for port in ["api", "fast", "durable"] {
        command.args(["--set", &format!("listen.{port}=127.0.0.1:0")]);
    }
    let mut node = Node::spawn(command)?;
    node.wait_ready()?;
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let path = container[probe]["httpGet"]["path"].as_str().with_context(|| probe.to_owned())?;
        ensure!(get(&node.url(path))?.0 == 200, "{probe}: {path}");
    }
    let image = std::fs::read_to_string(packaging("docker/Dockerfile"))?;
    ensure!(image.contains("\"/usr/bin/weir\", \"healthcheck\"") && image.contains("USER 65532"), "{image}");
    Ok(())
}
