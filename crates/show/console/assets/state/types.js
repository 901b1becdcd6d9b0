// @ts-check
// The shapes that the parts of the console hand to each other. No code.

/** @typedef {"up"|"partial"|"degraded"|"down"|"unknown"|"not_probed"|"left"} LinkState */
/** @typedef {"up"|"suspect"|"down"|"left"} NodeState */
/** @typedef {"good"|"warn"|"bad"|"mute"} Tone How a state feels; each tone is a colour in tokens.css. */
/** @typedef {"disc"|"half"|"triangle"|"cross"|"dashed"|"dotted"|"ring"|"square"} Shape */

/**
 * A node, neighbour or target, as the API sends it (crates/model/src/view.rs).
 * @typedef {object} NodeView
 * @property {string} id
 * @property {string|null} [key]
 * @property {string|null} site
 * @property {"andon"|"gridbug"|"target"} kind
 * @property {NodeState} state
 * @property {string|null} since RFC 3339
 * @property {string[]} addresses
 * @property {Record<string,string>} labels
 * @property {string|null} version
 * @property {string|null} [started_at]
 * @property {"open"|"tcp_only"|"outbound"|null} [reach]
 * @property {{scheduling_delay_us_p99:number, busy:boolean}|null} [host]
 * @property {number|null} [clock_offset_us]
 * @property {string|null} [fingerprint]
 * @property {{x:number,y:number}|null} [position]
 */

/**
 * A directed link, as the API sends it in the full form.
 * @typedef {object} LinkView
 * @property {string} from
 * @property {string} to
 * @property {LinkState} state
 * @property {string|null} [reason]
 * @property {LinkState} [round_trip]
 * @property {string|null} [transport]
 * @property {{ok:number,total:number}} flows
 * @property {{forward:number|null,return:number|null}} loss
 * @property {{p50:number|null,p99:number|null}} rtt_us
 * @property {number|null} [rtt_baseline_us]
 * @property {string} [heard]
 * @property {string|null} since
 * @property {boolean} [via]
 * @property {string} [detail]
 */

/**
 * @typedef {object} Evidence
 * @property {string} observer
 * @property {string} observation
 * @property {boolean} supports
 * @property {string|null} since
 */

/**
 * @typedef {object} Verdict
 * @property {string} id
 * @property {string} kind
 * @property {string} subject
 * @property {string} sentence
 * @property {number} confidence 0..1
 * @property {Evidence[]} evidence
 * @property {string} since
 * @property {string} [from]
 * @property {string} [to]
 */

/**
 * What the columns form leaves out; known for a link once a delta told of it.
 * @typedef {object} LinkMore
 * @property {string|null} reason
 * @property {LinkState|null} roundTrip
 * @property {string|null} transport
 * @property {string|null} heard
 * @property {number|null} baselineUs
 * @property {boolean} via
 * @property {string|null} detail
 */

/**
 * All links, one array a field; `NaN` stands for "not measured".
 * @typedef {object} Links
 * @property {number} count
 * @property {Uint32Array} from Index into `Picture.nodes`.
 * @property {Uint32Array} to
 * @property {Uint8Array} state Index into `STATES`.
 * @property {Uint16Array} ok
 * @property {Uint16Array} total
 * @property {Float32Array} lossForward 0..1
 * @property {Float32Array} lossReturn 0..1
 * @property {Float64Array} rttP50 microseconds
 * @property {Float64Array} rttP99 microseconds
 * @property {Float64Array} since epoch milliseconds
 * @property {(LinkMore|null)[]} more
 */

/**
 * The picture as the console holds it. Never changed in place.
 * @typedef {object} Picture
 * @property {string} digest
 * @property {number} generatedAt epoch milliseconds, by the answering node's clock
 * @property {string} me
 * @property {NodeView[]} nodes
 * @property {Map<string,number>} index Id to index.
 * @property {Links} links
 * @property {Verdict[]} verdicts Worst first.
 */

/**
 * One link, read out of the columns; `null` stands for "not measured".
 * @typedef {object} Link
 * @property {number} at Index into the columns.
 * @property {string} from
 * @property {string} to
 * @property {LinkState} state
 * @property {number} ok
 * @property {number} total
 * @property {number|null} lossForward
 * @property {number|null} lossReturn
 * @property {number|null} rttP50
 * @property {number|null} rttP99
 * @property {number|null} since
 * @property {LinkMore|null} more
 */

/**
 * What is looked at; all of it stands in the URL.
 * @typedef {object} Route
 * @property {"grid"|"board"|"login"} page
 * @property {"map"|"matrix"|"list"|null} view `null`: whichever suits the size of the grid.
 * @property {Selection|null} selection
 * @property {string|null} verdict Id of the verdict that is pointed at.
 * @property {[string,string]|null} scope Pair of sites that the matrix or list is narrowed to.
 * @property {"links"|"nodes"|"pairs"} list
 * @property {boolean} troubled Only what is not up.
 */

/** @typedef {{kind:"node",id:string}|{kind:"link",from:string,to:string}|{kind:"site",id:string}|{kind:"pair",from:string,to:string}} Selection */

/**
 * How the console stands to its node.
 * @typedef {object} Connection
 * @property {"connecting"|"live"|"lost"|"refused"} state
 * @property {number|null} heardAt Monotonic milliseconds of the last event.
 * @property {string|null} problem
 */

/**
 * @typedef {object} Me
 * @property {string} id
 * @property {string} site
 * @property {string} version
 * @property {number} uptime_s
 * @property {string} [role]
 * @property {string} [user]
 * @property {"none"|"loopback"|"token"|"session"|"node"} [proof]
 * @property {boolean} [demo]
 */

/**
 * @typedef {object} Demo
 * @property {string|null} [step]
 * @property {string|null} [title]
 * @property {{t_s:number, who:"demo"|"andon", text:string}[]} log
 * @property {{id:string,label:string,active:boolean,kind:string}[]} faults
 * @property {"running"|"paused"|"off"|"done"} [script]
 */

/** @typedef {{at:number, key:string|null, again?:boolean, weight:number, topics:string[], within:string[], tone:Tone, shape:Shape, text:string, selection:Selection|null}} Change
 * `key`: id of the verdict that it tells of; `again`: the same verdict, said anew; `topics`:
 * links, nodes and sites that it is about; `within`: those that it is a part of; `weight`: which of two about the same stays. */

/**
 * @typedef {object} State
 * @property {Picture|null} picture
 * @property {Connection} connection
 * @property {Me|null} me
 * @property {Demo|null} demo
 * @property {Route} route
 * @property {Change[]} changes Newest first.
 * @property {"auto"|"light"|"dark"} theme
 * @property {"search"|"help"|null} dialog
 * @property {number} clock Monotonic milliseconds, ticks once a second.
 * @property {number} wall Epoch milliseconds by the answering node's clock, ticks once a second.
 * @property {Detail|null} detail Of the selected link.
 * @property {string|null} toast
 * @property {string|null} loginProblem
 */

/**
 * What the observing node knows of its link beyond what it publishes.
 * @typedef {object} Detail
 * @property {string} from
 * @property {string} to
 * @property {any} data `null` until it has answered.
 * @property {string|null} problem
 */

export {};
