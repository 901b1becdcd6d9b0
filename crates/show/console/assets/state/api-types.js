// @ts-check
// The documents of the API. Made from its OpenAPI description; do not edit, but run
//   cargo run -p andon-api --example api_types > crates/show/console/assets/state/api-types.js
// A test of andon-api fails while this file is not what that prints.

/**
 * What comes back.
 * @typedef {object} Answer
 * @property {Column[]} columns - What the cells of each row are.
 * @property {Exemplar[]} [exemplars] - Raw events that stand for others, as many as were asked for.
 * @property {string|null} [from] - Begin of the time that was asked about, settled; with [`Answer::to`] the same events can be asked about again while time goes on.
 * @property {string[]} [notes] - What is missing and why, and what else is good to know.
 * @property {boolean} partial - Something that belongs to it is missing; `notes` say what.
 * @property {unknown[][]} rows - Cells in the order of the columns; `null` where there is nothing.
 * @property {QueryStats} stats - What it cost.
 * @property {string|null} [to] - Its end; events at this moment do not belong to it.
 */

/** @typedef {Query|TextQuery} AnyQuery A question in either form. */

/** @typedef {AuditRecord&{hash: string}} AuditLine A record with its hash. */

/**
 * The end of the audit log.
 * @typedef {object} AuditList
 * @property {AuditLine[]} records - Newest first.
 */

/**
 * A line of the log.
 * @typedef {object} AuditRecord
 * @property {string} action - What was done.
 * @property {string} actor - By whom.
 * @property {string} detail - Anything else worth knowing.
 * @property {string} prev - Hash of the record before.
 * @property {number} seq - Counts from 1.
 * @property {string} subject - To what.
 * @property {string} ts - When.
 */

/**
 * What an incident hits.
 * @typedef {object} BlastRadius
 * @property {FlowHits|null} [flows]
 * @property {string[]} links - Links hit, as `from→to`; sorted, at most 200.
 * @property {number} links_total - How many links are hit in all.
 * @property {string[]} nodes - Ids of nodes that are down, cut off or at an end of a link hit; sorted.
 * @property {string[]} services - Targets and services hit; sorted.
 * @property {number|null} [share] - Share of all probed flows of the grid that fail, 0..=1.
 * @property {string[]} sites - Their sites; sorted.
 */

/**
 * One calculation over the events of a group.
 * @typedef {object} Calc
 * @property {string|null} [key] - Needed by all but `count`, `rate`, `error_share` and `percent`.
 * @property {CalcOp} op - What is worked out.
 */

/** @typedef {"count"|"rate"|"sum"|"avg"|"min"|"max"|"p50"|"p90"|"p95"|"p99"|"p999"|"error_share"|"distinct"|"percent"|"heatmap"} CalcOp What can be worked out. Quantiles are within 1 % of the exact value. */

/**
 * One change.
 * @typedef {object} Change
 * @property {string} at - When, by the clock of the node that kept it.
 * @property {string|null} [from] - The observer, where it is about a link.
 * @property {ChangeKind} kind - What kind of thing.
 * @property {string|null} [state] - The state that it changed to; of a verdict its kind.
 * @property {string} subject - What it is about: a node's id, `from→to`, a verdict's subject, an incident's id.
 * @property {string} text - In words.
 * @property {string|null} [to] - The far end, where it is about a link.
 * @property {string|null} [was] - The state that it changed from.
 */

/** @typedef {"link_state"|"node_state"|"verdict_opened"|"verdict_cleared"|"incident"} ChangeKind What kind of thing changed. */

/**
 * One column.
 * @typedef {object} Column
 * @property {ColumnKind} kind - What its cells are.
 * @property {string} name - `time`, a key of `group_by`, or a calculation such as `p99(duration_ms)`.
 */

/** @typedef {"time"|"key"|"number"|"heatmap"} ColumnKind What the cells of a column are. */

/**
 * The picture, compact.
 * @typedef {object} Columns
 * @property {string} digest
 * @property {string} generated_at
 * @property {LinkColumns} links
 * @property {string} me
 * @property {NodeView[]} nodes - As in the whole picture; `links.from` and `links.to` are indices into it.
 * @property {Verdict[]} verdicts
 */

