// Package history remembers how the last requests of a gateway's worker were delivered: which members there were, with which
// statistics and counts, which one was picked and why the others were not, how long the request waited, and how it ended.
//
//	request ──▶ History.Begin ──▶ Decision ── Seen ──▶ gate.Picker.Pick fills it
//	                                 │ Picked, Tried, End
//	                                 ▼
//	                    ring of N records of fixed size ◀── Find, by X-Request-Id
//
// # What it costs
//
// A [History] of 0 is nil, and nil does nothing: without a history a request allocates nothing for it and reads no clock. With one, a
// request takes a record from a pool; the record is copied into the ring when a member was picked and when the request is over. A
// request that goes well allocates nothing.
//
// A record has [RecordSize] bytes, below 3 KiB: a history of 1,000 takes less than 3 MB in each worker. It also keeps the reports of
// its candidates in memory: those of the tables that there were while its requests came.
//
// A request that is still running is in the ring from its first pick on. When N more have begun since, another one has its place, and
// what it does later is not remembered.
package history
