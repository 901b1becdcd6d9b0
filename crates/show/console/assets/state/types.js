// @ts-check
// The shapes that the parts of the console hand to each other. No code.

// What the API sends, as its own description has it.
/** @typedef {import("./api-types.js").LinkState} LinkState */
/** @typedef {import("./api-types.js").NodeState} NodeState */
/** @typedef {import("./api-types.js").NodeView} NodeView */
/** @typedef {import("./api-types.js").LinkView} LinkView */
/** @typedef {import("./api-types.js").Evidence} Evidence */
/** @typedef {import("./api-types.js").Verdict} Verdict */
/** @typedef {import("./api-types.js").Incident} Incident */
/** @typedef {import("./api-types.js").BlastRadius} BlastRadius */
/** @typedef {import("./api-types.js").TimelineEntry} TimelineEntry */
/** @typedef {import("./api-types.js").Me} Me */
/** @typedef {import("./api-types.js").Answer} Answer */
/** @typedef {import("./api-types.js").DatasetDocument} DatasetDocument */
/** @typedef {import("./api-types.js").KeyDocument} KeyDocument */

/** @typedef {"good"|"warn"|"bad"|"mute"} Tone How a state feels; each tone is a colour in tokens.css. */
/** @typedef {"disc"|"half"|"triangle"|"cross"|"dashed"|"dotted"|"ring"|"square"} Shape */

/**
 * What is seldom looked at. The columns hold it packed; a delta brings it for its links.
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
 * @property {(LinkMore|null)[]} more `null`: it stands in `packed`, or nowhere.
 * @property {any} packed The columns as they were sent, for what is seldom looked at.
 * @property {Int32Array} place In `packed`; -1 where the link is not in it.
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
 * @property {"grid"|"board"|"login"|"incidents"|"explore"} page
 * @property {"map"|"matrix"|"list"|"paths"|null} view `null`: whichever suits the size of the grid.
 * @property {Selection|null} selection
 * @property {string|null} verdict Id of the verdict that is pointed at.
 * @property {[string,string]|null} scope Pair of sites that the matrix or list is narrowed to.
 * @property {"links"|"nodes"|"pairs"} list
 * @property {boolean} troubled Only what is not up.
 * @property {string|null} incident Id of the one that is read or replayed.
 * @property {number|null} at Moment that is looked at, epoch ms; `null`: live.
 * @property {0|1|10|60} play How many times as fast as it was; 0: stands still.
 * @property {boolean} time The time slider is open.
 * @property {SliderSpan} reach What the time slider spans.
 * @property {TrendSpan} trend What a link's history spans.
 * @property {string|null} question That is asked in Explore, as text.
 * @property {"series"|"heatmap"|"table"|"log"|"differ"|null} form How the answer is shown; `null`: whichever suits it.
 * @property {string|null} pick The event in the side panel: `r12` a row, `x0` an exemplar.
 * @property {string|null} trace Id of the trace that is shown as a waterfall.
 * @property {number|null} span Place in it of the span that is read.
 * @property {boolean} live Events are followed as they are kept.
 * @property {number|null} flow Port of the flow whose way stands out.
 */

/** @typedef {"15m"|"1h"|"6h"|"24h"|"all"} SliderSpan */
/** @typedef {"hour"|"day"|"week"} TrendSpan */

/** @typedef {{kind:"node",id:string}|{kind:"link",from:string,to:string}|{kind:"site",id:string}|{kind:"pair",from:string,to:string}} Selection */

/**
 * How the console stands to its node.
 * @typedef {object} Connection
 * @property {"connecting"|"live"|"lost"|"refused"} state
 * @property {number|null} heardAt Monotonic milliseconds of the last event.
 * @property {string|null} problem
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
 * @property {Detail|null} backDetail Of its way back.
 * @property {Trace|null} trace The newest asked for on this page.
 * @property {{list:Incident[]|null, problem:string|null}} incidents
 * @property {string|null} doing What is being done to an incident, while it is.
 * @property {string|null} actProblem Why the last of these failed.
 * @property {Past|null} past The picture as it was; `null`: live.
 * @property {History} history
 * @property {Trend|null} trend Of the selected link.
 * @property {Explore} explore
 * @property {Scene|null} scene Of the incident that is read, where it is over.
 */

