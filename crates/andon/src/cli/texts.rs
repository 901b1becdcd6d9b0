//! Examples at the foot of each command's help. A test runs them through the parser.

pub const TOP: &str = "\
Start here:
  andon demo                      # five nodes on this machine, and plugs that are pulled

Two machines:
  andon keygen > grid.key         # once; then copy grid.key to both
  andon node --site fra --key-file grid.key
  andon node --site nyc --key-file grid.key --join first.example.com:8777
  andon status";

pub const NODE: &str = "\
Examples:
  andon node
  andon node --id web-1 --site fra --key-file grid.key
  andon node --site nyc --key-file grid.key --join 10.0.1.2:8777 --label role=web
  ANDON_INVITE=andon-invite-1.eyJrZXkiOi... andon node
  andon node --advertise 203.0.113.7:18777 --via db-1=198.51.100.4:8777
  andon node --seeds https://example.com/andon-seeds --key-file grid.key

Flags go before ANDON_* variables (ANDON_ID, ANDON_JOIN, ...), these before andon.toml.
`andon config sample` explains every setting, `andon config check` shows where each comes from.
ANDON_LOG filters the log: info, debug, andon_grid=debug,info. SIGHUP reads settings again,
SIGTERM leaves the grid politely.";

pub const DEMO: &str = "\
Examples:
  andon demo
  andon demo --no-script                  # you pull the plugs, with buttons on the page
  andon demo --port 9000 --no-browser

Needs no root and no network. Ctrl-C ends it and leaves nothing behind.";

pub const STATUS: &str = "\
Examples:
  andon status
  andon status --watch
  andon status --json
  andon status --at 2026-11-20T03:20         # as it was; local time, or with Z
  andon status --at -10m
  andon status --node https://10.0.1.2:8777 --insecure
  andon status --node https://10.0.1.2 --fingerprint 5f0e9f4d3c0a6d1f8f3b0c6a2e7d4b1a9c8e7f6d5c4b3a29181706f5e4d3c2b1

Exit code: 0 all is well, 1 something is wrong, 2 cannot tell.
ANDON_NODE and ANDON_TOKEN stand for --node and --token.";

pub const INCIDENT: &str = "\
Examples:
  andon incident list
  andon incident show
  andon incident show inc-7k3m2qx9
  andon incident ack qx9
  andon incident own qx9 --to ada
  andon incident note qx9 rebooted the switch in rack 12
  andon incident resolve qx9

Exit code of list: 0 none is open, 1 some are, 2 cannot tell.
Saying something needs the role operator: give a token with --token or ANDON_TOKEN. Whoever may
write the node's files (--data-dir) needs none.";

pub const TRACE: &str = "\
Examples:
  andon trace db-2                        # from the node on this machine, until Ctrl-C
  andon trace db-2 --from web-1           # from another node of the grid
  andon trace db-2 --flows 64             # finds one bad way of sixteen
  andon trace shop.example.com --rounds 5
  andon trace 10.0.9.2 --json
  andon trace db-2 --node https://10.0.1.2:8777 --token andon_example --insecure

What all flows share stands once; where their ways part there are branches; where the branches
meet again the trunk goes on. ✗ marks where flows end, · · · a hop that answers no trace.
Needs the role operator: a token, or to run as the node's user on its machine (the command then
makes a token for itself and ends it afterwards). Every trace is recorded in the audit log.
Exit code: 0 all flows get through, 1 some are dead, 2 cannot tell.";

pub const QUERY: &str = "\
Examples:
  andon query metrics                                     # the newest events as they are
  andon query 'requests | by region | count, error_share, p99(duration_ms) | last 1h'
  andon query 'requests | where zone = a and status >= 500 | by host | count | top 20 by count'
  andon query 'requests | by 1m | heatmap(duration_ms) | last 3h'
  andon query 'requests | by kernel | p99(duration_ms) | join hosts on host take kernel'
  andon query 'logs | where body contains timeout | last 15m' --json
  andon query 'requests | by region | count | compare -1d' --csv
  andon query '{\"dataset\":\"logs\"}' --node https://10.0.1.2:8777 --insecure

Stages: where, by, calculations, join, last, from, to, top, order, limit, exemplars, compare.
Exit code: 0 answered, 2 the question makes no sense or nobody can answer it.";

pub const IMPORT: &str = "\
Examples:
  andon import requests.ndjson.zst --dataset requests
  andon import access.log access.log.1.gz --dataset web
  andon import hosts.csv --dataset hosts
  andon import - --dataset jobs --format ndjson

The same command again adds what is missing, and nothing twice: a file is known by its path,
size and time. Exit code: 0 all is kept, 1 some lines are not, or it broke off.";

pub const EVENT: &str = "\
Examples:
  andon event send deploy service.name=shop version=1.8.2
  andon event begin backup
  andon event heartbeat nightly-report --every 1d";

pub const EVENT_SEND: &str = "\
Examples:
  andon event send deploy service.name=shop version=1.8.2 status=ok
  andon event send cache-miss --dataset shop key=basket duration_ms=12.5";

pub const EVENT_BEGIN: &str = "\
Examples:
  andon event begin backup database=orders
  andon event begin copy --parent 0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331