/**
 * One proposal.
 * @typedef {object} CompletionDocument
 * @property {string} about - A few words on it; may be empty.
 * @property {number} from - First byte of what it replaces.
 * @property {string} kind - `dataset`, `word`, `calc`, `operator`, `key`, `value`, `column` or `span`.
 * @property {string} text - What to put into the text.
 * @property {number} to - The byte after it.
 */

/**
 * What could come next.
 * @typedef {object} CompletionsDocument
 * @property {CompletionDocument[]} completions - In the order to offer them.
 */

/**
 * A token to be made.
 * @typedef {object} CreateToken
 * @property {number|null} [expires_s] - Seconds until it ends; absent: never.
 * @property {string} name - Unique; letters, digits and `. _ -`.
 * @property {Role} role - What its bearer may do.
 */

/** @typedef {TokenInfo&{token: string}} CreatedToken A token just made. */

/**
 * One dataset.
 * @typedef {object} DatasetDocument
 * @property {number} bytes - Bytes on disk.
 * @property {string|null} [from] - Its oldest event.
 * @property {string} name - What it is called.
 * @property {number} rows - Events in it; 0 where that is not known.
 * @property {string|null} [to] - Its newest event.
 */

/**
 * The changes from one picture to the next.
 * @typedef {object} Delta
 * @property {string} digest
 * @property {string} generated_at
 * @property {Gone} gone - What is no more.
 * @property {LinkView[]} links - Links that are new or changed.
 * @property {NodeView[]} nodes - Nodes that are new or changed.
 * @property {Verdict[]} verdicts - All verdicts.
 */

/**
 * Some of a question's events, held against its others.
 * @typedef {object} Differ
 * @property {When|null} [from]
 * @property {When|null} [to]
 * @property {Filter[]} [where] - All hold for them.
 */

/**
 * What happened and what to do next.
 * @typedef {object} ErrorBody
 * @property {string} code - Short and stable, for programs.
 * @property {string} help - What to do next.
 * @property {string} message - What happened, to what.
 */

/**
 * The body of every error.
 * @typedef {object} ErrorDocument
 * @property {ErrorBody} error - The error.
 */

/**
 * What became of events that were sent.
 * @typedef {object} EventsDocument
 * @property {number} accepted - Events that are kept; they are on disk.
 * @property {string|null} [error] - Why the rest of the body was not read, if it was not.
 * @property {RejectedLine[]} rejected - The first 100 lines that are not.
 * @property {number} rejected_total - All lines that are not.
 */

/**
 * One observation that a verdict rests on.
 * @typedef {object} Evidence
 * @property {string} observation - What it observed, in words.
 * @property {string} observer - Id of the node that observed it.
 * @property {Timestamp|null} [since]
 * @property {boolean} supports - Speaks for the verdict (`true`) or against it.
 */

/**
 * A raw event that stands for others.
 * @typedef {object} Exemplar
 * @property {Timestamp} at - When it happened.
 * @property {Record<string, unknown>} attributes - All its attributes.
 * @property {ExemplarKind} why - Why it was picked.
 */

/** @typedef {"slowest"|"failed"|"typical"} ExemplarKind Why an exemplar was picked. */

/**
 * One condition.
 * @typedef {object} Filter
 * @property {string} key - The attribute.
 * @property {FilterOp} op - How it is held against the value.
 * @property {unknown} [value] - One value; a list for `in`; none for `exists`.
 */

/** @typedef {"="|"!="|"<"|"<="|">"|">="|"in"|"contains"|"matches"|"exists"} FilterOp How a condition compares. Numbers compare as numbers, texts as texts; a key of the other kind fails. */

/**
 * Flows of a link that answer, of those probed.
 * @typedef {object} FlowCount
 * @property {number} ok - Flows that answer.
 * @property {number} total - Flows probed.
 */

/**
 * Flows that fail, of those that are probed.
 * @typedef {object} FlowHits
 * @property {number} failed - Flows that fail.
 * @property {number} total - Flows probed on the links that are hit.
 */

