//! Configurations that are wrong, and every line said about them.

use super::*;

const TABLES: &str =
    "node, listen, forward, tls, auth, cluster, oklog, retention, storage, query, policy, sources, plugins";

#[test]
fn unknown_keys_are_all_listed_with_what_was_probably_meant() {
    check(
        "nod = 1\ndata_dir = \"x\"\n[node]\nrolles = []\nzzzzz = 1\n[sources.a]\nplugn = \"file-source\"\n",
        &[
            &format!(
                "weir.toml:1:1: nod: expected one of {TABLES}, got an unknown key; did you mean `node`?"
            ),
            &format!(
                "weir.toml:2:1: data_dir: expected one of {TABLES}, got an unknown key; did you mean `node.data_dir`?"
            ),
            "weir.toml:4:1: node.rolles: expected one of roles, data_dir, got an unknown key; did you mean `roles`?",
            "weir.toml:5:1: node.zzzzz: expected one of roles, data_dir, got an unknown key",
            "weir.toml:6:10: sources.a.plugin: expected the name of a source plugin, got nothing",
            "weir.toml:7:1: sources.a.plugn: expected one of plugin, topic, labels, durability, grants, config, got an unknown key; did you mean `plugin`?",
        ],
    );
}

#[test]
fn wrong_types_and_values_say_what_was_expected_and_what_came() {
    let cases: &[(&str, &str)] = &[
        ("node = 3", "1:8: node: expected a table, got 3 (an integer)"),
        (
            "node.roles = \"all\"",
            "1:14: node.roles: expected a list, each of it one of \"ingest\", \"store\", \"query\", \"forward\", got \"all\"",
        ),
        (
            "node.roles = [\"ingest\", \"stor\", \"query\"]",
            "1:25: node.roles[1]: expected one of \"ingest\", \"store\", \"query\", \"forward\", got \"stor\"; did you mean `store`?",
        ),
        ("node.data_dir = 1.5", "1:17: node.data_dir: expected a path, got 1.5 (a number)"),
        ("node.data_dir = \"\"", "1:17: node.data_dir: expected a path, got \"\""),
        (
            "listen.api = 7650",
            "1:14: listen.api: expected an IP address and port such as \"127.0.0.1:7650\", got 7650 (an integer)",
        ),
        (
            "listen.api = \"localhost\"",
            "1:14: listen.api: expected an IP address and port such as \"127.0.0.1:7650\", got \"localhost\"",
        ),
        (
            "listen.api = \"127.0.0.1:99999\"",
            "1:14: listen.api: expected an IP address and port such as \"127.0.0.1:7650\", got \"127.0.0.1:99999\"",
        ),
        (
            "listen.fast = \"\"",
            "1:15: listen.fast: expected an IP address and port such as \"127.0.0.1:7650\", or \"off\", got \"\"",
        ),
        (
            "listen.insecure = true",
            "1:19: listen.insecure: expected \"yes, I mean it\", got true (a boolean)",
        ),
        (
            "forward.to = [\"http://u:geheim@h\"]",
            "1:15: forward.to[0]: expected a URL of http, https, tcp without path or password, such as \"http://host:7650\", got \"http://u:***@h\"",
        ),
        ("forward.to = []", "1:14: forward.to: expected at least one URL, got an empty list"),
        (
            "retention.age = 7",
            "1:17: retention.age: expected a duration from \"1m\" to \"36525d\", such as \"2h30m\", or \"unlimited\", got 7 (an integer)",
        ),
        (
            "retention.age = \"3s\"",
            "1:17: retention.age: expected a duration from \"1m\" to \"36525d\", such as \"2h30m\", or \"unlimited\", got \"3s\"",
        ),
        (
            "retention.bytes = 1979-05-27",
            "1:19: retention.bytes: expected a size from \"1MiB\" to \"1048576TiB\", or \"unlimited\", got 1979-05-27 (a date)",
        ),
        (
            "storage.full_at = \"200%\"",
            "1:19: storage.full_at: expected a whole percentage from \"1%\" to \"100%\", got \"200%\"",
        ),
        ("storage.seal = []", "1:16: storage.seal: expected a table, got a list"),
        (
            "storage.seal.bytes = \"1kB\"",
            "1:22: storage.seal.bytes: expected a size from \"64KiB\" to \"1GiB\", got \"1kB\"",
        ),
        ("sources = []", "1:11: sources: expected a table with a name for each source, got a list"),
        ("sources.a = {}", "1:9: sources.a.plugin: expected the name of a source plugin, got nothing"),
        ("plugins.a = {}", "1:9: plugins.a.path: expected a path, got nothing"),
        (
            "plugins.a = { path = \"x\", sha256 = \"abc\" }",
            "1:36: plugins.a.sha256: expected a SHA-256 of 64 hex digits, got \"abc\"",
        ),
        (
            "plugins.a = { path = \"x\", on_trap = \"restrat\" }",
            "1:37: plugins.a.on_trap: expected one of \"restart\", \"pass\", \"drop\", \"stop\", got \"restrat\"; did you mean `restart`?",
        ),
        ("node.roles = []", "1:14: node.roles: expected at least one role, got an empty list"),
        (
            "node.roles = [\"forward\"]",
            "1:14: node.roles: expected forward.to to name the nodes to ship to, got nothing; add it, or the role ingest",
        ),
        (
            "plugins.\"my plugin\".path = \"x\"",
            "1:9: plugins.\"my plugin\": expected a plugin name of 1 to 64 of a-z, 0-9, _ and -, got \"my plugin\"",
        ),
        (
            "oklog.consumers = true",
            "1:19: oklog.consumers: expected false, got true: a node with the role store takes the records itself",
        ),
        (
            "node.roles = [\"store\"]\ncluster.peers = [\"http://a\"]\noklog.ingesters = [\"http://old\"]",
            "3:20: oklog.ingesters: expected nothing, got an ingester: a node without the role ingest has no log to put its segments into",
        ),
        (
            "node.roles = [\"store\"]\ncluster.peers = [\"http://a\"]\noklog.consumers = true",
            "3:19: oklog.consumers: expected false, got true: a node without the role ingest has nothing to hand out",
        ),
        (
            "node.roles = [\"ingest\"]\ncluster.peers = [\"http://a\"]\noklog.consumers = true",
            "3:19: oklog.consumers: expected false, got true: with cluster.peers or cluster.gossip the records go to stores of weir",
        ),
    ];
    for (text, want) in cases {
        check(text, &[&format!("weir.toml:{want}")]);
    }
}

