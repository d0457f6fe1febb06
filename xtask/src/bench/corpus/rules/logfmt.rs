//! Programs around the containers, and Go services that write `key=value`.

use crate::bench::corpus::grammar::Rule;

pub(in crate::bench::corpus) const RULES: &[Rule] = &[
    (
        "logfmt",
        &[
            "4*time=<time:iso> level=<@logfmt.level> svc=<?service> user=<@user> path=<?path> \
             status=<@json.status> latency=<@latency>ms span=<hex:16>",
            "3*ts=<time:micros> caller=<@json.file> level=<@logfmt.level> component=<?service> \
             msg=\"<@logfmt.message>\" id=<hex:16>",
            "3*<time:iso> stdout F level=<@logfmt.level> pod=<?pod> ns=<shop|shop|infra> \
             node=worker-<n:40> msg=\"<@logfmt.message>\"",
            "2*I<digits:4> <time:hour> <n:9> kubelet.go:<n:2600>] \"<@logfmt.pod-event>\" \
             pod=\"shop/<?pod>\" podUID=\"<uuid>\"",
            "level=<@logfmt.level> ts=<time:epoch> app=<?service> dur=<@latency>ms rows=<log:3000> \
             query=\"<select|insert|update> <orders|items|stock>\" conn=<hex:8>",
        ],
    ),
    (
        "logfmt.declined",
        &["time=<time:iso> level=warn svc=<?service> event=PaymentDeclined order=<@order> user=<@user> \
             amount=<@amount> currency=<@currency> trace=<trace>"],
    ),
    ("logfmt.level", &["14*info", "4*debug", "2*warn", "error"]),
    (
        "logfmt.message",
        &[
            "4*finished call, code=OK, <@latency> ms",
            "3*compacted <log:90> blocks into <hex:16>",
            "2*scraped <log:4000> samples from <@inner-ip>:9090",
            "2*leader lease renewed until <time:hour>",
            "2*upload of chunk <hex:16> done, <log:4000000> bytes",
            "evicting <log:300> keys, used <n:100>%",
            "peer <@inner-ip>:7946 joined",
            "<@failure>",
        ],
    ),
    (
        "logfmt.pod-event",
        &[
            "3*SyncLoop (PLEG): event for pod",
            "2*Liveness probe succeeded",
            "Readiness probe failed: <@failure>",
            "MountVolume.SetUp succeeded for volume kube-api-access-<@pod-end>",
            "Container image already present on machine",
        ],
    ),
];