/**
 * What Explore knows. The question itself stands in the route.
 * @typedef {object} Explore
 * @property {string|null} question That `answer` and `problem` belong to, or that is being asked.
 * @property {boolean} busy
 * @property {number|null} share How much of the data has been looked at, 0..1, while it is being asked.
 * @property {Answer|null} answer Of an earlier question while the next is being asked.
 * @property {Wrong|null} problem
 * @property {DatasetDocument[]|null} datasets `null` until known.
 * @property {string|null} datasetsProblem
 * @property {Record<string, KeyDocument[]>} keys By dataset.
 * @property {Offers|null} offers What could be typed next, and at which place of which text.
 * @property {boolean} stopped The question was called off; `answer` is what was known by then.
 * @property {[number,number,number,number]|null} box Part of the heatmap that is pointed at: columns from and to, bins from and to.
 * @property {Log|null} log Of an answer that can be paged through.
 * @property {Tail|null} tail
 * @property {{id:string, busy:boolean, data:import("./waterfall.js").Trace|null, problem:string|null}|null} trace
 */

/** @typedef {{text:string, from:number, to:number, kind:string, about:string}} Offer Places in the text that it replaces. */
/** @typedef {{text:string, caret:number, list:Offer[]}} Offers */

/**
 * A log of any length.
 * @typedef {object} Log
 * @property {number|null} total Lines; `null` until they are counted.
 * @property {import("./logs.js").Stretch[]|null} stretches Newest first.
 * @property {import("./logs.js").Stretch[]} strip The same, evenly wide, to be drawn.
 * @property {Map<string, Answer>} pages Those at hand, by name.
 * @property {boolean} partial Not all could be counted.
 * @property {string|null} problem Why the rest is not here.
 */

/** @typedef {{number:number, record:Record<string, unknown>}} TailEvent `number` counts from the begin of the watch. */

/**
 * Events as they come.
 * @typedef {object} Tail
 * @property {string} question
 * @property {"connecting"|"live"|"broken"} status
 * @property {string[]} nodes Whose stores are watched.
 * @property {string[]} away Those of them that cannot be heard at present.
 * @property {TailEvent[]} events Newest first.
 * @property {TailEvent[]} waiting What came while paused.
 * @property {boolean} paused
 * @property {number} seen All that came.
 * @property {number} missed Came too fast, or while too many waited.
 * @property {string|null} problem
 * @property {number|null} pick Number of the event that is read.
 */

/** @typedef {{message:string, help:string, span:[number,number]|null, status:number}} Wrong `span`: places in the question's text, from and up to. */

/** @typedef {{from:string, to:string, busy:boolean, data:any, problem:string|null}} Trace */

/**
 * A picture that was.
 * @typedef {object} Past
 * @property {Picture|null} picture `null` until the first has come.
 * @property {number} at Moment of `picture`, epoch ms.
 * @property {string|null} problem
 */

/**
 * What the node kept of the past, as far as it was asked for.
 * @typedef {object} History
 * @property {{from:number, until:number}|null} span `null` until known; empty where nothing is kept.
 * @property {Moment[]} moments Oldest first.
 * @property {{from:number, until:number}|null} known Stretch that `moments` covers.
 * @property {string|null} problem
 * @property {boolean} kept The node keeps a past at all.
 */

/**
 * One change that was kept.
 * @typedef {object} Moment
 * @property {number} at epoch ms
 * @property {string} kind
 * @property {string} subject
 * @property {string|null} state That it changed to.
 * @property {string} text
 * @property {Tone} tone
 * @property {Shape} shape
 * @property {number} weight Which of several at once is shown.
 * @property {Selection|null} selection
 */

/** @typedef {{id:string, at:number, picture:Picture|null, problem:string|null}} Scene The picture as it was while an incident was on. */

/** @typedef {{from:string, to:string, span:TrendSpan, until:number, data:any, problem:string|null}} Trend */

/**
 * What the observing node knows of its link beyond what it publishes.
 * @typedef {object} Detail
 * @property {string} from
 * @property {string} to
 * @property {any} data `null` until it has answered.
 * @property {string|null} problem
 */

export {};