/**
 * What is no more.
 * @typedef {object} Gone
 * @property {string[][]} links - Pairs of ids, from and to.
 * @property {string[]} nodes - Ids.
 */

/** @typedef {"not_expected"|"arriving"|"silent"} Heard Whether the far node's own probes arrive here. This is what tells the directions of a failing link apart: no answer while the far end's probes still arrive mean */

/**
 * How the host itself fares, so that a busy host is never drawn as a bad network.
 * @typedef {object} HostHealth
 * @property {boolean} busy - So late that its latency figures are not to be trusted.
 * @property {number} scheduling_delay_us_p99 - How late the prober was woken lately (99th percentile), quantised, microseconds.
 */

/**
 * One incident. This is the document of `GET /api/v1/incidents`, and its field names are a promise.
 * @typedef {object} Incident
 * @property {string|null} [acknowledged_by] - Who has taken note of it.
 * @property {string[]} [aliases] - Ids under which it was known before, to this node or others; sorted.
 * @property {BlastRadius} blast_radius - What it hits, or hit at its worst.
 * @property {string} cause - The leading verdict's id: what makes two incidents the same.
 * @property {string} id - From cause and start, so that nodes which act alone agree.
 * @property {Timestamp} opened_at - Start of the first symptom.
 * @property {string|null} [owner] - Who works on it.
 * @property {number} reopened - How often it came back.
 * @property {Timestamp|null} [resolved_at]
 * @property {Severity} severity - The highest that it reached.
 * @property {IncidentState} state - How far it is.
 * @property {string} status_page - A draft for the status page, without names of hosts or addresses.
 * @property {TimelineEntry[]} timeline - Oldest first.
 * @property {string} title - The leading verdict's sentence, short.
 * @property {Verdict[]} verdicts - Verdicts that belong to it: those that stand, then those that stood last.
 */

/** @typedef {"open"|"mitigated"|"resolved"} IncidentState How far an incident is. */

/**
 * Values of another dataset beside each event.
 * @typedef {object} Join
 * @property {string} dataset - Where to look it up.
 * @property {string} on - Key that both have. Of several rows with it the last one not after the event counts, else the first.
 * @property {string[]} take - Keys to take over; they can be filtered, grouped and calculated by as `<dataset>.<key>`, and as `<key>` where the event has none of that name.
 */

/**
 * One key of a dataset.
 * @typedef {object} KeyDocument
 * @property {string} name - What it is called.
 * @property {number} rows - Events that have it; 0 where that is not known.
 * @property {string[]} types - Types that its values have: `bool`, `integer`, `float`, `text`.
 */

/**
 * Links, one array a field; the same index is the same link in all of them.
 * @typedef {object} LinkColumns
 * @property {number} dangling - Links left out since an end of theirs is not in `nodes`.
 * @property {Record<string, string>} detail - What targets answered, in words, by the link's index: few links have it.
 * @property {number[]} from - Index of the observer in `nodes`.
 * @property {number[]} heard - Index in `hearings`.
 * @property {Heard[]} hearings - The names of the codes in `heard`.
 * @property {(number|null)[]} loss_forward - Permille, `null` where not measured.
 * @property {(number|null)[]} loss_return - Permille, `null` where not measured.
 * @property {number[]} ok - Flows that answer.
 * @property {(number|null)[]} reason - Index in `reasons`, where the link is not up.
 * @property {LinkReason[]} reasons - The names of the codes in `reason`.
 * @property {(number|null)[]} round_trip - Index in `states` of what the observer's own round trips say, where that differs.
 * @property {(number|null)[]} rtt_baseline - The usual median, microseconds.
 * @property {(number|null)[]} rtt_p50 - Microseconds.
 * @property {(number|null)[]} rtt_p99 - Microseconds.
 * @property {(number|null)[]} since - Milliseconds since 1970.
 * @property {number[]} state - Index in `states`.
 * @property {LinkState[]} states - The names of the codes in `state`.
 * @property {number[]} to - Index of the far end in `nodes`.
 * @property {number[]} total - Flows probed.
 * @property {(number|null)[]} transport - Index in `transports`.
 * @property {Transport[]} transports - The names of the codes in `transport`.
 * @property {number[]} via - 1 through a *via* address.
 */