#[test]
fn a_source_that_cannot_be_says_so_at_the_word() {
    let cases: &[(&str, &str)] = &[
        (
            "plugin = \"fiel-source\"",
            "2:10: sources.a.plugin: expected one of amqp-source, file-source, stdin-source, got \"fiel-source\"; did you mean `file-source`?",
        ),
        (
            "plugin = \"kafka\"",
            "2:10: sources.a.plugin: expected one of amqp-source, file-source, stdin-source, got \"kafka\"; a plugin of your own needs a table [plugins.kafka] with its path",
        ),
        (
            "plugin = \"file-source\"\ntopic = \"a\\nb\"",
            "3:9: sources.a.topic: control characters are not allowed in a topic",
        ),
        (
            "plugin = \"file-source\"\nlabels = { a = 1 }",
            "3:16: sources.a.labels.a: expected a text in quotes, got 1 (an integer)",
        ),
        (
            "plugin = \"file-source\"\nlabels = { _part = \"x\" }",
            "3:12: sources.a.labels._part: label name \"_part\" begins with _, which is kept for weir's own labels",
        ),
        (
            "plugin = \"file-source\"\ngrants.files.logs = { exclude = [] }",
            "3:14: sources.a.grants.files.logs.include: expected a list, each of it a path pattern such as \"/var/log/**/*.log\", got nothing",
        ),
        (
            "plugin = \"file-source\"\ngrants.file.logs = {}",
            "3:8: sources.a.grants.file: expected one of files, stdin, amqp, got an unknown key; did you mean `files`?",
        ),
        ("plugin = \"file-source\"\nconfig = \"x\"", "3:10: sources.a.config: expected a table, got \"x\""),
        (
            "plugin = \"file-source\"\nconfig.deep = [1, { x = inf }]",
            "3:25: sources.a.config.deep[1].x: expected a finite number, got inf",
        ),
    ];
    for (text, want) in cases {
        check(&format!("[sources.a]\n{text}"), &[&format!("weir.toml:{want}")]);
    }
}

