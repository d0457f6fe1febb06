//! Configurations that are right, and what they resolve to.

use super::*;

#[test]
fn the_configuration_of_the_contract_has_no_error() {
    let loaded = load_with(EVERYTHING.as_bytes(), &[]);
    let told: Vec<(Gravity, &str)> =
        loaded.problems.iter().map(|problem| (problem.gravity, problem.path.as_str())).collect();
    assert_eq!(
        told,
        [(Gravity::Refused, "forward.to"), (Gravity::Refused, "forward.to"), (Gravity::Refused, "tls"),]
    );
    assert!(loaded.config.is_none());
}

#[test]
fn an_empty_file_and_no_file_are_the_documented_defaults() {
    let no_file = Input {
        file: None,
        overlays: &[],
        env: &env,
        working_dir: Path::new("/home/op"),
        embedded: &["file-source"],
    };
    let loaded = load(&no_file);
    assert_eq!(lines(&loaded), Vec::<String>::new());
    let defaults = loaded.config.unwrap();
    assert_eq!(config(""), defaults);
    assert_eq!(defaults.roles, Roles { ingest: true, store: true, query: true, forward: true });
    assert_eq!(defaults.data_dir, Path::new("/home/op/weir-data"));
    assert_eq!(defaults.listen.api, Some("127.0.0.1:7650".parse().unwrap()));
    assert_eq!(defaults.listen.fast, Some("127.0.0.1:7651".parse().unwrap()));
    assert_eq!(defaults.listen.durable, Some("127.0.0.1:7652".parse().unwrap()));
    assert_eq!(defaults.storage.full_at_percent, 95);
    assert_eq!(defaults.query.timeout_ms, Some(3_600_000));
    assert_eq!(config("query.timeout = \"unlimited\"").query.timeout_ms, None);
    assert_eq!(defaults.storage.resume_at_percent, 93);
    assert_eq!(defaults.storage.piece_bytes, weir_record::limits::PIECE_BYTES_DEFAULT);
    assert_eq!(
        defaults.retention,
        Retention { age_ms: Some(7 * 86_400_000), bytes: None, rules: Vec::new() }
    );
    assert!(!defaults.oklog_consumers && defaults.oklog_ingesters.is_empty());
    let consuming = config("oklog.ingesters = [\"http://a:7650\", \"http://b\", \"http://a:7650\"]");
    assert_eq!(consuming.oklog_ingesters, ["http://a:7650", "http://b"]);
    assert!(config("node.roles = [\"ingest\"]\noklog.consumers = true").oklog_consumers);
    assert_eq!((defaults.forward_to.len(), defaults.sources.len(), defaults.plugins.len()), (0, 0, 0));
}

#[test]
fn a_node_with_gossip_needs_no_peers_and_may_have_some() {
    let config = config(
        r#"
        node.roles = ["store"]
        [cluster]
        name = "prod"
        gossip = "127.0.0.1:7659"
        advertise = "node-1.example"
        join = ["node-2.example:7659", "10.0.0.6:7659"]
        peers = ["http://a:7650"]
        "#,
    );
    let gossip = Gossip {
        bind: "127.0.0.1:7659".parse().unwrap(),
        name: "prod".into(),
        advertise: Some("node-1.example".into()),
        join: vec!["node-2.example:7659".into(), "10.0.0.6:7659".into()],
    };
    let peers = vec!["http://a:7650".to_owned()];
    let cluster = Cluster {
        peers,
        gossip: Some(gossip),
        replication: 2,
        repair_after_ms: 300_000,
        quiet_after_ms: 3_600_000,
        repair_bytes_per_s: None,
        zone: None,
        key_file: None,
    };
    assert_eq!(config.cluster, cluster);
}

