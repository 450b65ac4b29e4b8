// Package estate has what a master leaves for the next one, and what the next one does with it.
//
//	                 files by name        ┌───────────────────┐
//	      ┌─ Store ─────────────────────▶ │ store: the keeper │ ──▶ inherited ──▶ Estate of the next master:
//	Estate│          state, patches       │ or systemd        │                   adopt, or rescue
//	      └─ record ────────────────────▶ └───────────────────┘
//	                                        in an upgrade: let go ──────────────▶ adopt; take back if it fails
//
// A master may be killed at any instruction. So what the next one needs is in the store before anything depends on it: a worker's
// files before its channel is served, the record before the effects of a step. See package succession for what there is, and what of it
// outlives a crash.
//
// # Taking over
//
// A master comes to be in charge of what another one has left, or still has, in these steps:
//
//	lead ──▶ Inherit ──▶ ready ──▶ TakeSockets, serve, values.Start, Resume
//	         reads only  the other  from here on there is no way back
//	                     one ends
//
// What fails before ready leaves the other master as it was. What fails after it costs the worker, the slot or the value that it is
// about, and nothing else. What is adopted is decided before anything is touched: [succession.PlanAdoption] of the record, or
// [succession.PlanRescue] of what the workers and sockets say where the record cannot be used.
//
// In an upgrade [LetGo] has the loop give away what the new master takes over, and stand still until that one is in charge or has failed.
// A master whose keeper has ended does the same, and puts a keeper in its own place: [NextKeeper].
//
// # Rules
//
// An Estate runs in the goroutine of the master's loop, which calls it and is called through Loop. It holds no lock. What waits for a
// disk, a process or the store runs in a goroutine, and comes back as a Message. The waits that are left have bounds, and are at the
// start, at the end, and in an upgrade, where the loop stands still.
package estate