#[test]
fn source_names_are_bounded() {
    for name in ["Orders", "\"a b\"", "\"ü\"", "\"\"", &"x".repeat(65)] {
        let text = format!("[sources.{name}]\nplugin = \"file-source\"");
        let loaded = load_with(text.as_bytes(), &[]);
        assert!(loaded.config.is_none(), "{name}");
        assert!(lines(&loaded)[0].contains("expected a source name of 1 to 64"), "{:?}", lines(&loaded));
    }
}

#[test]
fn the_standard_input_goes_to_one_source() {
    check(
        "[sources.a]\nplugin = \"stdin-source\"\ngrants.stdin = true\n[sources.b]\nplugin = \"stdin-source\"\ngrants.stdin = true",
        &[
            "weir.toml:6:16: sources.b.grants.stdin: expected one source with the standard input, got a second beside sources.a",
        ],
    );
}

#[test]
fn a_public_address_is_refused_with_the_line_to_add() {
    for (port, column, address) in [
        ("api", 7, "0.0.0.0:7650"),
        ("api", 7, "10.0.0.5:7650"),
        ("fast", 8, "[::]:7650"),
        ("durable", 11, "10.0.0.5:7650"),
    ] {
        check(
            &format!("[listen]\n{port} = \"{address}\""),
            &[&format!(
                "weir.toml:2:{column}: listen.{port}: expected a loopback address such as 127.0.0.1:7650, got {address}, \
                 which other machines may reach: that needs [tls] and [auth], or this line in [listen]: insecure = \"yes, I mean it\""
            )],
        );
    }
}

#[test]
fn tokens_need_a_file_and_in_a_cluster_a_key() {
    for (text, told) in [
        (
            "[auth]\nqueries = 3",
            "weir.toml:1:2: auth: expected tokens_file to name a file of tokens, got nothing; weir token new makes one",
        ),
        (
            "[auth]\ntokens_file = \"t\"\nqueries = 0",
            "weir.toml:3:11: auth.queries: expected an integer from 1 to 1000000, got 0 (an integer)",
        ),
        (
            "[auth]\ntokens_file = \"t\"\n[cluster]\npeers = [\"http://b:1\"]",
            "weir.toml:2:15: auth.tokens_file: expected cluster.key_file beside it, got nothing; nodes that ask for tokens know each other by a key",
        ),
        (
            "[forward]\nto = [\"http://a:1\"]\ntoken = \"x\"\ntoken_file = \"y\"",
            "weir.toml:4:1: forward.token: expected either token or token_file, got both",
        ),
    ] {
        check(text, &[told]);
    }
}

#[test]
fn what_this_version_cannot_do_is_refused_where_ignoring_it_would_be_unsafe() {
    check(
        "[node]\nroles = [\"ingest\"]\n[tls]\ncert = \"a\"\n[auth]\n[cluster]\ngossip = \"127.0.0.1:7659\"\npeers = [\"https://b\"]\n[sources.a]\nplugin = \"file-source\"\ndurability = \"replicated\"\n[forward]\nto = [\"https://a\", \"tcp://b:1\"]",
        &[
            "weir.toml:3:2: tls: this version has no TLS yet",
            "weir.toml:5:2: auth: expected tokens_file to name a file of tokens, got nothing; weir token new makes one",
            "weir.toml:8:10: cluster.peers: https://b: this version has no TLS yet; name an http:// address",
            "weir.toml:13:7: forward.to: https://a: this version has no TLS yet; ship to an http:// address on a network you trust",
            "weir.toml:13:20: forward.to: tcp://b:1: lines go out of a process with the forward role alone; name the peer's API, such as http://host:7650",
        ],
    );
    check(
        "[node]\nroles = [\"forward\"]\n[forward]\nto = [\"tcp://a:1\", \"http://b\", \"tcp://c:1\"]",
        &[
            "weir.toml:4:20: forward.to: http://b: records go to APIs (http://) or to line ports (tcp://), not to both; name one kind",
        ],
    );
}

