// Package crew is an app as its master runs it: its workers, its sockets and its releases. It is the hand of package pool: what that
// core orders for an app is done here, and what happens to a worker, or is said by one, becomes an event of that core here.
//
//	            facts (handle.Fact)      ┌────────── Crew ──────────┐      effects
//	workers ──────────────────────────▶  │ App: Pool, Sockets,      │ ──────────────▶ spawn, drain, signal, steer
//	            frames (ipc.Frame)       │      Members (Worker)    │
//	                                     └───────────┬──────────────┘
//	                                                 ▼ Loop
//	                                   events of the cores, log, record, values
//
// A Crew runs in the goroutine of the master's loop, which calls it and is called through Loop. It holds no lock and waits for nothing:
// what may wait for a disk or a process runs in a goroutine that Loop.Go starts, and comes back as a Message.
//
// What a Crew may touch is the apps that it is given. It knows no order of a person, no config but each app's own, no store and no
// other master.
package crew