In a script: id=$(andon event begin backup) and at its end: andon event end $id";

pub const EVENT_END: &str = "\
Examples:
  andon event end 0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331
  andon event end 0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331 --status error rows=7";

pub const EVENT_HEARTBEAT: &str = "\
Examples:
  andon event heartbeat nightly-report --every 1d
  andon event heartbeat replication --every 30s --grace 2m id=db1
  andon event heartbeat nightly-report --stop

One that stops is a verdict on every node, opens an incident and notifies, until beats come
back or --stop says that there will be no more. id=... tells apart several of one name.";

pub const STORE: &str = "\
Examples:
  andon store check
  andon store repair --data-dir /var/lib/andon
  andon store export requests --from -1d
  andon store migrate --config /etc/andon/andon.toml

The node must not run: a running one is asked with `andon query`.";

pub const STORE_CHECK: &str = "\
Examples:
  andon store check
  andon store check --data-dir /var/lib/andon --json

Exit code: 0 all is whole, 1 something is damaged.";

pub const STORE_REPAIR: &str = "\
Examples:
  andon store repair

Damaged files stay in the folder `damaged` of the store.";

pub const STORE_EXPORT: &str = "\
Examples:
  andon store export                      # the datasets
  andon store export requests > requests.ndjson
  andon store export requests --format parquet > requests.parquet
  andon store export requests --from 2026-11-20T00:00:00Z --to -1h";

pub const STORE_MIGRATE: &str = "\
Examples:
  andon store migrate --config /etc/andon/andon.toml

Nothing comes twice: Ctrl-C stops it, the same command goes on.";

pub const KEYGEN: &str = "\
Examples:
  andon keygen > grid.key

The key admits nodes to the grid: keep the file private (chmod 600) and copy it to every node.";

pub const INVITE: &str = "\
Examples:
  andon invite
  andon invite --site nyc --expires 1h
  andon invite --address 203.0.113.7:8777

The line holds the grid key: send it as you would send a password. After its time `andon node`
refuses it, but the key inside stays valid: if a line got into wrong hands, rotate the key
(`andon key rotate`).";

pub const TOKEN: &str = "\
Examples:
  andon token create --name board --role viewer --expires 30d
  andon token list
  andon token revoke board";

pub const AUDIT: &str = "\
Examples:
  andon audit verify
  andon audit verify --data-dir /var/lib/andon";

pub const KEY: &str = "\
Examples:
  andon key rotate                        # the steps, and which comes next
  andon key list --key-file grid.key
  andon key add --key-file grid.key       # step 1, on one node: makes a key and prints it
  andon key add --from new.key            # step 1, on all others
  andon key promote 1b2c3d4e              # step 2, everywhere: seal with it
  andon key drop 5f6a7b8c                 # step 3, everywhere: the old one opens nothing any more

A running node reads its key file again on SIGHUP.";

pub const LAB: &str = "\
Examples:
  andon lab run lab/scenarios/fulfilment.toml
  andon lab run lab/scenarios/fulfilment.toml --repeat 20
  andon lab run lab/scenarios/fulfilment.toml --peers
  andon lab run --all
  andon lab up lab/scenarios/fulfilment.toml
  andon lab fault hole on
  andon lab down
  andon lab check

Needs Linux with iproute2 and nftables, and root or unprivileged user namespaces.
Exit code: 0 as expected, 1 not so, 2 a mistake in the scenario, 3 cannot run here.";

pub const NOTIFY: &str = "\
Examples:
  andon notify list
  andon notify test oncall
  andon notify test mail --config /etc/andon/andon.toml --json

Exit code of test: 0 the other side took it, 1 it did not, 2 there is no such route.
Routes are written in andon.toml: `andon config sample` shows how, docs/notify.md has one of each kind.";

pub const CONFIG: &str = "\
Examples:
  andon config check
  andon config check --config andon.toml --json
  andon config sample > andon.toml";

pub const OPENAPI: &str = "\
Examples:
  andon openapi > andon-openapi.json";

pub const COMPLETIONS: &str = "\
Examples:
  andon completions bash > /etc/bash_completion.d/andon
  andon completions zsh > ~/.zfunc/_andon

In bash questions are completed too, by the node that they are asked of: the names of what was sent.";

pub const MAN: &str = "\
Examples:
  andon man > /usr/local/share/man/man1/andon.1";

/// All of them, for the test.
#[cfg(test)]
pub const ALL: &[&str] = &[
    TOP,
    NODE,
    DEMO,
    STATUS,
    TRACE,
    INCIDENT,
    QUERY,
    IMPORT,
    EVENT,
    EVENT_SEND,
    EVENT_BEGIN,
    EVENT_END,
    EVENT_HEARTBEAT,
    STORE,
    STORE_CHECK,
    STORE_REPAIR,
    STORE_EXPORT,
    STORE_MIGRATE,
    KEYGEN,
    INVITE,
    TOKEN,
    AUDIT,
    KEY,
    LAB,
    NOTIFY,
    CONFIG,
    OPENAPI,
    COMPLETIONS,
    MAN,
];
