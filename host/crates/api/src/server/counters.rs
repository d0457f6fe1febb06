//! What the server itself counts, as Prometheus text.

use std::collections::BTreeMap;
use std::fmt::Write;

use parking_lot::Mutex;

use super::connections::Tally;

/// Requests by route and status. Both are bounded: routes are a table, and what matches none is `other`.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
}

impl Counters {
    pub(crate) fn count(&self, route: &'static str, status: u16) {
        *self.requests.lock().entry((route, status)).or_default() += 1;
    }

    /// Appends all counters.
    pub(crate) fn render(&self, out: &mut String, connections: Tally) {
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, u64)]| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(out, "{name}{labels} {value}");
            }
        };
        let requests = self.requests.lock();
        let requests: Vec<_> = requests
            .iter()
            .map(|((route, status), count)| (format!("{{route=\"{route}\",code=\"{status}\"}}"), *count))
            .collect();
        family("weir_http_requests_total", "counter", "Requests answered.", &requests);
        family(
            "weir_http_connections",
            "gauge",
            "Connections open.",
            &[(String::new(), connections.open as u64)],
        );
        family(
            "weir_http_connections_refused_total",
            "counter",
            "Connections refused because too many were open.",
            &[
                ("{reason=\"total\"}".into(), connections.refused_total),
                ("{reason=\"address\"}".into(), connections.refused_per_ip),
            ],
        );
    }
}
