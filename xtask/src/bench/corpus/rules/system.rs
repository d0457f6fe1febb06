//! The machines below: what daemons, the kernel and clusters of workers write, each in its own manner.

use crate::bench::corpus::grammar::Rule;

pub(in crate::bench::corpus) const RULES: &[Rule] = &[
    (
        "system",
        &[
            "4*<time:syslog> <@system.host> sshd[<@system.pid>]: <@system.sshd>",
            "3*<time:syslog> <@system.host> kernel: [<digits:7>.<digits:6>] <@system.kernel>",
            "3*<time:syslog> <@system.host> systemd[1]: <@system.unit>",
            "2*<time:syslog> <@system.host> CRON[<@system.pid>]: (<root|www-data|backup>) CMD \
             (<test -x /usr/sbin/anacron|/usr/local/bin/rotate --quiet|/usr/lib/sysstat/debian-sa1 1 1>)",
            "2*<time:syslog> <@system.host> postfix/<smtpd|smtp|qmgr|cleanup>[<@system.pid>]: <@system.mail>",
            "2*<time:plain> <@system.dpkg>",
            "3*<time:digits> <n:9999> <@system.hdfs>",
            "3*<time:slashes> <@system.spark>",
            "2*<time:comma> - INFO  [<@system.quorum>] - <@system.keeper>",
            "<time:plain>.<digits:3> UTC [<@system.pid>] <@system.postgres>",
            "<time:syslog> <@system.host> dockerd[<n:2000>]: time=\"<time:micros>\" level=<info|warning> \
             msg=\"ignoring event\" container=<hex:64> module=libcontainerd",
        ],
    ),
    ("system.host", &["<web|db|cache|worker|mail|edge>-<n:24>"]),
    ("system.pid", &["<n:32768>"]),
    (
        "system.sshd",
        &[
            "4*Failed password for <root|root|admin|invalid user test|invalid user oracle> from <ip> \
             port <n:60000> ssh2",
            "2*Connection closed by <ip> port <n:60000> [preauth]",
            "Accepted publickey for deploy from <@inner-ip> port <n:60000> ssh2: ED25519 SHA256:<hex:40>",
            "pam_unix(sshd:session): session <opened|closed> for user deploy",
            "Received disconnect from <ip> port <n:60000>:11: Bye Bye [preauth]",
        ],
    ),
    (
        "system.kernel",
        &[
            "2*[UFW BLOCK] IN=eth0 OUT= MAC=52:54:00:<hex:2>:<hex:2>:<hex:2> SRC=<ip> DST=<@inner-ip> LEN=<40|44|60> \
             TTL=<n:250> ID=<n:65536> PROTO=TCP SPT=<n:65536> DPT=<22|23|80|445|3389|8080> WINDOW=1024 SYN URGP=0",
            "TCP: request_sock_TCP: Possible SYN flooding on port <80|443>. Sending cookies.",
            "nvme0n1: I/O <n:1000> QID <n:8> timeout, completion polled",
            "Out of memory: Killed process <@system.pid> (java) total-vm:<digits:7>kB, anon-rss:<digits:7>kB",
            "docker0: port <n:40>(veth<hex:7>) entered <blocking|disabled|forwarding> state",
        ],
    ),
    (
        "system.unit",
        &[
            "2*Started Session <n:90000> of user deploy.",
            "2*session-<n:90000>.scope: Deactivated successfully.",
            "<Starting|Finished> <Daily apt download activities|Rotate log files|Clean php session files>...",
            "run-docker-runtime\\x2drunc-moby-<hex:64>-runc.mount: Deactivated successfully.",
            "nginx.service: Reloaded, main process <@system.pid>, consumed <n:90>.<digits:3>s CPU time.",
        ],
    ),
    (
        "system.mail",
        &[
            "<hex:10>: to=<@system.mailbox>, relay=mx<n:4>.example.net[<ip>]:25, delay=<n:9>.<digits:2>, \
             dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as <hex:10>)",
            "<hex:10>: from=<@system.mailbox>, size=<log:90000>, nrcpt=1 (queue active)",
            "disconnect from unknown[<ip>] ehlo=1 auth=0/1 quit=1 commands=2/3",
        ],
    ),
    ("system.mailbox", &["user<@user>@example.<com|org|net>"]),
    (
        "system.dpkg",
        &[
            "status <installed|unpacked|half-configured|half-installed> <@system.package>",
            "<upgrade|configure> <@system.package> (none)",
            "trigproc man-db:amd64 2.11.2-2 (none)",
        ],
    ),
    (
        "system.package",
        &[
            "<libssl3|openssl|curl|libcurl4|tzdata|systemd|udev|base-files|libc6|perl>:amd64 <n:9>.<n:40>.<n:20>-<n:4>",
        ],
    ),
    (
        "system.hdfs",
        &[
            "3*INFO dfs.DataNode$PacketResponder: PacketResponder <0|1|2> for block blk_<digits:19> terminating",
            "2*INFO dfs.DataNode$DataXceiver: Receiving block blk_<digits:19> src: /<@inner-ip>:<n:60000> \
             dest: /<@inner-ip>:50010",
            "INFO dfs.FSNamesystem: BLOCK* NameSystem.addStoredBlock: blockMap updated: <@inner-ip>:50010 is added \
             to blk_<digits:19> size <digits:8>",
            "WARN dfs.DataNode$DataXceiver: <@inner-ip>:50010:Got exception while serving blk_<digits:19> to \
             /<@inner-ip>:",
        ],
    ),
    (
        "system.spark",
        &[
            "2*INFO executor.Executor: Finished task <n:400>.0 in stage <n:90>.0 (TID <n:90000>). <digits:4> bytes \
             result sent to driver",
            "INFO storage.MemoryStore: Block broadcast_<n:900> stored as values in memory (estimated size \
             <n:900>.<n:10> KB, free <n:16>.<n:10> GB)",
            "INFO storage.BlockManager: Found block rdd_<n:90>_<n:400> locally",
            "INFO python.PythonRunner: Times: total = <log:900>, boot = <n:90>, init = <n:90>, finish = <n:9>",
        ],
    ),
    ("system.quorum", &["QuorumPeer[myid=<1|2|3>]/0:0:0:0:0:0:0:0:2181:<Follower|Leader>"]),
    (
        "system.keeper",
        &[
            "Accepted socket connection from /<@inner-ip>:<n:60000>",
            "Established session 0x<hex:16> with negotiated timeout <10000|20000|40000> for client \
             /<@inner-ip>:<n:60000>",
            "Closed socket connection for client /<@inner-ip>:<n:60000> which had sessionid 0x<hex:16>",
        ],
    ),
    (
        "system.postgres",
        &[
            "2*LOG:  duration: <@latency>.<digits:3> ms  execute S_<n:40>: select id, state from orders where id = $1",
            "LOG:  checkpoint complete: wrote <log:9000> buffers (<n:20>.<n:10>%); write=<n:270>.<digits:3> s",
            "ERROR:  deadlock detected, process <@system.pid> waits for ShareLock on transaction <digits:9>",
            "LOG:  automatic vacuum of table \"shop.public.<orders|items|stock>\": index scans: <n:4>",
        ],
    ),
];
