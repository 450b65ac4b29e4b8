// Package plan is how a new config becomes the one that runs. It is between the core of package apps, which decides what a config
// changes for each app, and what is done to them.
//
//	Apply ──▶ opening ────────────────────────▶ carried out ──▶ the config that runs
//	            │ a goroutine: addresses,  │
//	            │ commands, sockets        └──▶ refused: nothing has changed
//	            ▼
//	          the newest that comes meanwhile waits
//
// First everything that a config adds is opened, in a goroutine, because that may wait for a disk or a name server. Only when all of it
// is there anything changes, and then all of it in one turn of the loop. While a config is being opened, the next one waits; of several
// that wait the newest counts, and the callers of the others are told so.
//
//	planner.go  Planner: the config that runs, the one that is being opened, the one that waits
//	plan.go     plan: what one config adds and changes
//	callers.go  who waits for the rollouts that a config brings
//
// A [Planner] runs in the goroutine of the master's loop and waits for nothing.
package plan
