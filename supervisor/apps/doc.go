// Package apps decides everything between the apps of one master, and does nothing itself. What package pool is for the workers
// of one app, it is for the apps.
//
//	            facts and commands                           orders
//	master ──────────────────────────▶  Apps.Step  ─────────────────────▶ master
//	(pools, orders, files, clock)        │     ▲                          start, stop, kill, roll, hook, release a drain,
//	                                     ▼     │                          watch, change, forget, save, record, done
//	                                  Deadline: when it wants a Tick
//
// It has no goroutine, no clock and no lock: one loop feeds it events and carries out the effects. Each Step has two parts: learn
// takes in what has happened, and reconcile compares what is with what should be and orders the difference, until nothing follows
// any more. Which app may start or must stop is decided there alone, so two events that meet cannot contradict each other. The
// effects of one Step are carried out before the next event is given: an event that one of them brings about waits.
//
// # Runs
//
// A [Run] is one run of an app, with a number that is never used again. An app that is started again is a new run of the same name. The
// last run of a name is the one that is listed, unless it is gone.
//
//	                needs are there            pool ends by itself
//	waiting ───────────────────────▶ running ─────────────────────▶ ending ──▶ finished, failed
//	   │  ▲                             │                             │
//	   ▼  │ one of them is started      │ stop, config, master        └── left out at the start ──▶ later
//	blocked                             ▼
//	                                 leaving ── no app that goes too needs it ──▶ stopping ──▶ stopped, gone
//	                                    │                                            │
//	                                    └───────────── at once ──▶ killing ◀─────────┘
//
// Beside its state a run has values: for what it leaves ([Why]), what has brought it ([Origin]), which order brings the next run
// (Run.Next), and which run leaves when this one serves (Run.Replaces). A run that an order stops is stopped in the end, and
// listed; all others that leave are gone.
//
// # Needs
//
// An app that needs others waits with its sockets open until each is what it needs (need.go). It is blocked where one of them
// will not come by itself, and waits again when that one is started. A stop goes the other way: an app is told to stop when no
// running app needs it that is to stop too (stop.go). Where two need each other, both are told.
//
// # Times
//
// Deadline is the earliest of: the end of a stop's delay, the end of a stop's time, a drain that has waited for its hook as long
// as it may (hook.go), a schedule (schedule.go). Only a Tick does what a time has come for.
//
// # Ready and the end
//
// Ready is told once, when no app is waited for any more (end.go). The master ends when nothing runs and nothing can run again:
// not while an app that has ended may be started by an order, its schedule or its files, or while a config is being opened. Its code is that of
// the app whose failure in the start has ended the rest, or else of the first that has failed.
//
// # Restored
//
// What the last master has left comes as Restore, with the state that its record has; then come the facts of what has happened
// since, and Resumed. What a record does not know is decided anew: a run that was to stop and had not been told is told.
//
// # Every change of a state
//
// A test compares this with all that the table (testdata/table.txt) and the scripts bring about.
//
//	unknown  → waiting running ending stopping killing leaving later finished failed stopped
//	waiting  → blocked running leaving killing
//	blocked  → waiting running leaving killing
//	running  → ending leaving killing finished failed
//	ending   → leaving killing later finished failed
//	leaving  → stopping killing stopped gone
//	stopping → killing stopped gone
//	killing  → stopped gone
//	later    → stopped
//	finished → stopped
//	failed   → stopped
//	stopped  → gone
package apps