/**
 * One step of a link.
 * @typedef {object} LinkPoint
 * @property {string} at - Its begin.
 * @property {number} flows_ok - Flows that answered, the fewest within.
 * @property {number} flows_total - Flows that were probed then.
 * @property {number|null} [loss_forward] - Share lost on the way there, 0..=1, the worst within; `null` where not measured.
 * @property {number|null} [loss_return] - Share lost on the way back, 0..=1, the worst within; `null` where not measured.
 * @property {number|null} [rtt_us_p50] - Median round trip, microseconds; of several minutes the middle one.
 * @property {number|null} [rtt_us_p99] - 99th percentile of round trips, microseconds, the worst within.
 * @property {string} state - The worst state within.
 */

/** @typedef {"loss"|"latency"|"refused"|"answer"|"silent"|"mtu"} LinkReason Why a link is degraded or down, in the observer's words. */

/**
 * How one link fared.
 * @typedef {object} LinkSeries
 * @property {string} from - The observer.
 * @property {LinkPoint[]} points - Oldest first. Time in which nothing was recorded has no points.
 * @property {number} step_s - Seconds that a point stands for: 60 or a multiple of it.
 * @property {string} to - The far end.
 */

/** @typedef {"up"|"partial"|"degraded"|"down"|"unknown"|"not_probed"|"left"} LinkState State of a link in its direction. */

/**
 * A directed link.
 * @typedef {object} LinkView
 * @property {string|null} [detail] - What a target answered, in words.
 * @property {FlowCount} flows - Flows that answer.
 * @property {Name} from - Id of the observer.
 * @property {Heard} heard - Whether the far node's probes arrive at the observer.
 * @property {LossPair} loss - Loss each way, 0..=1; `null` where not measured.
 * @property {LinkReason|null} [reason]
 * @property {LinkState|null} [round_trip]
 * @property {number|null} [rtt_baseline_us] - The usual median of this link, microseconds.
 * @property {RttUs} rtt_us - Round-trip time, microseconds; `null` where not measured.
 * @property {Timestamp|null} [since]
 * @property {LinkState} state - State in this direction, from the evidence of both ends.
 * @property {Name} to - Id of the node or target observed.
 * @property {Transport|null} [transport]
 * @property {boolean} via - Through a *via* address.
 */

/**
 * What somebody logs in with.
 * @typedef {object} LogIn
 * @property {string} token - A token, or the secret of a one-time link.
 */

/**
 * A session that has begun.
 * @typedef {object} LoggedIn
 * @property {number} expires_s - Seconds until it ends by itself.
 * @property {Role} role
 * @property {string} user
 */

/**
 * Share of packets lost each way, 0..=1; `None` where it was not measured. Source: RFC 7680 (one-way loss), from both ends' sequence numbers (RFC 8762 §4.3).
 * @typedef {object} LossPair
 * @property {number|null} [forward] - From the observer to the far end.
 * @property {number|null} [return] - From the far end back.
 */

/**
 * Who answers, and who asks.
 * @typedef {object} Me
 * @property {boolean} demo - Whether `/api/v1/demo` answers.
 * @property {boolean} gridbug - Whether GridBug's calls are answered.
 * @property {string} id - Id of the answering node.
 * @property {string} proof - How the caller proved it: `loopback`, `token`, `session`, `node`.
 * @property {Role|null} [role]
 * @property {string} site - Its site.
 * @property {string} tokens - How to get more rights.
 * @property {number} uptime_s - Seconds since it started.
 * @property {string} user - Who the caller is: a token's name, a node's id, `loopback`.
 * @property {string} version - Version of its program.
 */

/** @typedef {string} Name The id of a node or target, shared by all links that name it: a thousand nodes have sixty thousand links. */

