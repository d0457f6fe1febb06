//! The access log of a web server: the combined format, with the times of the upstream and the request's id.

use crate::bench::corpus::grammar::Rule;

pub(in crate::bench::corpus) const RULES: &[Rule] = &[
    (
        "web",
        &[
            "6*<ip> - - [<time:access>] \"<@web.request> HTTP/1.1\" <@web.status> \
             \"<?web.referer>\" \"<@web.agent>\" <@web.times> conn=<digits:6>",
            "2*<ip> - - [<time:access>] \"<@web.request> HTTP/2.0\" <@web.status> \
             \"<?web.referer>\" \"<@web.agent>\" <@web.times> <uuid>",
            "<ip> - - [<time:access>] \"<@web.request> HTTP/2.0\" <@web.status> \
             \"<?web.referer>\" \"<@web.agent>\" <@web.times> <trace>",
            "<ip> - user<@user> [<time:access>] \"<@web.request> HTTP/2.0\" <@web.status> \
             \"<?web.referer>\" \"<@web.agent>\" <@web.times> <hex:16>",
        ],
    ),
    ("web.request", &["14*GET <?path>", "3*POST <?path>", "PUT <?path>", "HEAD <?path>", "DELETE <?path>"]),
    (
        "web.status",
        &[
            "50*200 <log:60000>",
            "5*304 0",
            "3*201 <log:900>",
            "2*302 <145|154|162>",
            "2*404 <log:1200>",
            "<400|401|403|429> <log:400>",
            "<499|500|502|503|504> <150|157|162|166>",
        ],
    ),
    ("web.times", &["4*rt=0.0<digits:2>", "2*rt=0.<digits:3>", "2*rt=0.00<n:10>", "rt=<n:8>.<digits:3>"]),
    (
        "web.referer.checkout",
        &["6*https://shop.example.com/cart", "2*https://shop.example.com/checkout", "-"],
    ),
    (
        "web.referer",
        &[
            "8*-",
            "5*https://shop.example.com/",
            "3*https://shop.example.com/c/<@slug>",
            "2*https://shop.example.com/p/<@slug>-<@item>",
            "https://www.google.com/",
            "https://duckduckgo.com/",
        ],
    ),
    (
        "web.agent",
        &[
            "16*Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/<@web.chrome> Safari/537.36",
            "9*Mozilla/5.0 (iPhone; CPU iPhone OS 1<7|8>_<n:7> like Mac OS X) Mobile/15E148 Safari/604.1",
            "3*Mozilla/5.0 (Linux; Android 1<3|4|5>; K) AppleWebKit/537.36 Chrome/<@web.chrome> Mobile",
            "3*Mozilla/5.0 (X11; Linux x86_64; rv:14<n:6>.0) Gecko/20100101 Firefox/14<n:6>.0",
            "2*Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.<n:6> Safari/605.1.15",
            "shop-app/7.<n:12>.<n:6> (<ios|android>)",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "python-requests/2.32.<n:5>",
            "curl/8.<n:12>.0",
        ],
    ),
    ("web.chrome", &["14<0|1|1|1>.0.0.0"]),
];
