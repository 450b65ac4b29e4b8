// Package members is the table of members as it travels from the master to the workers of a gateway: who can be picked, and what each
// has said of itself last. The master alone writes a table (package supervisor/fleet); it reaches every worker of a gateway as one
// cached value, encoded by [Encode], and never changes after that.
//
//	Table
//	├── Member  id, type, zone, addresses, weight, max in flight, state and why
//	│   └── Report  what it has said of itself: statistics by name, when, by which incarnation
//	└── Member ...
//
// A statistic that a member does not send is absent from its report. Absent is unknown: it is never read as 0.
//
// All times are the receiver's: [ipc.Monotonic] of the host on which the table is read, so that no clock of another machine counts.
package members