/**
 * A node with its links and the verdicts about it.
 * @typedef {object} NodeDocument
 * @property {LinkView[]} links_from - Links that it observes.
 * @property {LinkView[]} links_to - Links towards it.
 * @property {NodeView} node - The node.
 * @property {Verdict[]} verdicts - Verdicts that name it.
 */

/** @typedef {string} NodeKey The first eight bytes of a node's Ed25519 public key: who a node is, on the wire and in maps. Ids can clash, keys do not. */

/** @typedef {"andon"|"gridbug"|"target"} NodeKind What a box on the map stands for. */

/** @typedef {"up"|"suspect"|"down"|"left"} NodeState State of a node, from what the others observe. */

/**
 * A node, neighbour or target.
 * @typedef {object} NodeView
 * @property {string[]} addresses - Where it is reached, best first.
 * @property {number|null} [clock_offset_us] - Its clock minus the others' (median of what observers measure), microseconds, where bad.
 * @property {string|null} [fingerprint] - SHA-256 of its certificate, hex.
 * @property {HostHealth|null} [host]
 * @property {string} id - Unique within the document: the node's id, with `~` and the head of its key appended where an earlier node holds the same id.
 * @property {NodeKey|null} [key]
 * @property {NodeKind} kind - What it is.
 * @property {Record<string, string>} labels - Free key-values.
 * @property {Position|null} [position]
 * @property {Reach|null} [reach]
 * @property {Timestamp|null} [since]
 * @property {SiteId|null} [site]
 * @property {Timestamp|null} [started_at]
 * @property {NodeState} state - What the others say of it.
 * @property {string|null} [version] - Version of its program.
 */

/** @typedef {"blackhole"|"loss"|"latency"|"mtu"} PathEffect What a faulty hop does to what passes it. */

/** @typedef {string} PictureDigest Equal on nodes that agree: a combination of the hashes of all rows. */

/**
 * The picture with its verdicts, by name.
 * @typedef {object} PictureView
 * @property {PictureDigest} digest - Equal on nodes that agree.
 * @property {Timestamp} generated_at - When this document was derived, by the answering node's clock.
 * @property {LinkView[]} links - By `from`, then `to`.
 * @property {string} me - Id of the answering node.
 * @property {NodeView[]} nodes - By site, then id.
 * @property {Verdict[]} verdicts - Worst first.
 */

/**
 * Where a node stands on the map: both in 0..=1, the same on every node.
 * @typedef {object} Position
 * @property {number} x - From the left.
 * @property {number} y - From the top.
 */

/**
 * One question. Without `calc` the answer is raw events, newest first.
 * @typedef {object} Query
 * @property {string|null} [bucket] - Width of a time bucket: `10s`, `1m`, `1h`, `1d`; `auto` for about a hundred of them.
 * @property {Calc[]} [calc] - What to work out for each group.
 * @property {string|null} [compare] - The same question at an earlier time, beside: `-1d`.
 * @property {string} dataset - The dataset to look in.
 * @property {Differ|null} [differ]
 * @property {number|null} [exemplars] - Raw events to show beside the answer: of each of the slowest, failed and typical so many.
 * @property {When|null} [from]
 * @property {string[]} [group_by] - One row for each combination of values of these keys.
 * @property {Join|null} [join]
 * @property {number|null} [limit] - Rows at most; [`LIMIT_DEFAULT`] if absent.
 * @property {string[]} [order_by] - Columns of the answer, `-` before one for the largest first. Absent: time, then the first calculation, largest first.
 * @property {number|null} [skip] - Rows that are left out before the first: with `limit` and a fixed time, page after page.
 * @property {When|null} [to]
 * @property {Filter[]} [where] - All must hold.
 */

/**
 * What is wrong, and where.
 * @typedef {object} QueryErrorBody
 * @property {string} code - `query`.
 * @property {string} help - What to write.
 * @property {string} message - The first thing that is wrong.
 * @property {QueryProblem[]} [problems] - Of a document: every field that is wrong.
 * @property {[number, number]|null} [span] - Of a text: the bytes that are meant, from and up to.
 */

