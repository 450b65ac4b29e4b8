// Package fleet decides who is in the table of members that gateways pick from, and in which state. It does nothing itself:
//
//	sources (slots, files, DNS, HTTP) ── Listed, Reported ──▶ ┌───────┐
//	checks ───────────────────────── Checked, Advised ──────▶ │ Fleet │ ──▶ Publish: the new table, a cached value
//	gateways ────────────────────────── Outcome ────────────▶ │ .Step │ ──▶ Record: one line for the log and the events
//	people ──────────────────────────── Drain ──────────────▶ └───────┘
//
// It is a pure core, as pool and apps are: no goroutine, clock, lock or I/O. One goroutine gives it events and carries out the
// effects. Deadline is when it wants a Tick.
//
// # A member
//
// What its source says of a member (starting, ready, draining, down), what a person wants of it (drained or not), what its own agent
// says (ready, draining, down, a share of its weight, a bound) and its health are four things that do not overwrite each other. What the
// table has follows from all four: see member.shown.
//
//	           fall checks failed               rise checks passed
//	healthy ───────────────────────▶ down ──────────────────────────▶ returning ──▶ healthy
//	   │  ▲                            ▲                                  ▲   (slow start)
//	   │  └── a request answered       │ fall checks failed               │ its time is over
//	   └────────────────────────────▶ ejected ────────────────────────────┘
//	     so many failures in a row
//
// An active check always wins: a member that is down stays down until its checks pass, also if it is the last. An ejection is a
// guess, so it never takes the last member of a type, it ends by itself, and each one that follows soon lasts twice as long.
//
// Where so many of a type are ejected that less than Options.Panic of them are left, or none, the fault is likely not theirs: all ejected ones
// are picked again, and the table says so in words.
//
// # Reports
//
// A report counts from when it was received, for Options.ReportAge. One that comes out of order, or is of an earlier incarnation
// of the member, is dropped. A member without a report that counts is unknown to the pickers; its state does not change by that.
//
// A fleet that takes the place of another begins with its table (Resumed).
//
// Reports alone have a new table at most every 100 ms; everything else has one at once.
package fleet
