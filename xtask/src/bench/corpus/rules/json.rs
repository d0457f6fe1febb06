//! Services that write one JSON object a line.

use crate::bench::corpus::grammar::Rule;

pub(in crate::bench::corpus) const RULES: &[Rule] = &[
    (
        "json",
        &[
            "6*{\"ts\":\"<time:iso>\",\"level\":\"<@json.level>\",\"service\":\"<?service>\",\
             \"trace_id\":\"<trace>\",\"msg\":\"<@json.message>\",\"user\":<@user>,\
             \"latency_ms\":<@latency>}",
            "4*{\"time\":\"<time:iso>\",\"level\":\"<@json.level>\",\"logger\":\"<?service>.<http|grpc>\",\
             \"msg\":\"<GET|GET|POST> <?path>\",\"status\":<@json.status>,\"bytes\":<log:90000>,\
             \"duration_ms\":<@latency>,\"trace_id\":\"<trace>\"}",
            "3*{\"timestamp\":\"<time:iso>\",\"severity\":\"<@json.level>\",\"host\":\"<?pod>\",\"message\":\"<@json.message>\",\
             \"ctx\":{\"request_id\":\"<uuid>\",\"user\":<@user>}}",
            "2*{\"ts\":<time:epoch>,\"level\":\"<@json.level>\",\"caller\":\"<?service>/<@json.file>\",\
             \"msg\":\"<@json.message>\",\"request\":\"<hex:12>\",\"user\":<@user>,\"region\":\"<@region>\"}",
            "{\"ts\":\"<time:iso>\",\"level\":\"error\",\"service\":\"<?service>\",\"trace_id\":\"<trace>\",\
             \"msg\":\"request failed\",\"error\":\"<@failure>\",\"attempt\":<n:4>,\"user\":<@user>}",
        ],
    ),
    (
        "json.declined",
        &[
            "3*{\"ts\":\"<time:iso>\",\"level\":\"warn\",\"service\":\"<?service>\",\"trace_id\":\"<trace>\",\
             \"msg\":\"PaymentDeclined order=<@order> amount=<@amount> <@currency>\",\"user\":<@user>}",
            "{\"timestamp\":\"<time:iso>\",\"severity\":\"warn\",\"host\":\"<?pod>\",\
             \"message\":\"PaymentDeclined: issuer said <insufficient_funds|do_not_honor|expired_card>, \
             amount=<@amount>\",\"ctx\":{\"request_id\":\"<uuid>\"}}",
        ],
    ),
    ("json.level", &["20*info", "5*debug", "2*warn", "error"]),
    ("json.status", &["12*200", "2*201", "2*204", "304", "404", "<400|401|409|422>", "<500|502|503>"]),
    (
        "json.file",
        &["<server|client|handler|store|cache|worker>.go:<n:400>", "<router|session|queue>.ts:<n:300>"],
    ),
    (
        "json.message",
        &[
            "5*request completed",
            "4*cache <hit|hit|miss> for item:<@item>",
            "3*order <@order> accepted, total <@amount> <@currency>",
            "3*session <hex:8> opened from <ip>",
            "2*reserved <n:9> of item <@item> in warehouse <n:40>",
            "2*published <@json.topic> offset <digits:8>",
            "2*query took <@latency> ms, <log:500> rows",
            "price of item <@item> set to <@amount> <@currency>",
            "mail to user <@user> queued as <hex:12>",
            "parcel <digits:12> handed to carrier <dhl|ups|dpd|gls>",
            "retrying after <@failure>",
            "feature flag <@slug> is <on|off> for cohort <n:64>",
            "token refreshed, expires in <3600|7200|86400>s",
            "consumer lag on <@json.topic> is <log:9000>",
        ],
    ),
    ("json.topic", &["<orders|stock|prices|mails|clicks|audit>.v<1|2|3>-<n:24>"]),
];