#[test]
fn what_a_memory_cannot_give_is_refused() {
    check(
        "[node]\nroles = [\"forward\"]\n[forward]\nto = [\"tcp://a:1\"]\nspool = \"32MiB\"",
        &[
            "weir.toml:5:9: forward.spool: expected \"off\", got a size, with line ports in forward.to; nothing acknowledges lines, so nothing can be kept until it is",
        ],
    );
    check(
        "[forward]\nto = [\"http://a\"]\nspool = \"off\"\non_full = \"drop-oldest\"",
        &[
            "weir.toml:4:11: forward.on_full: expected \"block\", got \"drop-oldest\" with forward.spool = \"off\"; give it a spool to drop from",
        ],
    );
    check(
        "[forward]\nto = [\"http://a\"]\nspool = \"1MiB\"\non_full = \"drop\"",
        &[
            "weir.toml:3:9: forward.spool: expected a size from \"16MiB\" to \"1048576TiB\", or \"off\", got \"1MiB\"",
            "weir.toml:4:11: forward.on_full: expected one of \"block\", \"drop-oldest\", got \"drop\"",
        ],
    );
}

#[test]
fn a_policy_names_digests_and_keys() {
    let (digest, key) = ("ab".repeat(32), "cd".repeat(32));
    check(&format!("policy.filters = [\"sha256:{digest}\"]\npolicy.keys = [\"ed25519:{key}\"]"), &[]);
    check(
        "policy.filters = [\"orders\"]\npolicy.keys = [\"ed25519:00\"]\npolicy.ad_hoc_filters = 1",
        &[
            "weir.toml:1:19: policy.filters[0]: expected a SHA-256 of 64 hex digits, got \"orders\"",
            "weir.toml:2:16: policy.keys[0]: expected a public key, ed25519: and 64 hex digits, as `weir plugin keygen` prints, got \"ed25519:00\"",
            "weir.toml:3:25: policy.ad_hoc_filters: expected true or false, got 1 (an integer)",
        ],
    );
}

#[test]
fn a_node_that_needs_others_must_name_them() {
    let lacking = "expected cluster.gossip or cluster.peers to find the other nodes, got neither; this node has not all of \
                   the roles ingest, store and query and needs them";
    for roles in ["[\"store\"]", "[\"query\"]", "[\"store\", \"query\"]", "[\"ingest\", \"query\"]"] {
        check(&format!("node.roles = {roles}"), &[&format!("weir.toml:1:14: node.roles: {lacking}")]);
    }
    check(
        "node.roles = [\"store\"]\ncluster.peers = [\"http://a:7650\"]\nsources.a.plugin = \"file-source\"",
        &[
            "weir.toml:3:9: sources.a: expected somewhere to send records to, got neither the role ingest nor forward.to",
        ],
    );
}

#[test]
fn gossip_needs_what_it_cannot_do_without() {
    let insecure = "[listen]\napi = \"0.0.0.0:7650\"\ninsecure = \"yes, I mean it\"\nfast = \"off\"\ndurable = \"off\"\n[cluster]\n";
    for (text, want) in [
        (
            "[cluster]\njoin = [\"a:7659\"]",
            "2:8: cluster.join: expected cluster.gossip beside it, got none; add gossip = \"0.0.0.0:7659\"",
        ),
        (
            "[cluster]\nadvertise = \"a\"",
            "2:13: cluster.advertise: expected cluster.gossip beside it, got none; add gossip = \"0.0.0.0:7659\"",
        ),
        (
            &format!("{insecure}gossip = \"0.0.0.0:7659\""),
            "7:10: cluster.gossip: expected cluster.key_file beside an address that other machines may reach, got 0.0.0.0:7659 and no key: nodes answer each other beyond loopback only by a key; make one with: openssl rand -base64 32",
        ),
        (
            "[cluster]\ngossip = \"0.0.0.0:7659\"\nkey_file = \"k\"",
            "2:10: cluster.gossip: expected listen.api to be where the other nodes can reach it, too, got 127.0.0.1:7650; set listen.api = \"0.0.0.0:7650\"",
        ),
        (
            "[cluster]\ngossip = \"127.0.0.1:7659\"\nadvertise = \"http://a:1\"",
            "3:13: cluster.advertise: expected an IP address or host name without scheme and port, at which other nodes reach this one, got \"http://a:1\"",
        ),
        (
            "[cluster]\ngossip = \"127.0.0.1:7659\"\nadvertise = \"0.0.0.0\"",
            "3:13: cluster.advertise: expected an IP address or host name without scheme and port, at which other nodes reach this one, got \"0.0.0.0\"",
        ),
        (
            &format!("[cluster]\ngossip = \"127.0.0.1:7659\"\nzone = \"{}\"", "z".repeat(49)),
            "3:8: cluster.zone: expected at most 48 bytes where nodes tell each other by gossip, got 49",
        ),
        (
            "[node]\nroles = [\"forward\"]\n[forward]\nto = [\"http://a\"]\n[cluster]\ngossip = \"127.0.0.1:7659\"",
            "6:10: cluster.gossip: a process with the forward role alone takes no part in gossip; it ships to forward.to",
        ),
    ] {
        check(text, &[&format!("weir.toml:{want}")]);
    }
}

