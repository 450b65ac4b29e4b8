// Package master is the loop of a master: one goroutine with one inbox and one timer, which owns the state of all apps. It gives
// facts to the cores, which decide (orders, apps, pool), and carries out what they order. Programs that embed a master import
// package supervisor, the door; cmd/tine uses the options of this package for what only a whole process has: a store above,
// upgrades, a keeper.
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
// on, runs commands at moments of it (hook.go), is renewed at a time
// or when a file changes (watchfiles.go), or only does its work and ends. What starts, stops and ends between the apps
// package apps decides; decide.go gives it the facts, and carries out its effects. A worker finds TINE_APP, TINE_GENERATION, TINE_SLOT and, as with PM2,
// NODE_APP_INSTANCE in its environment; a standby the first two only.
//
// # Release
//
// What a worker is started from, its release, is looked up once for each rollout and held (generation.go): the program's open file,
// its folder, arguments and environment. Rollouts take what is on disk then (tine reload, SIGUSR2, an applied config, watch,
// cron_restart), and so do starts of what does not run. Everything else starts the release again, also below later masters: a
// crash, a scale, max_age, a standby. So a build that failed its reload never replaces a crashed worker.
//
// # Drain
//
// A drain has two phases. First the worker stops accepting (its successor takes over the same queue) and answers each request on a
// kept-alive connection with "Connection: close" (HTTP/2: GOAWAY), for at most drain_delay. Then idle connections are closed, and the requests in
// flight get drain_timeout. Then comes SIGTERM, then SIGKILL to the process group, so that no grandchild stays (but one that
// made a session of its own).
//
// # Stalled
//
// A worker is stalled when it was stopped by a signal (known at once), or when its accept queue stands still or its heart does not
// beat (a second). It is steered around at once. After stall_timeout its goroutines are written to the log and to a file, and it
// is replaced. request_timeout does that to a worker whose oldest request is too old. An open WebSocket or event stream is a
// request too, as long as its handler runs: such apps leave it off.
//
// # Standby
//
// With standby: 1 a crash is healed by a worker that is initialised already and only has to be given the slot. So a program that needs ten
// seconds to start is replaced in milliseconds too. Rollouts renew standbys.
//
// # Values
//
// When a worker is shown its slot, it has all cached values already; each change after that reaches it in order. A worker that does
// not read its channel costs the others nothing: for each key only the newest value waits for it. The bounds of this and of
// everything else are in LIMITS.md, the words in GLOSSARY.md.
package master