#[test]
fn a_node_among_others_is_resolved_whole() {
    let config = config(
        r#"
        node.roles = ["store"]
        listen.api = "127.0.0.1:7651"
        [cluster]
        peers = ["http://a:7650/", "http://b:7650", "http://a:7650"]
        zone = "rack-1"
        key_file = "cluster.key"
        [retention]
        rules = [{ topic = "debug", age = "1d" }, { topic = "a.b", age = "2d" }]
        [storage]
        seal = { age = "1s" }
        "#,
    );
    let key_file = Some("/etc/weir/cluster.key".into());
    let peers = vec!["http://a:7650".to_owned(), "http://b:7650".to_owned()];
    assert_eq!(
        config.cluster,
        Cluster {
            peers,
            gossip: None,
            replication: 2,
            repair_after_ms: 300_000,
            quiet_after_ms: 3_600_000,
            repair_bytes_per_s: None,
            zone: Some("rack-1".into()),
            key_file
        }
    );
    assert_eq!(config.roles.names().collect::<Vec<_>>(), ["store"]);
    assert_eq!((config.listen.fast, config.listen.durable), (None, None));
    let rules: Vec<_> =
        config.retention.rules.iter().map(|rule| (rule.class.as_str(), rule.age_ms / 86_400_000)).collect();
    assert_eq!(rules, [("t-debug", 1), ("h-e61d99190466522c", 2)]);
    assert_eq!(config.storage.piece_age_ms, 1000);
}

#[test]
fn a_source_is_resolved_whole() {
    let config = config(
        r#"
        [sources.nginx]
        plugin = "file-source"
        topic = "web"
        labels = { env = "prod", "k8s.pod" = "web-1" }
        durability = "received"
        grants.files.logs = { include = ["/var/log/nginx/*.log", "more/*.log"], exclude = ["*.gz", "old/*"] }
        config = { start_at = "beginning", multiline = { start = '^\d{4}-' }, n = 3, when = 2026-01-01 }

        [sources.in]
        plugin = "stdin-source"
        grants.stdin = true
        "#,
    );
    let [stdin, nginx] = config.sources.as_slice() else { panic!("{:?}", config.sources) };
    assert_eq!(format!("{:?}", nginx.stream), "topic=web env=prod k8s.pod=web-1");
    assert_eq!((nginx.name.as_str(), nginx.plugin.as_str()), ("nginx", "file-source"));
    assert_eq!(nginx.durability, Durability::Received);
    let logs = &nginx.grants.files["logs"];
    assert_eq!(logs.include, ["/var/log/nginx/*.log", "/etc/weir/more/*.log"]);
    assert_eq!(logs.exclude, ["*.gz", "/etc/weir/old/*"]);
    assert_eq!(
        nginx.config.to_string(),
        r#"{"multiline":{"start":"^\\d{4}-"},"n":3,"start_at":"beginning","when":"2026-01-01"}"#
    );
    assert_eq!(nginx.place, "weir.toml:2:18");
    // Without a topic the source's own name stands in; without settings the plugin gets an empty object.
    assert_eq!(format!("{:?}", stdin.stream), "topic=in");
    assert_eq!((stdin.config.to_string().as_str(), stdin.durability), ("{}", Durability::Stored));
    assert!(stdin.grants.stdin && !nginx.grants.stdin);
}

#[test]
fn a_plugin_of_ones_own_is_resolved_and_may_stand_in_for_an_embedded_one() {
    let digest = "ab".repeat(32);
    let config = config(&format!(
        r#"
        [sources.a]
        plugin = "mine"
        [sources.b]
        plugin = "file-source"
        [plugins.mine]
        path = "plugins/mine.wasm"
        sha256 = "sha256:{digest}"
        limits = {{ memory = "128MiB", call = "50ms" }}
        on_trap = "stop"
        [plugins.file-source]
        path = "/opt/file.wasm"
        "#
    ));
    let [file, mine] = config.plugins.as_slice() else { panic!("{:?}", config.plugins) };
    assert_eq!(mine.path, Path::new("/etc/weir/plugins/mine.wasm"));
    assert_eq!(mine.sha256, Some([0xab; 32]));
    assert_eq!((mine.memory_bytes, mine.call_ms, mine.on_trap), (128 << 20, 50, OnTrap::Stop));
    assert_eq!((file.name.as_str(), file.sha256), ("file-source", None));
    assert_eq!(file.memory_bytes, weir_record::limits::PLUGIN_MEMORY_BYTES_DEFAULT);
    assert_eq!(file.call_ms, weir_record::limits::PLUGIN_CALL_MS_DEFAULT);
    assert_eq!(file.on_trap, OnTrap::Restart);
}

