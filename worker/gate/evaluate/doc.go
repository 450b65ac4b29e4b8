// Package evaluate has a gateway's worker ask the members for their statistics itself, and decide by the answers which of them take
// part, in one of two modes:
//
//	on-request   all members are asked when a request comes; it is picked for when they have answered
//	continuous   all members are asked once in an interval; a request is picked for by the last answers, and waits for nothing
//
//	members.Table ──▶ Evaluator.Table ─┐
//	request ───────▶ Evaluator.Await ──┤▶ core.step ──▶ ask: GET to each member (package members: Question) ─┐
//	                                   │            ──▶ publish: the table with their reports, to a gate.Picker │
//	                                   └────────────────────── answered ◀───────────────────────────────────┘
//
// core.go is a pure core: events in, effects out. evaluator.go carries them out, in one goroutine that owns the core, and one goroutine
// for each member that is being asked.
//
// # A pass
//
// A pass asks every member that is ready in the table. It ends when all members that are live have answered, and at the latest after
// RequestTimeout. A member that has not answered by then, or has failed, is silent: it is left out until it answers again, and it is asked
// in each pass, but no pass waits for it. It is aside (members.Member) and not down: its users stay. So a dead member costs one RequestTimeout in all, and not one for each request. Where no
// member is live the pass waits for the first that answers.
//
// A member that is being asked is not asked again: a slow one has at most one question, which ends after RequestTimeout.
//
// Requests that come while a pass is under way wait for that one. A pass counts for ValidTimeout after its end: with 0 the next
// request begins another. In continuous mode passes begin at the beat of ValidTimeout, whatever the one before has come to.
//
// # When nobody answers
//
// The result of the last pass in which somebody did stays, and its age is logged when it is more than three intervals old. Where there has
// been none, Await fails with a [NoneError], which says of each member why.
package evaluate
