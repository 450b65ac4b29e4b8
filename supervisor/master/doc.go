// Package master is the loop of a master: one goroutine with one inbox and one timer, which owns the state of all apps. It gives
// facts to the cores, which decide (orders, apps, pool), and carries out what they order. Programs that embed a master import
// package supervisor, the door; cmd/tine uses the options of this package for what only a whole process has: a store above,
// upgrades, a keeper.
//
//	            messages          ┌───────────── loop (one goroutine) ─────────────┐
//	signals ────────┐             │ facts    orders.Book   what a caller orders    │
//	serve (readers, │   inbox     │ ───────▶ apps.Apps     between apps            │    effects
//	orders) ────────┼───────────▶ │          pool.Pool     workers of one app      │ ────────────▶ spawn, drain, signal,
//	workers, exits ─┤             │ timer ─▶ cache.Values  values, their epochs    │               steer, record, hook
//	sources, files ─┘             └───────────────────┬────────────────────────────┘
//	                                                  ▼ at the end of a turn
//	                                     snapshot.Master, which all readers read
//
// Each thing that happens becomes a message to the loop. The loop turns it into events of the cores, which alone decide, and
// carries out the effects that come back. Before the effects of a step the record for the next master has what the step
// changed. Nothing in the loop waits: a process is started, a disk read, a source asked and a file stored in goroutines that
// post what came of it and end with the loop.
//
//	loop.go, pause.go            run: take over, open, the turns, the end; the one timer, and time in which the loop did not run
//	message.go, control.go       what comes in: from methods, from callers outside
//	decide.go, events.go         effects of package apps; the book of events
//	inner.go, outer.go, for_values.go   the loop as the packages see it that do parts of its work: crew and desk, estate, values
//	picture.go, serving.go       the picture for readers; what package serve asks for
//	succession.go, upgrade.go, draft.go  how this master takes over, and hands over; a config that was edited and not applied
//	report.go, signals.go        the process above; the process's signals
//	supervisor.go                the methods that other goroutines call
//
// The parts: package crew carries out what a pool orders and hears the workers, desk what callers order, plan a new config, estate what
// the next master takes over, values the cached values.
//
// A worker finds TINE_APP, TINE_GENERATION, TINE_SLOT and, as with PM2, NODE_APP_INSTANCE in its environment; a standby the first
// two only.
//
// # Release
//
// What a worker is started from, its release, is looked up once for each rollout and held (package launch): the program's open file,
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
