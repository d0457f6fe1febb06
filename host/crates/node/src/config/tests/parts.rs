//! Several files as one configuration.

use super::*;

fn load_parts(file: Option<&str>, parts: &[(&str, &str)]) -> Loaded {
    let parts: Vec<ConfigFile<'_>> = parts
        .iter()
        .map(|(name, text)| ConfigFile { name, dir: Path::new("/etc/weir"), bytes: text.as_bytes() })
        .collect();
    load(&Input {
        file: file.map(|text| ConfigFile {
            name: "weir.toml",
            dir: Path::new("/etc/weir"),
            bytes: text.as_bytes(),
        }),
        parts: &parts,
        overlays: &[],
        env: &env,
        working_dir: Path::new("/home/op"),
        embedded: &["file-source"],
    })
}

const SOURCE: &str = "[sources.a]\nplugin = \"file-source\"\ngrants.files.logs = { include = [\"a.log\"] }\n";

#[test]
fn later_files_win_key_by_key_and_lists_as_a_whole() {
    let loaded = load_parts(
        Some(
            "[node]\nroles = [\"ingest\", \"store\", \"query\"]\ndata_dir = \"data\"\n[retention]\nage = \"3d\"\n",
        ),
        &[
            ("conf.d/10.toml", SOURCE),
            ("conf.d/20.toml", "node.roles = [\"ingest\"]\nretention.age = \"2d\"\n"),
        ],
    );
    assert_eq!(lines(&loaded), Vec::<String>::new());
    let config = loaded.config.unwrap();
    assert!(config.roles.ingest && !config.roles.store && !config.roles.query);
    assert_eq!(config.data_dir, Path::new("/etc/weir/data"));
    assert_eq!(config.retention.age_ms, Some(2 * 86_400_000));
    assert_eq!(config.sources[0].grants.files["logs"].include, ["/etc/weir/a.log"]);
    assert!(loaded.shown.contains("age = \"2d\"  # conf.d/20.toml:2:17"), "{}", loaded.shown);
}

#[test]
fn parts_alone_are_a_configuration_and_each_mistake_names_its_file() {
    assert_eq!(load_parts(None, &[("conf.d/a.toml", SOURCE)]).config.unwrap().sources.len(), 1);
    let loaded = load_parts(
        Some("[nod]\n"),
        &[("conf.d/a.toml", "[storage]\nfull_at = 7\n"), ("conf.d/b.toml", "[query\n")],
    );
    let told = lines(&loaded);
    assert!(loaded.config.is_none());
    // What is no TOML is told first, and of all files.
    assert!(told.iter().any(|line| line.starts_with("conf.d/b.toml:1:")), "{told:?}");
    let loaded = load_parts(Some("[nod]\n"), &[("conf.d/a.toml", "[storage]\nfull_at = 7\n")]);
    let told = lines(&loaded);
    assert!(told.iter().any(|line| line.starts_with("weir.toml:1:2: nod: ")), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("conf.d/a.toml:2:11: storage.full_at: ")), "{told:?}");
}

#[test]
fn a_table_gives_way_to_what_is_none_and_the_other_way_round() {
    let told = lines(&load_parts(Some("[storage]\nfull_at = \"90%\"\n"), &[("a.toml", "storage = 7\n")]));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("a.toml:1:"), "{told:?}");
}
