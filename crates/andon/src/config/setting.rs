//! The table of settings: one row is a flag, an environment variable, a key of `andon.toml`,
//! a line of the sample file and a paragraph of the reference, so that they cannot disagree.

/// How many values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    One,
    /// Several: a TOML array, a repeated flag, commas in the environment.
    List,
    /// Names with values: a TOML table, a repeated `NAME=VALUE` flag, commas in the environment.
    Map,
}

/// How a value is written in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// In quotes.
    Text,
    /// As an integer.
    Number,
    /// `true` or `false`.
    Switch,
    /// A word in quotes, or `true` or `false`, with quotes or without.
    Word,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Dotted key in `andon.toml`.
    pub key: &'static str,
    /// Long flag without the dashes; `None` for what does not belong on a command line.
    pub flag: Option<&'static str>,
    /// Name in the environment.
    pub env: &'static str,
    /// Whether `andon.toml` may hold it.
    pub in_file: bool,
    /// How many values.
    pub shape: Shape,
    /// How each is written in TOML.
    pub written: Written,
    /// What stands for the value in help.
    pub value_name: &'static str,
    /// What holds when nothing is given, in words.
    pub default: &'static str,
    /// One line.
    pub help: &'static str,
    /// What it trades, how it relates to its neighbours, a sane range.
    pub more: &'static str,
    /// A value for the sample file, as TOML.
    pub sample: &'static str,
    /// Never printed.
    pub secret: bool,
}

const PLAIN: Setting = Setting {
    key: "",
    flag: None,
    env: "",
    in_file: true,
    shape: Shape::One,
    written: Written::Text,
    value_name: "VALUE",
    default: "",
    help: "",
    more: "",
    sample: "",
    secret: false,
};

