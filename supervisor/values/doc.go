// Package values runs the sources of the cached values, and has every change sent to the workers.
//
//	config ── Start, Apply ──▶ ┌ Values ────────────┐ ◀── Result ── one goroutine a source (cache.RunJob)
//	Set, Delete, Publish ────▶ │ cache.Values       │
//	                           └────────────────────┘ ──▶ Loop.Spread, Loop.Introduce ──▶ workers
//
// What the values are, their bounds, and what the next master goes on from is the matter of [cache.Values]. A change is written for the
// next master first, and sent to the workers then.
//
// The first workers get the values when each source has answered once, but after a second at the latest: [Values.Ready] and
// [Values.Deadline]. From then on a worker gets all values at its start.
//
// Values run in the goroutine of the master's loop. They hold no lock and wait for nothing, but for a store that keeps a value's file
// ([cache.Keep]).
package values
