//! Settings from the command line.

use super::*;

fn set(arguments: &[&str]) -> Loaded {
    let overlays: Vec<Overlay> =
        arguments.iter().map(|argument| Overlay::parse("--set", argument).unwrap()).collect();
    load_with(b"[sources.a]\nplugin = \"file-source\"\n", &overlays)
}

#[test]
fn values_are_toml_or_text_and_win_over_the_file() {
    let loaded = set(&[
        "listen.api=127.0.0.1:8000",
        "node.data_dir=data",
        "sources.a.topic=7",
        "sources.a.plugin = stdin-source",
        "sources.a.labels={ x = \"y\" }",
        "sources.a.labels.\"k.z\"=true",
        "sources.a.grants.files.logs.include=[\"l/*.log\"]",
        "sources.a.config.n=7",
        "storage.full_at=90%",
    ]);
    assert_eq!(lines(&loaded), Vec::<String>::new());
    let config = loaded.config.unwrap();
    assert_eq!(config.listen.api, Some("127.0.0.1:8000".parse().unwrap()));
    // Paths of flags are taken from the working directory, not from the file's.
    assert_eq!(config.data_dir, Path::new("/home/op/data"));
    assert_eq!(format!("{:?}", config.sources[0].stream), "topic=7 k.z=true x=y");
    assert_eq!(config.sources[0].grants.files["logs"].include, ["/home/op/l/*.log"]);
    assert_eq!(config.sources[0].config.to_string(), r#"{"n":7}"#);
    assert_eq!(config.storage.full_at_percent, 90);
}

#[test]
fn problems_name_the_flag() {
    let cases: &[(&str, &str)] = &[
        (
            "listen.apu=x",
            "--set: listen.apu: expected one of api, fast, durable, insecure, got an unknown key; did you mean `api`?",
        ),
        (
            "storage.full_at=much",
            "--set: storage.full_at: expected a whole percentage from \"1%\" to \"100%\", got \"much\"",
        ),
        (
            "sources.a.plugin.x=1",
            "--set: sources.a.plugin: expected a table to set x in, got \"file-source\"",
        ),
        (
            "node.data_dir=${NOPE}",
            "--set: node.data_dir: expected the environment variable NOPE to be set; set it or write ${NOPE:-default}",
        ),
        (
            "listen.api=0.0.0.0:1",
            "--set: listen.api: expected a loopback address such as 127.0.0.1:1, got 0.0.0.0:1, which other machines may reach: that needs [tls] and [auth], or this line in [listen]: insecure = \"yes, I mean it\"",
        ),
    ];
    for (argument, want) in cases {
        assert_eq!(lines(&set(&[argument])), [*want], "{argument}");
    }
}

#[test]
fn arguments_that_are_no_settings_are_refused() {
    for (argument, want) in [
        ("listen.api", "expected key=value"),
        ("=x", "expected a dotted key"),
        ("a..b=1", "expected a dotted key"),
        ("a b=1", "expected a dotted key"),
        ("[a]=1", "expected a dotted key"),
        ("a\nb=1", "expected a dotted key"),
    ] {
        let error = Overlay::parse("--set", argument).unwrap_err();
        assert!(error.starts_with(want), "{argument}: {error}");
    }
}

#[test]
fn flags_of_their_own_are_taken_as_they_are() {
    let overlays = [Overlay::exact("--data-dir", &["node", "data_dir"], serde_json::json!("${TOPIC}"))];
    let config = load_with(b"", &overlays).config.unwrap();
    assert_eq!(config.data_dir, Path::new("/home/op/${TOPIC}"));
}

#[test]
fn settings_of_a_source_can_be_named_from_the_source_on() {
    let set = |argument| Overlay::parse("--set", argument).unwrap().within_source("a");
    let loaded = load_with(
        b"[sources.a]\nplugin = \"file-source\"\n",
        &[set("grants.files.logs.include=[\"/l\"]"), set("config.n=1"), set("storage.full_at=80%")],
    );
    assert_eq!(lines(&loaded), Vec::<String>::new());
    let config = loaded.config.unwrap();
    assert_eq!(config.sources[0].grants.files["logs"].include, ["/l"]);
    assert_eq!(config.sources[0].config.to_string(), r#"{"n":1}"#);
    assert_eq!(config.storage.full_at_percent, 80);
}
