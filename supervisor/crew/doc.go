// Package crew is an app as its master runs it: its workers, its sockets and its releases. It is the hand of package pool: what that
// core orders for an app is done here, and what happens to a worker, or is said by one, becomes an event of that core here.
//
//	                                   Crew.Step(app, event)
//	                                           │
//	                             pool.Pool.Step decides
//	                                           ▼
//	                   Estate.SaveChanged: the record has it, before anything is done
//	                                           │ effects
//	  ┌──────────────┬─────────────┬───────────┴──┬──────────────┬──────────────┐
//	Spawn          Assign        Drain, Signal   Steer      RetireSlot       Resolve, Record
//	start.go       slot.go       end.go          steer.go   slot.go          release.go, step.go
//	  │ a goroutine
//	  ▼
//	Starter: hook before_start, exec, store ── Spawned, SpawnFailed ──▶ the loop's inbox
//	handle.Worker ──────────────────────────── Heard ─────────────────▶    "
//
// When the effects of the outermost step are done, the core of the apps is told of it once (Loop.Decide).
//
// # Files
//
//	crew.go, app.go, worker.go     the owner and what it asks of the loop; an app; a worker
//	step.go                        one event of a pool, and its effects
//	start.go, slot.go, end.go      a worker starts, gets a slot, is told to end
//	hear.go, welcome.go, send.go   what a worker says; what it is told first; how it is told anything
//	caught_up.go                   how far a worker came while no master heard it
//	steer.go, watch.go, reach.go   which slots get connections; what is seen at the sockets, and by clients
//	mend.go                        sockets that are of no use any more
//	inner.go, tickets.go           what gateways of the same master need of an app: inner sockets, tickets
//	limits.go, dump.go             limits that a master checks; what a worker does that stands still
//	hook.go, files.go              hooks; watched files
//	life.go, picture.go            an app starts and is closed; an app as readers see it
//	release.go, saved.go, given.go releases that a rollout takes; documents; sockets from above
//
// # Goroutines
//
// A Crew runs in the goroutine of the master's loop, which calls it and is called through [Loop]. It holds no lock and waits for
// nothing: what may wait for a disk or a process runs in a goroutine that Loop.Go starts, and comes back as a [Message]. Such
// goroutines see an [Inbox], and a [Starter], whose methods are safe for concurrent use; no method of Crew is. A message that the
// loop has not acted on at its end is given up by its Drop, if it is an [Owner].
//
// # What a Crew does not know
//
// It touches the apps that it is given, and no others: no order of a person, no config but each app's own, and no other master. What
// is kept for the next master it tells an [Estate].
//
// # Bounds
//
//   - Limits are checked once a second while there is load, with a request timeout up to every 50 ms; memory every two seconds.
//   - Addresses are tried once a second, one look at a time for each set of sockets.
//   - Orders to steer wait for at most 256 messages that come together.
//   - A worker has two seconds to say what its goroutines do. The log gets the first 32 KiB of that, a file all.
package crew