/**
 * Why a question was not understood, with every place that is wrong.
 * @typedef {object} QueryErrorDocument
 * @property {QueryErrorBody} error - The error.
 */

/**
 * A field that is wrong.
 * @typedef {object} QueryProblem
 * @property {string|null} [help] - What to write.
 * @property {string} message - What is wrong.
 * @property {string} path - Its path, such as `calc[0].op`.
 */

/**
 * What an answer cost.
 * @typedef {object} QueryStats
 * @property {number} bytes_scanned - Bytes of columns read.
 * @property {number} elapsed_ms - From question to answer, milliseconds.
 * @property {number} rows_scanned - Events looked at.
 */

/**
 * A queue of events that wait for a keeper.
 * @typedef {object} QueueDocument
 * @property {number} arrived - Events that a keeper has.
 * @property {number} bytes - Bytes on disk.
 * @property {number} bytes_max - Bytes on disk at most.
 * @property {number} copies - Events that wait for the keeper of the copies, where there is one.
 * @property {Record<string, number>} dropped - Events that are lost, by reason: `oldest`, `newest`, `damaged`.
 * @property {number} events - Events that wait.
 * @property {number} kept_once - Events that one of two keepers has and the other will never get.
 * @property {string} policy - When it is full: `block`, `drop_oldest`, `drop_newest`.
 * @property {string} priority - `high`, `normal`, `low`.
 * @property {number} pushed - Events that were queued since the node started.
 * @property {number} refused - Events whose senders were asked to wait.
 * @property {string} stream - Its stream: a dataset.
 */

/** @typedef {"open"|"tcp_only"|"outbound"} Reach How others can reach a node. */

/**
 * A line that is not kept.
 * @typedef {object} RejectedLine
 * @property {string} error - Why.
 * @property {number} line - Its number, from 1.
 */

/**
 * What somebody adds to an incident.
 * @typedef {object} RemarkRequest
 * @property {string|null} [owner] - For `own`: whose it is; absent, whoever asks.
 * @property {string|null} [text] - A note, at most 800 bytes; `note` needs it, the others take it along.
 */

/** @typedef {"ingest"|"viewer"|"operator"|"admin"} Role What somebody may do. Each role may do what those before it may, but for [`Role::Ingest`], whose events the others but the viewer may send too. */

/**
 * Round-trip time in microseconds.
 * @typedef {object} RttUs
 * @property {number|null} [p50] - Median; `None` where nothing was measured.
 * @property {number|null} [p99] - 99th percentile.
 */

/** @typedef {"minor"|"major"|"critical"} Severity How much it matters. */

/** @typedef {string} SiteId A place: datacenter, region, office. */

/**
 * From when until when there is history, and what it takes.
 * @typedef {object} Span
 * @property {number} bytes - Bytes on disk.
 * @property {number} bytes_max - Bytes that it may take.
 * @property {string|null} [from] - The first moment; `null` while nothing is recorded.
 * @property {boolean} recording - `false` while the disk is full or cannot be written.
 * @property {string|null} [until] - The last moment.
 */

/**
 * A question as text.
 * @typedef {object} TextQuery
 * @property {string} text - `requests | where status >= 500 | by region, 1m | p99(duration_ms) | last 1h`
 */

/**
 * One line of the timeline.
 * @typedef {object} TimelineEntry
 * @property {Timestamp} at - When, by the clock of the node that noted it.
 * @property {string|null} [by] - Who: a person, or a node.
 * @property {TimelineKind} kind - What happened.
 * @property {string} text - In words.
 */

/** @typedef {"first_symptom"|"verdict"|"changed"|"cleared"|"notified"|"notify_failed"|"acknowledged"|"owned"|"note"|"mitigated"|"reopened"|"resolved"} TimelineKind What a line of the timeline tells of. */

/** @typedef {string} Timestamp UTC in microseconds since 1970. Written as RFC 3339 where people read it. */

/**
 * What is known of a token. Its secret is not.
 * @typedef {object} TokenInfo
 * @property {string} created - When it was made.
 * @property {string|null} [expires] - When it ends; `null` never.
 * @property {string} name - Unique; letters, digits and `. _ -`.
 * @property {Role} role - What its bearer may do.
 */