#[test]
fn a_forwarder_opens_no_port_of_its_own_unless_told() {
    let text = "[node]\nroles = [\"forward\"]\n[forward]\nto = [\"http://a:7650/\", \"http://[::1]:7651\"]\n";
    let alone = config(text);
    assert_eq!(alone.forward_to, ["http://a:7650", "http://[::1]:7651"]);
    assert_eq!((alone.listen.api, alone.listen.fast, alone.listen.durable), (None, None, None));
    let told = config(&format!("{text}[listen]\napi = \"localhost:0\"\n"));
    assert_eq!(told.listen.api, Some("127.0.0.1:0".parse().unwrap()));
}

#[test]
fn a_forwarder_has_a_spool_unless_told_and_may_ask_for_copies_it_does_not_hold() {
    let spool_of = |forward: &str| {
        config(&format!("[node]\nroles = [\"forward\"]\n[forward]\nto = [\"http://a\"]\n{forward}"))
            .forward_spool
    };
    assert_eq!(spool_of(""), Some(Spool { bytes: 1 << 30, on_full: OnFull::Block }));
    let dropping = spool_of("spool = \"64MiB\"\non_full = \"drop-oldest\"");
    assert_eq!(dropping, Some(Spool { bytes: 64 << 20, on_full: OnFull::DropOldest }));
    assert_eq!(spool_of("spool = \"off\""), None);
    assert_eq!(config("").forward_spool, None);
    let source =
        "[sources.a]\nplugin = \"file-source\"\ndurability = \"replicated\"\n[forward]\nto = [\"http://a\"]";
    assert_eq!(config(source).sources[0].durability, Durability::Replicated);
}

#[test]
fn variables_fill_texts_and_numbers_of_known_settings() {
    let config = config(
        r#"
        [sources.a]
        plugin = "file-source"
        topic = "x-${TOPIC}"
        labels = { a = "$$b", c = "${NO:-d}" }
        grants.stdin = "${NO:-true}"
        config = { text = "${PREFETCH}" }
        "#,
    );
    let source = &config.sources[0];
    assert_eq!(format!("{:?}", source.stream), "topic=x-from-env a=$b c=d");
    assert!(source.grants.stdin);
    assert_eq!(source.config.to_string(), r#"{"text":"300"}"#);
}

#[test]
fn public_addresses_are_bound_when_the_operator_says_the_words() {
    let config = config("listen = { api = \"0.0.0.0:7650\", insecure = \"yes, I mean it\" }");
    assert_eq!(config.listen.api, Some("0.0.0.0:7650".parse().unwrap()));
    assert!(config.listen.insecure);
    for loopback in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost:1"] {
        check(&format!("listen.api = \"{loopback}\""), &[]);
    }
}

#[test]
fn ports_for_lines_move_and_close_one_by_one() {
    let config = config("listen = { fast = \"off\", durable = \"[::1]:0\" }");
    assert_eq!(config.listen.api, Some("127.0.0.1:7650".parse().unwrap()));
    assert_eq!(config.listen.fast, None);
    assert_eq!(config.listen.durable, Some("[::1]:0".parse().unwrap()));
}

#[test]
fn limits_can_be_lifted() {
    let config = config("[retention]\nage = \"unlimited\"\nbytes = \"100GiB\"");
    assert_eq!(config.retention, Retention { age_ms: None, bytes: Some(100 << 30), rules: Vec::new() });
}

#[test]
fn tokens_have_a_file_and_bounds_and_what_is_shown_elsewhere_is_hidden() {
    let text = "[auth]\ntokens_file = \"tokens.toml\"\nqueries = 3\n[forward]\nto = [\"http://a:1\"]\ntoken = \"weir_secret\"";
    let loaded = load_with(text.as_bytes(), &[]);
    assert_eq!(lines(&loaded), Vec::<String>::new());
    assert!(!loaded.shown.contains("weir_secret"), "{}", loaded.shown);
    let config = loaded.config.unwrap();
    let auth = config.auth.unwrap();
    assert!(auth.tokens_file.is_absolute() && auth.tokens_file.ends_with("tokens.toml"));
    assert_eq!((auth.requests_per_s, auth.queries_max), (2_000, 3));
    assert!(!format!("{:?}", config.forward_token).contains("weir_secret"));
    let file = self::config("[forward]\nto = [\"http://a:1\"]\ntoken_file = \"t\"").forward_token;
    assert!(matches!(file, Some(Secret::File(path)) if path.ends_with("t")));
}
