// Package snapshot is the picture of a master that its readers look at: the status, the metrics, the health checks, the
// dashboard and the text that systemd shows.
//
// One goroutine, the loop, owns the state of a master. At the end of a turn, if something has changed, it makes a [Master]
// and publishes it. A Master never changes, so readers need no lock and ask the loop nothing. What did not change is shared
// with the Master before: an app that was not touched is the same *App.
//
//	master.go     Master, App and Worker: what there is to know
//	maker.go      Maker: what has changed since the newest Master, and the next one
//	published.go  where the loop puts the newest Master, and readers find it
//	seat.go       what a worker says of itself, which changes without a turn of the loop
//	describe.go   a Master in one line
//	status.go     a Master as a program that embeds it sees it: a copy with what is live
//
// # What a reader may rely on
//
// A reader sees the effect of all that it has seen a sign of. Whatever the loop does in a turn - it answers an order, writes
// a line of the log, tells of an event - it does after [Published.Begin] and before [Published.End], and a reader that comes in
// between waits for the end. So an order that was answered shows in the next status.
//
// # What is live
//
// Requests in flight, counters and latencies are written by the workers, memory and CPU by the system. They belong to no turn:
// a Worker carries a [Seat] and a process, which the reader asks. A Seat answers for as long as a reader has it, also when its
// worker has gone and its memory is no longer mapped: it then has the worker's last numbers. The counters of workers that have
// gone are in App.Totals from the same turn on in which they leave App.Workers, so that a sum over both never goes back.
package snapshot
