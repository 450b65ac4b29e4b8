// Package tallies is what the workers of a gateway tell of its members, pools and requests: the document that travels from each worker
// to the master, by a call of [Method], and from there, as a sum, to whatever asks the control API.
//
//	tine gate members, tine top, dashboard, metrics ──▶ control API ──▶ master ── Call Method ──▶ each worker of a gateway
//	                                                    [Sum]  ◀── Tally ──────────────────────┘
//
// A Tally of one worker and the sum of those of several are the same document. Its counts are those since the worker was started; the
// master goes on from those of workers that have ended. Fields are added, and never renamed or removed.
package tallies