/// All settings of a node, in the order in which people meet them.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "id",
        flag: Some("id"),
        env: "ANDON_ID",
        value_name: "ID",
        default: "the host's name",
        help: "What people call this node",
        more: "1 to 64 of A-Z a-z 0-9 . _ -, unique in the grid. Two nodes with one id are \
               both shown, and both told.",
        sample: r#""web-1""#,
        ..PLAIN
    },
    Setting {
        key: "site",
        flag: Some("site"),
        env: "ANDON_SITE",
        value_name: "SITE",
        default: "default",
        help: "Where it stands: datacenter, region, office",
        more: "Nodes of one site probe each other densely, sites through representatives, \
               and a site that nobody reaches is told as one fault.",
        sample: r#""fra""#,
        ..PLAIN
    },
    Setting {
        key: "listen",
        flag: Some("listen"),
        env: "ANDON_LISTEN",
        value_name: "ADDR:PORT",
        default: "[::]:8777, or 0.0.0.0:8777 where there is no IPv6",
        help: "The one port, UDP and TCP: gossip, probes, API and console",
        more: "A firewall needs this one line. `:8777` means every address of the host.",
        sample: r#""[::]:8777""#,
        ..PLAIN
    },
    Setting {
        key: "advertise",
        flag: Some("advertise"),
        env: "ANDON_ADVERTISE",
        shape: Shape::List,
        value_name: "ADDR:PORT|auto|none",
        default: "auto",
        help: "Where the other nodes reach this one",
        more: "`auto` learns it from what peers see; `none` is for a node that nobody can \
               reach: it takes part through the connections that it opens. Several addresses, \
               best first, for hosts with several networks.",
        sample: r#"["auto"]"#,
        ..PLAIN
    },
    Setting {
        key: "join",
        flag: Some("join"),
        env: "ANDON_JOIN",
        shape: Shape::List,
        value_name: "HOST:PORT",
        default: "none: this is the first node",
        help: "A node that is already in the grid; two or three are plenty",
        more: "A DNS name means all of its addresses, `_andon._udp.example.com` its SRV \
               records. Asked again and again until somebody answers; a node that has been in \
               a grid also remembers its peers.",
        sample: r#"["10.0.1.2:8777", "andon.example.com"]"#,
        ..PLAIN
    },
    Setting {
        key: "seeds",
        flag: Some("seeds"),
        env: "ANDON_SEEDS",
        shape: Shape::List,
        value_name: "FILE|URL",
        default: "none",
        help: "A list of nodes to join, one HOST:PORT a line, in a file or behind a URL",
        more: "Read again while nobody answers, so that the list may change. `#` begins a comment.",
        sample: r#"["/etc/andon/seeds"]"#,
        ..PLAIN
    },
    Setting {
        key: "key",
        flag: None,
        env: "ANDON_KEY",
        in_file: false,
        shape: Shape::List,
        value_name: "KEY",
        default: "none",
        help: "The grid key itself, for containers that are configured by environment alone",
        more: "Several with commas: the first seals, all open. Flags and configuration files \
               are seen by too many eyes, so a key goes into a file of its own or here.",
        secret: true,
        ..PLAIN
    },
    Setting {
        key: "key_file",
        flag: Some("key-file"),
        env: "ANDON_KEY_FILE",
        value_name: "FILE",
        default: "grid.key in the data directory; the first node of a grid makes one there",
        help: "The grid key, from `andon keygen`; the same on every node",
        more: "One key a line: the first seals, all open, `#` begins a comment. Readable by \
               its owner only (chmod 600). `andon key rotate` changes it without downtime.",
        sample: r#""/etc/andon/grid.key""#,
        ..PLAIN
    },
    Setting {
        key: "data_dir",
        flag: Some("data-dir"),
        env: "ANDON_DATA_DIR",
        value_name: "DIR",
        default: "/var/lib/andon for root, else $XDG_STATE_HOME/andon or ~/.local/state/andon",
        help: "Identity, last known peers, tokens, audit log, history",
        more: "Private to the node: two nodes never share one. Well under 10 MB, \
               but for the history: see [history].",
        sample: r#""/var/lib/andon""#,
        ..PLAIN
    },
    Setting {
        key: "labels",
        flag: Some("label"),
        env: "ANDON_LABELS",
        shape: Shape::Map,
        value_name: "NAME=VALUE",
        default: "none",
        help: "Free key-values, shown on the node's panel",
        more: "At most 16, values of at most 128 bytes.",
        sample: r#"role = "web""#,
        ..PLAIN
    },
    Setting {
        key: "via",
        flag: Some("via"),
        env: "ANDON_VIA",
        shape: Shape::Map,
        value_name: "ID=ADDR:PORT",
        default: "none",
        help: "Reach that node at another address than the one it advertises",
        more: "For NAT, port-forwards and tunnels. Such links are shown as via.",
        sample: r#"nyc-web = "203.0.113.7:18777""#,
        ..PLAIN
    },
    Setting {
        key: "probe.interval",
        flag: Some("probe-interval"),
        env: "ANDON_PROBE_INTERVAL",
        value_name: "TIME",
        default: "1s",
        help: "Time in which every flow of a link is probed once",
        more: "Shorter sees faults sooner and costs packets. 200ms to 60s.",
        sample: r#""1s""#,
        ..PLAIN
    },
    Setting {
        key: "probe.flows",
        flag: Some("flows"),
        env: "ANDON_PROBE_FLOWS",
        written: Written::Number,
        value_name: "NUMBER",
        default: "8",
        help: "Flows (source ports) per link: routers choose a path by flow",
        more: "8 find a fault on one of two equal paths with 99 % certainty, 21 on one of \
               four. 1 to 64.",
        sample: "8",
        ..PLAIN
    },
    Setting {
        key: "probe.budget_pps",
        flag: Some("probe-budget"),
        env: "ANDON_PROBE_BUDGET_PPS",
        written: Written::Number,
        value_name: "PACKETS",
        default: "2000",
        help: "Most probe packets a second that this node sends, whatever the size of the grid",
        more: "When links x flows / interval is more than this, each link is probed less \
               often. 16 to 100000.",
        sample: "2000",
        ..PLAIN
    },
    Setting {
        key: "http.allowed_hosts",
        flag: Some("allowed-host"),
        env: "ANDON_HTTP_ALLOWED_HOSTS",
        shape: Shape::List,
        value_name: "NAME",
        default: "the node's own addresses and localhost",
        help: "Host names under which people reach the console",
        more: "A request for any other name is refused: that is what stops DNS rebinding.",
        sample: r#"["andon.example.com"]"#,
        ..PLAIN
    },
    Setting {
        key: "http.loopback_viewer",
        flag: None,
        env: "ANDON_HTTP_LOOPBACK_VIEWER",
        written: Written::Switch,
        value_name: "true|false",
        default: "true",
        help: "Whoever is on this machine may look without a token",
        more: "Set it to false on machines that strangers share.",
        sample: "true",
        ..PLAIN
    },
    Setting {
        key: "history.enabled",
        flag: None,
        env: "ANDON_HISTORY_ENABLED",
        written: Written::Switch,
        value_name: "true|false",
        default: "true",
        help: "Keep what this node showed, for the time slider and `andon status --at`",
        more: "States and verdicts are written as they change, figures once a minute, into \
               the data directory. Each node keeps the whole grid's, so a few may do without.",
        sample: "true",
        ..PLAIN
    },
    Setting {
        key: "history.keep",
        flag: None,
        env: "ANDON_HISTORY_KEEP",
        value_name: "TIME",
        default: "30d",
        help: "How long the history is kept",
        more: "1h to 3650d. What is older is deleted, and before that what does not fit into \
               bytes_max.",
        sample: r#""30d""#,
        ..PLAIN
    },
    Setting {
        key: "history.bytes_max",
        flag: None,
        env: "ANDON_HISTORY_BYTES_MAX",
        value_name: "SIZE",
        default: "1GB",
        help: "Most room that the history takes on disk",
        more: "50 nodes in a full mesh need a fraction of 1GB in 30 days. While the disk has \
               less than 64 MiB free, recording pauses. 1MB to 10TB.",
        sample: r#""1GB""#,
        ..PLAIN
    },
    Setting {
        key: "store.keep",
        flag: Some("keep"),
        env: "ANDON_STORE_KEEP",
        value_name: "auto|true|false",
        default: "auto",
        help: "Whether this node keeps events",
        more: "`true` makes it a keeper, to which the others send theirs. `auto` keeps its own \
               while the grid has no keeper, and sends them there once it has. `false` keeps \
               none: its events wait in a queue on its disk for a keeper. Any node answers \
               questions about all events; with more than some twenty nodes name keepers.",
        sample: r#""auto""#,
        written: Written::Word,
        ..PLAIN
    },
    Setting {
        key: "store.path",
        flag: None,
        env: "ANDON_STORE_PATH",
        value_name: "DIR",
        default: "events in the data directory",
        help: "Where events are kept",
        more: "Best on a disk of its own, so that events never fill that of the system.",
        sample: r#""/var/lib/andon/events""#,
        ..PLAIN
    },
    Setting {
        key: "store.age_max",
        flag: None,
        env: "ANDON_STORE_AGE_MAX",
        value_name: "TIME",
        default: "30d",
        help: "How long events are kept",
        more: "Counted from when they arrive, so that what is imported from long ago stays as long. 1h to 3650d; \
               [store.retention] has other times for single datasets.",
        sample: r#""30d""#,
        ..PLAIN
    },
    Setting {
        key: "store.bytes_max",
        flag: None,
        env: "ANDON_STORE_BYTES_MAX",
        value_name: "SIZE",
        default: "10GB",
        help: "Most room that events take on disk",
        more: "The oldest go first. An event of ten keys takes some 16 bytes. 1MB to 10TB.",
        sample: r#""10GB""#,
        ..PLAIN
    },
    Setting {
        key: "store.warm_bytes_max",
        flag: None,
        env: "ANDON_STORE_WARM_BYTES_MAX",
        value_name: "SIZE",
        default: "96MiB",
        help: "Most memory for columns that stay decoded between questions",
        more: "Given back two minutes after the last question. A question reads two bytes an event \
               of each key that it asks about; what does not fit is read from disk each time. Copies \
               of other keepers' events have a quarter each. 1MB to 10TB.",
        sample: r#""96MiB""#,
        ..PLAIN
    },
    Setting {
        key: "store.retention",
        flag: None,
        env: "ANDON_STORE_RETENTION",
        shape: Shape::Map,
        value_name: "DATASET=TIME SIZE",
        default: "none: age_max and bytes_max for all",
        help: "How long and in how much room single datasets are kept",
        more: "A time, a size or both.",
        sample: r#"logs = "7d 2GB""#,
        ..PLAIN
    },
    Setting {
        key: "store.copies",
        flag: None,
        env: "ANDON_STORE_COPIES",
        written: Written::Number,
        value_name: "1|2",
        default: "2",
        help: "How many keepers have each event, where the grid has two or more",
        more: "With 2, either keeper may be lost, and each needs the room of bytes_max twice. \
               With 1 keepers share the nodes. The same on every node.",
        sample: "2",
        ..PLAIN
    },
    Setting {
        key: "store.clickhouse",
        flag: None,
        env: "ANDON_STORE_CLICKHOUSE",
        shape: Shape::List,
        value_name: "URL",
        default: "none: the embedded store",
        help: "Keep events on ClickHouse instead, when one machine is outgrown",
        more: "`http://user:password@host:8123` of each server; the same on every node. The \
               schema is made and migrated by Andon; `andon store migrate` moves what the \
               embedded store has.",
        sample: r#"["http://127.0.0.1:8123"]"#,
        secret: true,
        ..PLAIN
    },
    Setting {
        key: "store.clickhouse_database",
        flag: None,
        env: "ANDON_STORE_CLICKHOUSE_DATABASE",
        value_name: "NAME",
        default: "andon",
        help: "The database that Andon keeps its tables in",
        more: "Made if it is not there.",
        sample: r#""andon""#,
        ..PLAIN
    },
    Setting {
        key: "store.clickhouse_cluster",
        flag: None,
        env: "ANDON_STORE_CLICKHOUSE_CLUSTER",
        value_name: "NAME",
        default: "none",
        help: "The cluster as the servers' system.clusters calls it",
        more: "Needed with several servers.",
        sample: r#""andon""#,
        ..PLAIN
    },
    Setting {
        key: "spool.bytes_max",
        flag: None,
        env: "ANDON_SPOOL_BYTES_MAX",
        value_name: "SIZE",
        default: "1GB",
        help: "Most room of one stream's queue on disk, while no keeper can be reached",
        more: "A stream is a dataset. 1MB to 10TB.",
        sample: r#""1GB""#,
        ..PLAIN
    },
    Setting {
        key: "spool.policy",
        flag: None,
        env: "ANDON_SPOOL_POLICY",
        value_name: "block|drop_oldest|drop_newest",
        default: "block, but drop_oldest for metrics",
        help: "What happens when a queue is full",
        more: "`block` stops reading files and asks clients to wait; what is dropped otherwise \
               is counted in /metrics and at /api/v1/spool.",
        sample: r#""block""#,
        ..PLAIN
    },
    Setting {
        key: "spool.streams",
        flag: None,
        env: "ANDON_SPOOL_STREAMS",
        shape: Shape::Map,
        value_name: "DATASET=WORDS",
        default: "metrics = \"drop_oldest low\"",
        help: "The same for single streams: a policy, a size, and a priority (high, normal, low)",
        more: "Streams of a higher priority are sent first.",
        sample: r#"audit = "block high 5GB""#,
        ..PLAIN
    },
    Setting {
        key: "spool.nats",
        flag: None,
        env: "ANDON_SPOOL_NATS",
        shape: Shape::List,
        value_name: "URL",
        default: "none: over the nodes' own TLS",
        help: "Bring events to keepers over NATS JetStream, where sites reach each other by it",
        more: "`nats://host:4222`, `tls://user:password@host:4222` or `nats://token@host:4222`; \
               several are servers of one cluster. On nodes whose events go this way, and on \
               the keepers (`[store] keep = true`) that take them. Events are sealed with the \
               grid key: NATS cannot read them. See docs/nats.md.",
        sample: r#"["nats://nats.example.com:4222"]"#,
        secret: true,
        ..PLAIN
    },
    Setting {
        key: "spool.nats_creds",
        flag: None,
        env: "ANDON_SPOOL_NATS_CREDS",
        value_name: "FILE",
        default: "none",
        help: "A credentials file of NATS, with a JWT and the seed of its key",
        more: "As `nsc generate creds` writes it. Read at each connection.",
        sample: r#""/etc/andon/nats.creds""#,
        ..PLAIN
    },
    Setting {
        key: "spool.nats_stream",
        flag: None,
        env: "ANDON_SPOOL_NATS_STREAM",
        value_name: "NAME",
        default: "andon",
        help: "The stream on JetStream, made by the first keeper if it is not there",
        more: "The same on all nodes of a grid; another for each grid on one NATS account. \
               Subjects are andon.events.NAME.SITE.NODE.KEEPER.",
        sample: r#""andon""#,
        ..PLAIN
    },
    Setting {
        key: "spool.nats_bytes_max",
        flag: None,
        env: "ANDON_SPOOL_NATS_BYTES_MAX",
        value_name: "SIZE",
        default: "10GB",
        help: "Most room of the stream, where Andon makes it",
        more: "When it is full, events wait on their nodes; none is dropped there. 1MB to 10TB.",
        sample: r#""10GB""#,
        ..PLAIN
    },
    Setting {
        key: "spool.nats_replicas",
        flag: None,
        env: "ANDON_SPOOL_NATS_REPLICAS",
        written: Written::Number,
        value_name: "NUMBER",
        default: "1",
        help: "NATS servers that have each message, where Andon makes the stream",
        more: "3 in a cluster of three servers or more. 1 to 5.",
        sample: "3",
        ..PLAIN
    },
    Setting {
        key: "ingest.loopback",
        flag: None,
        env: "ANDON_INGEST_LOOPBACK",
        written: Written::Switch,
        value_name: "true|false",
        default: "true",
        help: "Whoever is on this machine may send events without a token",
        more: "Others need a token with the role ingest or operator. Set it to false on \
               machines that strangers share.",
        sample: "true",
        ..PLAIN
    },
    Setting {
        key: "ingest.otlp",
        flag: None,
        env: "ANDON_INGEST_OTLP",
        value_name: "IP|off",
        default: "off",
        help: "Take OpenTelemetry's exports on its own ports too: 4317 (gRPC) and 4318 (HTTP)",
        more: "At this address of the machine, in clear and without tokens, as exporters expect \
               it; 127.0.0.1 is for this machine alone. OTLP over HTTP is always taken on the \
               one port.",
        sample: r#""127.0.0.1""#,
        ..PLAIN
    },
    Setting {
        key: "notify.console",
        flag: None,
        env: "ANDON_NOTIFY_CONSOLE",
        value_name: "URL",
        default: "the node's own address",
        help: "Where people open the console, for the links in messages",
        more: "Best a name that works from everywhere and leads to any living node.",
        sample: r#""https://andon.example.com""#,
        ..PLAIN
    },
    Setting {
        key: "gridbug.key",
        flag: None,
        env: "ANDON_GRIDBUG_KEY",
        value_name: "KEY",
        default: "none: GridBug is off",
        help: "The GRIDKEY of a GridBug grid to live in while it is being replaced",
        more: "Setting it makes this node answer GridBug's HTTP calls, in clear as that \
               protocol is.",
        sample: r#""their GRIDKEY""#,
        secret: true,
        ..PLAIN
    },
    Setting {
        key: "gridbug.seeds",
        flag: Some("gridbug-seed"),
        env: "ANDON_GRIDBUG_SEEDS",
        shape: Shape::List,
        value_name: "HOST:PORT",
        default: "none",
        help: "First GridBug neighbours",
        more: "",
        sample: r#"["10.0.1.9:8777"]"#,
        ..PLAIN
    },
    Setting {
        key: "gridbug.poll",
        flag: Some("gridbug-poll"),
        env: "ANDON_GRIDBUG_POLL",
        value_name: "TIME",
        default: "10s",
        help: "Time between polls of a GridBug neighbour",
        more: "1s to 5m; GridBug's own is about 10s.",
        sample: r#""10s""#,
        ..PLAIN
    },
];

/// The setting of that dotted key.
pub fn by_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Tables of `andon.toml` that hold settings, with a line for the sample.
pub const TABLES: &[(&str, &str)] = &[
    ("probe", "How links between nodes are probed."),
    ("http", "Who may reach the console and the API."),
    ("history", "What the node keeps of what it showed."),
    (
        "store",
        "Events: logs, metrics, traces and whatever else is sent. Read at the start of the node.",
    ),
    (
        "spool",
        "Queues on this node's disk for events on their way to a keeper.",
    ),
    (
        "ingest",
        "What the node takes in by itself, see docs/events.md. This machine's own metrics are \
         taken without any of it. Read at the start of the node.",
    ),
    (
        "notify",
        "Whom to tell of incidents: routes, silences and maintenance, see docs/notify.md. The \
         same on every node that has a route: the grid tells an incident once.",
    ),
    (
        "gridbug",
        "Living in an existing GridBug grid while people migrate. Off unless key is set.",
    ),
];
