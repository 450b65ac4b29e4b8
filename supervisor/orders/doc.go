// Package orders carries out what callers order: start, stop, restart, reload, rollback, scale, drain, signal, pause and resume, of one
// app, one slot, a namespace or all apps. It decides everything about an order and does nothing itself.
//
//	           requests, facts                        effects
//	shell ──────────────────────▶  Book.Step  ─────────────────────▶ shell
//	(channels, processes, clock)    │     ▲                          pools, apps, next runs, signals;
//	                                ▼     │                          progress, results
//	                             Deadline  Apps: what it reads of the apps
//
// The book has no goroutine, no clock and no lock. One loop owns it, and owns what it reads: the core of package apps, and the pools.
//
// # Orders
//
// A request is one order for each app that it is for. Each order is a value with an [ID] and a phase, and has exactly one end, which
// its caller is told: by Refused where nothing was begun, else by Result. An order for several apps passes over those that it
// means nothing for; of one app that is an error. Whether the caller still waits changes nothing.
//
// Facts move an order on within its phase: they are counted, and told as Progress. Only Tick judges, when the apps have come to rest
// after all that has happened, so that an order never ends by what is about to change. A Tick that orders something is repeated
// after that is carried out, until it orders nothing more.
//
// The rollouts that a new config brings are followed as orders too, which begin nothing: see [Follow].
//
// # Phases
//
//	start      placed ──▶ starting ──▶ done                                      of an app that runs
//	           placed ──▶ ending ──▶ opening ──▶ starting                        of one that stops or has stopped
//	           placed ──▶ following ──▶ starting                                 where another order starts it already
//	restart    placed ──▶ preparing ──▶ replacing ──▶ starting
//	           preparing ──▶ opening                                             where the run has ended by itself meanwhile
//	           placed ──▶ emptying ──▶ filling ──▶ done                          of one slot
//	           placed ──▶ filling                                                a start of one slot
//	drain      emptying ──▶ done
//	stop       placed ──▶ stopping ──▶ done
//	reload     placed ──▶ queued ──▶ rolling ──▶ done                            and rollback
//	scale      placed ──▶ scaling ──▶ done
//	signal     placed ──▶ signalling ──▶ done
//	pause      placed ──▶ done                                                   and resume
//
//	           placed, signalling ──▶ refused
//	           opening, preparing, starting, queued, rolling, scaling, filling ──▶ failed
//	           following, ending, opening, preparing, replacing, starting, queued, rolling, scaling, emptying, filling ──▶ cancelled
//	           following, ending, opening, preparing, replacing, starting, stopping, queued, rolling, scaling, emptying, filling ──▶ overdue
//
// Refused is what the caller can know: a wrong field, an app in the wrong state. Cancelled: another order has come
// meanwhile (a stop, a scale, a drain, a start of the slot), a config has taken the app out, or the master stops. Overdue: all the
// times of the app together, and [Grace], were not enough.
//
// # The next run
//
// An app that is started again is a new run. At most one order brings the next run of an app: it claims it (apps.NextRun), has the
// shell open it, and exchanges the runs when the old one has ended. A stop takes the claim away, as does a config without the
// app; the order learns of it with the next Tick, or when its run is opened, and what was opened for it is closed. A restart
// opens the next run first, on the sockets that stay, so that a program which is not there stops nothing.
//
// # The worker that failed
//
// An order that fails by a worker names it, with its last output. A worker that is killed because it was not ready in time may still
// say why: the order ends when it has exited, has outlived SIGKILL, or its app has ended.
//
// # Bounds
//
//	orders under way   MaxOrders, the master's own among them: each beyond is refused
//	an order           the times of its app, and Grace; a pause of the machine does not count
//	a reason           api.MaxReason bytes
package orders
