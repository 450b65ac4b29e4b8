// Package supervisor keeps worker processes running: one per slot of each app, on
// sockets that outlive them. It is what cmd/tine runs, and what a program imports
// that wants to be master and worker in one binary.
//
//	                     ┌────────────────── loop (one goroutine) ──────────────────┐
//	signals ──┐          │                                                          │
//	methods ──┤ message  │  event   ┌────────────┐  effects   carryOut              │
//	readers ──┼─────────▶│ ────────▶│ pool.Pool  │──────────▶ spawn, drain, signal, │
//	exits   ──┤  inbox   │          │ (one an app│            steer, retire, record │
//	sources ──┘          │  timer ─▶│  it decides)            │                     │
//	                     │          └────────────┘            ▼                     │
//	                     │  cache.Store ──────────────▶ an ipc.Outbox a worker      │
//	                     └──────────────────────────────────────────────────────────┘
//
// Whatever happens becomes a message (message.go) to one goroutine, the loop
// (loop.go). It turns facts into events for the app's core, package pool, which
// alone decides, and carries out the effects that come back (effects.go). Nothing
// in the loop waits: a process is started (member.go), a disk read and a source
// asked in goroutines that post what came of it, and end with the loop.
//
// The listening sockets belong to the slots (package listen), so that a worker's
// end closes nothing: what is queued waits for the next worker. A worker is a
// process (package proc) with a channel (package ipc). Through the channel it says
// hello, gets the snapshot of the cached values and then its slot with the sockets
// (frames.go), says ready, and is told to drain. Cached values (values.go) come
// from sources (package cache) or from Set, and go to every worker in the order of
// their epochs; a worker that does not read holds up nobody.
//
// Beside the workers an app has a life of its own: it waits for those that it depends
// on (depends.go), runs commands at moments of it (hook.go), is renewed at a time
// (cron.go) or when a file changes (watchfiles.go), or only does its work and ends
// (oneshot.go). A worker finds TINE_APP, TINE_GENERATION, TINE_SLOT and, as with PM2,
// NODE_APP_INSTANCE in its environment; a standby the first two only.
//
// What a worker is started with is looked up once for each rollout
// (generation.go), so that SIGUSR2 takes the command, its symlinks, the working
// folder and the environment from what is on disk then.
//
// A program that is both:
//
//	if supervisor.IsWorker() {
//		serve() // with package worker
//		return
//	}
//	config := supervisor.Single("web", []string{":7000"}, 0, supervisor.Self())
//	err := supervisor.Run(context.Background(), config)
package supervisor
