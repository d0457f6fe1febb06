//! Applications on the Java platform, with a stack trace now and then.

use crate::bench::corpus::grammar::Rule;

pub(in crate::bench::corpus) const RULES: &[Rule] = &[
    (
        "java",
        &[
            "6*<time:comma> <@java.level> [<@java.thread>] <?java.class> - <@java.message>",
            "4*<time:plain>.<digits:3>  <@java.level> <n:9> --- [<@java.thread>] <?java.class> : <@java.message>",
            "3*<time:comma> <@java.level> [<?service>,<hex:16>,<true|true|true|false>] <?java.class> - <@java.message>",
            "2*<time:iso> <@java.level> <?java.class> [<@java.thread>] user=<@user> took <@latency> ms: \
             <@java.message>",
        ],
    ),
    (
        "java.declined",
        &[
            "<time:comma> WARN  [<@java.thread>] <?java.class> - PaymentDeclined for order <@order>, \
             amount=<@amount> <@currency>, user=<@user>, attempt <n:4>",
            "<time:comma> WARN  [<?service>,<hex:16>,<true|true|true|false>] <?java.class> - \
             PaymentDeclined code=<05|14|51|54|61> amount=<@amount>",
        ],
    ),
    (
        "java.thrown",
        &[
            "<time:comma> ERROR [<@java.thread>] <?java.class> - unhandled exception, request <uuid> \
             java.util.concurrent.TimeoutException: no answer from <@inner-ip>:<8080|8443|9092> in <@latency> ms",
            "<time:comma> ERROR [<@java.thread>] <?java.class> - transaction <hex:16> rolled back: \
             java.sql.SQLTransientConnectionException: pool-<n:4> has no connection after 30000ms",
            "<time:comma> ERROR [<@java.thread>] <?java.class> - java.lang.IllegalStateException: \
             order <@order> is <CANCELLED|SHIPPED|PAID>, expected <NEW|RESERVED>",
        ],
    ),
    (
        "java.frame",
        &[
            "4*\tat com.example.shop.<?package>.<@java.type>.<@java.method>(<@java.type>.java:<n:400>)",
            "2*\tat org.springframework.web.servlet.FrameworkServlet.<service|doPost|doGet>\
             (FrameworkServlet.java:<n:900>)",
            "2*\tat java.base/java.util.concurrent.ThreadPoolExecutor.runWorker\
             (ThreadPoolExecutor.java:1144)",
            "\tat java.base/java.lang.Thread.run(Thread.java:1583)",
            "\t... <n:60> common frames omitted",
        ],
    ),
    ("java.level", &["12*INFO ", "4*DEBUG", "2*WARN ", "ERROR"]),
    (
        "java.thread",
        &[
            "4*http-nio-8080-exec-<n:64>",
            "2*pool-<n:6>-thread-<n:32>",
            "kafka-consumer-<n:24>",
            "scheduling-1",
            "ForkJoinPool.commonPool-worker-<n:8>",
        ],
    ),
    ("java.class.checkout", &["com.example.shop.checkout.<@java.type>"]),
    ("java.class", &["com.example.shop.<@package>.<@java.type>", "c.e.shop.<@package>.<@java.type>"]),
    (
        "java.type",
        &["<Order|Cart|Stock|Price|Parcel|Refund|Session|Voucher|Invoice|Address>\
             <Service|Repository|Controller|Listener|Mapper|Client|Validator>"],
    ),
    ("java.method", &["<find|load|save|apply|reserve|release|handle|publish|validate|lambda$run$0>"]),
    (
        "java.message",
        &[
            "4*processed order <@order> for user <@user> in <@latency> ms",
            "4*loaded <log:900> rows from <orders|items|stock|prices|users> in <@latency> ms",
            "3*sending event <uuid> to partition <n:24>",
            "2*lock <hex:16> taken after <@latency> ms",
            "2*received <OrderPlaced|StockReserved|ParcelSent|PriceChanged> id=<uuid>",
            "2*cache <items|prices|sessions> has <digits:5> entries, hit ratio 0.<digits:3>",
            "HikariPool-1 - active=<n:20>, idle=<n:20>, waiting=<n:3>",
            "calling https://<@service>.internal/v2/<items|stock|prices>/<@item>",
            "answer 200 from <@inner-ip>:8443 after <@latency> ms, <log:20000> bytes",
            "pause of the young generation, <log:2000>M in <@latency> ms, <n:4096>M left",
        ],
    ),
];