/**
 * All tokens of this node.
 * @typedef {object} TokenList
 * @property {TokenInfo[]} tokens
 */

/**
 * The ways of some flows from a node to an address.
 * @typedef {object} TraceDocument
 * @property {string} address - The address that was traced to.
 * @property {TraceFlow[]} flows - By flow.
 * @property {string} from - Id of the node that traced.
 * @property {string} started_at - When, by the tracing node's clock.
 * @property {string} to - What was asked for: a node, a target, a host or an address.
 */

/**
 * One flow and its way.
 * @typedef {object} TraceFlow
 * @property {number} [answered] - Of these, answered.
 * @property {TraceHop[]} [hops] - By distance.
 * @property {number} port - Its source port.
 * @property {boolean} [reached] - The trace came through to the far end.
 * @property {number} [sent] - Packets sent to the far end itself.
 * @property {TraceFlowState} state - How its probes fare.
 */

/** @typedef {"alive"|"dead"|"unknown"} TraceFlowState How a flow fares. */

/**
 * What was met at one distance.
 * @typedef {object} TraceHop
 * @property {string[]} [addresses] - Who answered; several where a router balances by packet, none where nobody did.
 * @property {number} [answered] - Of these, answered.
 * @property {TraceHopKind} [kind] - What kind of answer it was.
 * @property {string|null} [matched] - What ties the answer to this distance, where less than usual does: `alone` (no other packet of the flow was on its way), `quote` (the answer quotes the packet's
 * @property {Record<string, unknown>[]} [mpls] - MPLS labels that the answer quotes (RFC 4950).
 * @property {boolean} [nat] - Visible address translation: several routers speak with this one address.
 * @property {number|null} [rtt_us] - Median round trip, microseconds.
 * @property {number} [sent] - Packets sent with this distance.
 * @property {number} ttl - Distance.
 */

/** @typedef {"answered"|"silent"|"several"|"unreachable"|"other"} TraceHopKind What kind of answer came from one distance. */

/**
 * What to trace.
 * @typedef {object} TraceRequest
 * @property {number|null} [flows] - Flows to trace, 1..=64; absent: 16.
 * @property {string|null} [from] - Id of the node to trace from; absent: the one that is asked.
 * @property {string} to - Where to: id of a node or target, a host or an address.
 */

/** @typedef {"udp"|"tcp"|"icmp"|"tcp_connect"|"http"|"tls"|"dns"|"grid_bug"} Transport What carries the probes of a link. */

/**
 * A judgement derived from the picture. Same picture, same verdict, on every node.
 * @typedef {object} Verdict
 * @property {number} confidence - 0..=1: how sure, from how many observers agree and how many could.
 * @property {PathEffect|null} [effect]
 * @property {Evidence[]} evidence - Observations for and against.
 * @property {FlowHits|null} [flows]
 * @property {string|null} [from] - Where the verdict is about a link or a direction.
 * @property {string[]} [hops] - Addresses of the hops that the evidence cannot tell apart as the guilty one, nearest first: one hop, the two ends of a stretch, or a larger set.
 * @property {string} id - Stable while the same thing is wrong: kind and subject.
 * @property {VerdictKind} kind - What is wrong.
 * @property {string[]} [links] - Links hit, as `from→to`; at most 200, sorted.
 * @property {string} sentence - For people: what is wrong, where, and how one can tell.
 * @property {string[]} [services] - Targets and services hit; sorted.
 * @property {Timestamp} since - Earliest observation of it.
 * @property {string} subject - What it is about: a node id, a site, or `from→to`.
 * @property {string|null} [to] - Where the verdict is about a link or a direction.
 */

/** @typedef {"isolated"|"site_cut_off"|"node_down"|"path_fault"|"link_down"|"link_partial"|"degraded"|"target_down"|"heartbeat_missing"|"id_conflict"|"clock_skew"|"host_busy"} VerdictKind What kind of thing is wrong. */

/** @typedef {number|string} When A moment as asked for. */

export {};
