//! The effective settings as they are shown.

use super::*;

#[test]
fn the_effective_settings_are_toml_with_their_origin_and_without_secrets() {
    let overlays = [Overlay::parse("--set", "storage.full_at=90%").unwrap()];
    let text = r#"
        [sources.orders]
        plugin = "file-source"
        topic = "${TOPIC}"
        labels = { env = "prod" }
        grants.amqp.main = { uri = "amqp://log:${RMQ_PASSWORD}@mq1/prod", prefetch = "${PREFETCH}" }
        grants.amqp.other = { uri = "plain secret" }
        grants.files.logs = { include = ["/a/*.log"] }
        config = { prefix = "x", db_password = "y", url = "http://u:p@h/", key = "${RMQ_PASSWORD}", n = 1.5 }
        [retention]
        rules = [{ topic = "debug", age = "24h" }]
    "#;
    let shown = load_with(text.as_bytes(), &overlays).shown;
    for want in [
        "[node]\nroles = [\"ingest\", \"store\", \"query\", \"forward\"]  # default\ndata_dir = \"/home/op/weir-data\"  # default\n",
        "\n[storage]\nfull_at = \"90%\"  # --set\n",
        "rules = [{ topic = \"debug\", age = \"1d\" }]  # weir.toml:11:17\n",
        "\n[sources.orders]\n",
        "topic = \"from-env\"  # weir.toml:4:17\n",
        "config = { db_password = \"***\", key = \"${RMQ_PASSWORD}\", n = 1.5, prefix = \"x\", url = \"http://u:***@h/\" }",
        "\n[sources.orders.labels]\nenv = \"prod\"",
        "\n[sources.orders.grants.amqp.main]\nuri = \"amqp://log:***@mq1/prod\"",
        "prefetch = 300",
        "\n[sources.orders.grants.amqp.other]\nuri = \"***\"",
        "\n[sources.orders.grants.files.logs]\ninclude = [\"/a/*.log\"]",
    ] {
        assert!(shown.contains(want), "{want:?} is not in:\n{shown}");
    }
    assert!(!shown.contains("s3cret"), "{shown}");
    toml::from_str::<toml::Table>(&shown).unwrap();
}

#[test]
fn what_is_shown_loads_to_the_same_configuration() {
    let text = r#"
        [sources.a]
        plugin = "file-source"
        labels = { "k.z" = "\"q\"" }
        grants.files.l = { include = ["/x"], exclude = ["*.gz"] }
        [plugins.p]
        path = "p.wasm"
        limits.call = "50s"
    "#;
    let first = load_with(text.as_bytes(), &[]);
    let again = load_with(first.shown.as_bytes(), &[]);
    assert_eq!(lines(&again), Vec::<String>::new(), "{}", first.shown);
    let strip = |loaded: Loaded| {
        let mut config = loaded.config.unwrap();
        config.sources.iter_mut().for_each(|source| source.place.clear());
        config.plugins.iter_mut().for_each(|plugin| plugin.place.clear());
        config
    };
    assert_eq!(strip(first), strip(again));
}
