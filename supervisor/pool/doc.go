// Package pool decides everything about the workers of one app, and does nothing itself.
//
//	           facts and commands                         orders
//	shell ───────────────────────────▶  Pool.Step  ───────────────────▶ shell
//	(processes, sockets, clock)          │     ▲                        spawn, assign, dump, drain, signal, open,
//	                                     ▼     │                        steer, retire, resolve, record, done
//	                                  Deadline: when it wants a Tick
//
// The pool has no goroutine, no clock and no lock: one loop feeds it events and carries out the effects. So its decisions are
// plain functions over plain data, and a test can play each sequence of events to the millisecond: see testdata.
//
// # A step
//
// Each Step has three parts, always in this order:
//
//	learn      the event changes facts                      fact.go, stall.go, standby.go, command.go
//	expire     the time that has passed changes facts       deadline.go
//	reconcile  facts and wishes are compared, and the       reconcile.go, turn.go, rollout.go, standby.go, steer.go
//	           difference is ordered
//
// No event orders anything by itself, so two events that meet cannot contradict each other. Counts are asked of the facts
// and never kept beside them, but for what a Step would have to look at all slots for (focus.go).
//
// The pool has no idea of time but what it is told. A pause of the whole machine is told as [Paused], and counts for no wait
// for a worker (pause.go).
//
// # Workers and slots
//
// A slot is a position 0..N-1 with sockets of its own. A worker is one process in it, and goes one way:
//
//	           Ready           Drain, Leaving
//	starting ─────────▶ ready ─────────▶ draining
//	   │                                    │
//	   │ ready timeout, unwanted            │ drain timeout
//	   └────────────────▶ killing ◀─────────┘          Exited from anywhere ─────▶ gone
//	                   SIGTERM, SIGKILL  ───── nothing helps: abandoned ─────────▶ gone
//
// A standby waits between two starts, the second of which is in its slot. These are all transitions, with the events and
// commands that cause them; "time" is a deadline, and "Assign" the effect that gives a standby the slot of a worker that has
// gone. An event that is not in a line of a state leaves it. TestTransitions holds this list:
//
//	starting ──▶ standby    Parked
//	starting ──▶ ready      Ready
//	starting ──▶ draining   Leaving, Ready
//	starting ──▶ killing    Ready, Recycle, Roll, Stop, Kill, time
//	starting ──▶ gone       Exited, SpawnFailed
//	standby  ──▶ starting   Assign
//	standby  ──▶ draining   Leaving
//	standby  ──▶ killing    Ready, Recycle, Stop, Kill, time
//	standby  ──▶ gone       Exited
//	ready    ──▶ draining   Leaving, Scale, Stop
//	ready    ──▶ killing    Kill
//	ready    ──▶ gone       Exited
//	draining ──▶ killing    Kill, time
//	draining ──▶ gone       Exited
//	killing  ──▶ gone       Exited, SpawnFailed, time
//
// A worker that starts in a slot to be swept drains when it is ready; one without a slot that says ready is ended. Roll and
// Recycle replace a ready worker first, and drain it once its successor is ready.
//
// State sits on the worker. What must outlive it sits on the slot: failures in a row, when to try again, whether its work
// is finished, the generation of the last worker that was ready there, and whether it is swept.
//
// A slot has one worker, and two only while one takes over from the other:
//
//	surge        old  ready ──────────────── drain ──▶ gone       a rollout, or a recycled worker
//	             new       starting ── ready ────────────────▶
//
//	leaving      old  ready ─ draining ──────────────▶ gone       the old one went of its own accord
//	             new          starting ── ready ─────────────▶
//
//	stop first   old  ready ─ drain ──▶ gone
//	             new                    starting ── ready ───▶
//
// # Who gets new connections
//
// Any worker of a slot serves its sockets, so connections are steered to slots. A slot without a worker that accepts gets none
// as long as another slot is better (steer.go):
//
//	wanted, with a ready worker that is not stalled     if there is none:
//	wanted, with a ready worker                         if there is none either:
//	wanted
//
// The order precedes the drains of its Step: steer away first, then drain. In a stop nothing is ordered any more.
//
// # Replacements
//
// Each replacement of a worker that serves - a rollout, Recycle, MaxAge, a stall of StallTimeout - waits in one queue and has
// its turn within one budget (turn.go), so that replacements never add up. Slots without a worker that accepts come first.
//
//	Stalled ──▶ steered around ── StallTimeout ──▶ Dump, queued
//	                  │
//	                  └── Resumed ──▶ as if nothing had been
//
// A worker that is queued is replaced even if it resumes. Where worker after worker is replaced a moment after it was ready, a
// limit is below what the program needs: the replacements come ever more slowly, and the records say so (pace.go).
//
// # Standbys
//
// Config.Standby workers start without a slot when all slots have been filled once, and wait (standby.go). A slot that gets a
// worker gets a parked standby of the right generation if there is one; another standby is spawned once that one is ready or
// has had a moment to become ready. A standby does not change when a slot is filled: its backoff and its turn hold. The
// failures of a standby count against no slot.
//
// # Slots that go
//
// Connections wait in the queues of a slot's sockets, and are reset when the sockets are closed. So a slot that is scaled
// away is swept before it is retired (sweep.go):
//
//	wanted ── Steer, Drain with Linger ──▶ swept by its worker ── exit code 0 ──▶ RetireSlot
//	                                            │        ▲
//	   killed, died before, failed to start ────┴─ Spawn ┘  maxSweeps times, then it is retired all the same
//
// A worker that is only starting is kept until it is ready, and sweeps then. Before any worker of the app was ever ready, and in
// a stop, nothing is swept; a slot whose work is finished is not either, and with RestartNever no worker is spawned for it. If
// the slot is wanted again, it is as if it had never been gone: a starting worker stays, and what a lingering worker has swept
// does not count.
//
// A slot that is held (hold.go) is emptied in the same way, but stays, vacant, until it is released: by Release, or by a Scale or
// Roll, whose result would else not be what was asked for. A rollout passes it by.
//
// # Generations
//
// Workers start with generation 1. Each Roll makes the next number the target and has the shell Resolve it, so what is on
// disk is read once a rollout. A slot is rolled when a worker of the target was ready in it. A crash in a slot that is not
// rolled yet restarts its old generation; a new slot, or one that is wanted again, gets that of the last completed rollout,
// unless its turn is at once.
// The first worker of the target that fails before it was ready aborts the rollout: what is rolled and what is old both stay.
// It counts as no failure of a slot whose old worker serves on: that one, if it crashes, is restarted at once.
// A Roll during a rollout is queued, at most one, and follows it however it ends, because it reads the disk anew: only a
// stop drops it.
//
// # In a hurry
//
// What stops Tine from outside, such as systemd or a container's runtime, kills it when the stop takes too long. Hurry says
// how long that is. It changes nothing but a stop, whose waits then end before (hurry.go):
//
//	Stop ── Delay ≤ 1/4 ── Timeout ── SIGTERM ── KillAfter ≤ 1/4 ── SIGKILL ── 0.5 s ── the end
//
// # Restored
//
// A pool can outlive its master. Snapshot is all that it knows, as plain data; Restore makes a pool of that in another process,
// which says how long ago it was. No worker is restarted by it:
//
//	Restore ──▶ facts of what has happened since: ──▶ Restored ──▶ commands, facts, ticks as ever
//	            Spawned, Ready, Exited, Leaving ...     │
//	            (noted; nothing is ordered)             └─▶ what is missing is ordered, what may be lost is said again
//
// What was on its way when the master died may have come about or not. So the record is stored before the effects of a Step are
// carried out, and after Restored:
//
//	Spawn       without an answer by then: forgotten, and ordered anew where it is still wanted, under another ID. No
//	            failure is counted. A process that the shell does find gets its Spawned before, or is ended by the shell.
//	Assign      again, while the worker starts
//	Drain       again, while it drains by order, with what is left of its time and without a successor that has died
//	Signal      SIGKILL again. SIGTERM not: some programs take a second one for an order to end at once, and SIGKILL follows
//	Dump        not again
//	OpenSlot, Resolve, Steer   again, for all that there is. Sockets beyond the slots that are opened belong to slots that were
//	            retired: the shell closes them
//	Done        again
//
// A worker does not hear of the change, and none of these orders says anything new to a worker that got it before. Time goes
// on while no master lives: backoffs, drains and stalls end when they would have. Only a worker that starts gets the ready
// timeout anew, once, because no master may have been there to hear its Ready. A worker that was stalled stays so until Resumed.
//
// A record of a newer version, or one that contradicts itself, is refused. Adopted makes one of nothing but the workers that
// serve; they are replaced in a rollout.
//
// # Every wait is bounded
//
// Starting, draining, SIGTERM and SIGKILL have their times, and a process that outlives all of them is abandoned: it holds up
// neither its slot nor the stop. This holds also for an order to spawn that is never answered. If the process does appear
// later, it gets its signal then; after Done, ending what Spawned still reports is the shell's part.
package pool