#[test]
fn rules_of_retention_are_one_for_each_topic() {
    check(
        "retention.rules = [{ topic = \"debug\", age = \"1d\" }, { topic = \"debug\", age = \"2d\" }, { topic = \"x\" }]",
        &[
            "weir.toml:1:53: retention.rules: expected one rule for each topic, got a second for \"debug\"",
            "weir.toml:1:86: retention.rules[2].age: expected a duration from \"1m\" to \"36525d\", such as \"2h30m\", got nothing",
        ],
    );
}

#[test]
fn a_forwarder_says_that_it_takes_no_lines() {
    check(
        "[node]\nroles = [\"forward\"]\n[forward]\nto = [\"http://a\"]\n[listen]\nfast = \"127.0.0.1:0\"\ndurable = \"off\"",
        &[
            "weir.toml:6:8: listen.fast: a node without the ingest role takes no lines; send them to an ingest node",
        ],
    );
}

#[test]
fn variables_that_are_missing_are_told_at_their_place() {
    check(
        "[node]\ndata_dir = \"${NOPE}/x\"\n[sources.a]\nplugin = \"${ALSO:?name a plugin}\"",
        &[
            "weir.toml:2:12: node.data_dir: expected the environment variable NOPE to be set; set it or write ${NOPE:-default}",
            "weir.toml:4:10: sources.a.plugin: expected the environment variable ALSO to be set and not empty: name a plugin",
        ],
    );
}

#[test]
fn a_file_that_is_no_toml_is_told_by_position() {
    for (text, want) in [
        (b"[node\nroles = 1".as_slice(), "weir.toml:1:6: "),
        (b"a = 1\na = 2", "weir.toml:2:1: "),
        (b"\xc3\xa4 = 1", "weir.toml:1:1: "),
        (b"# \xc3\xa4\xc3\xb6\nx = \"\xc3\xa4\" y", "weir.toml:2:9: "),
        (b"x = 1\n\"\xff\" = 2", "weir.toml:2:2: expected UTF-8 text, got a byte that is none"),
        (b"x = \x00", "weir.toml:1:5: "),
    ] {
        let loaded = load_with(text, &[]);
        assert!(loaded.config.is_none());
        assert!(lines(&loaded)[0].starts_with(want), "{want}: {:?}", lines(&loaded));
    }
    let long = vec![b'#'; (1 << 20) + 1];
    assert_eq!(lines(&load_with(&long, &[])), ["weir.toml:1:1: expected at most 1048576 bytes, got 1048577"]);
}

#[test]
fn columns_count_characters() {
    check(
        "[node]\r\n\"ä\" = 1\r\n",
        &["weir.toml:2:1: node.\"ä\": expected one of roles, data_dir, got an unknown key"],
    );
    check(
        "sources.a = { \"é\" = \"ü\", plugin = 1 }",
        &[
            "weir.toml:1:15: sources.a.\"é\": expected one of plugin, topic, labels, durability, grants, config, got an unknown key",
            "weir.toml:1:35: sources.a.plugin: expected the name of a source plugin, got 1 (an integer)",
        ],
    );
}

#[test]
fn secrets_are_not_quoted_and_have_one_place() {
    check(
        "[sources.a]\nplugin = \"file-source\"\ngrants.amqp.main = { uri = 7, queue = \"q\" }\ngrants.amqp.other = { uri = \"amqp://h\", uri_file = \"/run/uri\", queue = \"q\" }",
        &[
            "weir.toml:3:28: sources.a.grants.amqp.main.uri: expected a URI such as amqp://user:password@host/vhost, got 7 (an integer)",
            "weir.toml:4:41: sources.a.grants.amqp.other.uri: expected either uri or uri_file, got both",
        ],
    );
}
